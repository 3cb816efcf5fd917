"""Sinks: where the frames of a clip go. One registered format an extension."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dreamvid.media import codecs
from dreamvid.media.animations import GifSink, WebpSink, gif_commands
from dreamvid.media.codecs import Encoding, Format, Showing, Sink, check_shape, choose
from dreamvid.media.ffmpeg import (
    VideoSink,
    check_along,
    joining_command,
    picture_command,
    shell_line,
)
from dreamvid.media.sequence import PngSink
from dreamvid.media.target import check_sequence, check_target, replacing, replacing_frames
from dreamvid.media.tracks import MKV, MOV, MP4, WEBM, Tracks
from dreamvid.options import Output
from dreamvid.registry import Registry

SINKS: Registry[Format] = Registry("output format")
"""Extension -> how such files are written."""

_INDEX_FIRST = ("-movflags", "+faststart")
SINKS.register(".mp4")(
    Format(
        VideoSink,
        (codecs.H264, codecs.HVC1, codecs.AV1),
        _INDEX_FIRST,
        MP4,
        keeps_aspect=True,
    )
)
SINKS.register(".mov")(
    Format(
        VideoSink,
        (codecs.PRORES, codecs.H264, codecs.HVC1),
        _INDEX_FIRST,
        MOV,
        keeps_aspect=True,
    )
)
SINKS.register(".mkv")(
    Format(
        VideoSink,
        (codecs.FFV1, codecs.H264, codecs.HEVC, codecs.AV1),
        sound=MKV,
        keeps_aspect=True,
    )
)
SINKS.register(".webm")(
    Format(
        VideoSink,
        (codecs.VP9, codecs.AV1),
        sound=WEBM,
        keeps_aspect=True,
    )
)
# Browsers show what follows within 10 ms only after 100 ms.
SINKS.register(".gif")(Format(GifSink, (codecs.GIF,), fastest=50))
SINKS.register(".webp")(Format(WebpSink, (codecs.WEBP,), fastest=90, largest_side=16383))
SINKS.register(".png")(Format(PngSink, (codecs.PNG, codecs.PNG16), numbered=True))


def check_output(path: Path, showing: Showing, output: Output, overwrite: bool) -> None:
    """Refuses all that could not be written, before any work is done for it.

    Args:
      path: The file to be made, or a sequence's name such as "frame-%05d.png".
      showing: What it will show.
      output: How it is to be encoded.
      overwrite: Whether what exists may be replaced.

    Raises:
      DreamError: One line that says what will not do, with a way out.
    """
    check_target(path, SINKS, overwrite)
    encoding = encoding_of(path, showing, output)
    if encoding.format.numbered:
        check_sequence(path, overwrite)
    check_shape(encoding)
    check_along(encoding)


def track_notes(path: Path, tracks: Tracks) -> list[str]:
    """What the user should know beforehand of tracks that a file cannot keep, a line each.

    Raises:
      DreamError: There is no such format, or the tracks cannot be read.
    """
    suffix = path.suffix.lower()
    return tracks.notes(SINKS[suffix].sound, suffix)


def encoding_of(path: Path, showing: Showing, output: Output) -> Encoding:
    """How a file of that name is encoded.

    Raises:
      DreamError: There is no such format or encoding.
    """
    return choose(path, SINKS[path.suffix.lower()], showing, output)


def ffmpeg_line(path: Path, showing: Showing, output: Output) -> str | None:
    """What a shell would be told to do as a sink does, frames coming in through a pipe.

    Returns:
      The commands as one line; None where ffmpeg is not used.

    Raises:
      DreamError: There is no such format or encoding.
    """
    encoding = encoding_of(path, showing, output)
    if not encoding.codec.encoder:
        return None
    if encoding.format.sink is GifSink:
        commands = gif_commands(path, path.with_suffix(".frames.mkv"), encoding)
        return shell_line(*commands, joined=" | ")
    if not (showing.sound or showing.tracks):
        return shell_line(picture_command(path, encoding))
    silent = path.with_suffix(f".silent{path.suffix}")
    joining = joining_command(path, silent, encoding, "SECONDS")
    return shell_line(picture_command(silent, encoding), joining)


@contextlib.contextmanager
def open_sink(
    path: Path,
    showing: Showing,
    settings: str,
    output: Output,
    overwrite: bool,
    owner: str = "",
) -> Iterator[Sink]:
    """A sink for a file that appears when the block ends well, whole, or not at all.

    Args:
      path: Its extension, one of SINKS, chooses the format; a sequence's name holds the place of
        the number, counted from 0, such as "frame-%05d.png".
      showing: What it shows.
      settings: A text to be stored in the file, for `probe.read_settings`.
      output: How it is encoded; what it leaves open is chosen here.
      overwrite: Whether what exists may be replaced.
      owner: Whoever alone may make the file now, see `target.replacing`.

    Raises:
      DreamError: The file cannot be written, or came out wrong.
    """
    encoding = replace(encoding_of(path, showing, output), settings=settings)
    check_shape(encoding)
    check_along(encoding)
    place = replacing_frames if encoding.format.numbered else replacing
    with place(path, overwrite, owner) as scratch:
        sink = encoding.format.sink(scratch, encoding)
        try:
            yield sink
            sink.close()
        except BaseException:
            sink.abort()
            raise
