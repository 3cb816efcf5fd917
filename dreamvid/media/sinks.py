"""Sinks: where the frames of a clip go. One registered format an extension."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from dreamvid.fields import Size
from dreamvid.media import codecs
from dreamvid.media.animations import GifSink, WebpSink, gif_commands
from dreamvid.media.codecs import Encoding, Format, Sink, Sound, check_shape, choose
from dreamvid.media.ffmpeg import (
    VideoSink,
    check_sound,
    picture_command,
    shell_line,
    sound_command,
)
from dreamvid.media.sequence import PngSink
from dreamvid.media.target import check_sequence, check_target, replacing, replacing_frames
from dreamvid.options import Output
from dreamvid.registry import Registry

SINKS: Registry[Format] = Registry("output format")
"""Extension -> how such files are written."""

_APPLE = ("aac", "mp3", "alac", "ac3")
_INDEX_FIRST = ("-movflags", "+faststart")
SINKS.register(".mp4")(
    Format(
        VideoSink,
        (codecs.H264, codecs.HVC1, codecs.AV1),
        _INDEX_FIRST,
        Sound(("aac", "-b:a", "192k"), _APPLE),
    )
)
SINKS.register(".mov")(
    Format(
        VideoSink,
        (codecs.PRORES, codecs.H264, codecs.HVC1),
        _INDEX_FIRST,
        Sound(("pcm_s16le",), _APPLE),
    )
)
SINKS.register(".mkv")(
    Format(
        VideoSink,
        (codecs.FFV1, codecs.H264, codecs.HEVC, codecs.AV1),
        sound=Sound(("copy",)),
    )
)
SINKS.register(".webm")(
    Format(
        VideoSink,
        (codecs.VP9, codecs.AV1),
        sound=Sound(("libopus", "-b:a", "160k"), ("opus", "vorbis")),
    )
)
# Browsers show what follows within 10 ms only after 100 ms.
SINKS.register(".gif")(Format(GifSink, (codecs.GIF,), fastest=50))
SINKS.register(".webp")(Format(WebpSink, (codecs.WEBP,), fastest=90, largest_side=16383))
SINKS.register(".png")(Format(PngSink, (codecs.PNG, codecs.PNG16), numbered=True))


def check_output(
    path: Path,
    size: Size | None,
    fps: Fraction,
    output: Output,
    overwrite: bool,
    sound: Path | None = None,
) -> None:
    """Refuses all that could not be written, before any work is done for it.

    Args:
      path: The file to be made, or a sequence's name such as "frame-%05d.png".
      size: Of the frames; None where it is not known yet.
      fps: Frames a second.
      output: How it is to be encoded.
      overwrite: Whether what exists may be replaced.
      sound: The file whose first sound it shall have; None for none.

    Raises:
      DreamError: One line that says what will not do, with a way out.
    """
    check_target(path, SINKS, overwrite)
    encoding = replace(_choose(path, fps, output), size=size, sound=sound)
    if encoding.format.numbered:
        check_sequence(path, overwrite)
    check_shape(encoding)
    check_sound(encoding)


def _choose(path: Path, fps: Fraction, output: Output) -> Encoding:
    return choose(path, SINKS[path.suffix.lower()], fps, output)


def depth_of(path: Path, output: Output) -> int:
    """Bits of a channel that a sink wants: 8 (uint8), or 16 (uint16) where it keeps more than 8.

    Raises:
      DreamError: There is no such format or encoding.
    """
    return _choose(path, Fraction(1), output).depth


def ffmpeg_line(
    path: Path, size: Size, fps: Fraction, output: Output, sound: Path | None = None
) -> str | None:
    """What a shell would be told to do as a sink does, frames coming in through a pipe.

    Returns:
      The commands as one line; None where ffmpeg is not used.

    Raises:
      DreamError: There is no such format or encoding.
    """
    encoding = replace(_choose(path, fps, output), size=size, sound=sound)
    if not encoding.codec.encoder:
        return None
    if encoding.format.sink is GifSink:
        return shell_line(*gif_commands(path, path.with_suffix(".frames.mkv"), fps), joined=" | ")
    if not sound:
        return shell_line(picture_command(path, encoding))
    silent = path.with_suffix(f".silent{path.suffix}")
    joining = sound_command(path, silent, encoding, "SECONDS")
    return shell_line(picture_command(silent, encoding), joining)


@contextlib.contextmanager
def open_sink(
    path: Path,
    size: Size,
    fps: Fraction,
    settings: str,
    output: Output,
    overwrite: bool,
    sound: Path | None = None,
    owner: str = "",
) -> Iterator[Sink]:
    """A sink for a file that appears when the block ends well, whole, or not at all.

    Args:
      path: Its extension, one of SINKS, chooses the format; a sequence's name holds the place of
        the number, counted from 0, such as "frame-%05d.png".
      size: Of the frames that will be written.
      fps: Frames a second.
      settings: A text to be stored in the file, for `probe.read_settings`.
      output: How it is encoded; what it leaves open is chosen here.
      overwrite: Whether what exists may be replaced.
      sound: A file whose first sound the clip has, cut to its length; None for none.
      owner: Whoever alone may make the file now, see `target.replacing`.

    Raises:
      DreamError: The file cannot be written, or came out wrong.
    """
    encoding = replace(
        _choose(path, fps, output), size=size, settings=settings, sound=sound and sound.absolute()
    )
    check_shape(encoding)
    check_sound(encoding)
    place = replacing_frames if encoding.format.numbered else replacing
    with place(path, overwrite, owner) as scratch:
        sink = encoding.format.sink(scratch, encoding)
        try:
            yield sink
            sink.close()
        except BaseException:
            sink.abort()
            raise
