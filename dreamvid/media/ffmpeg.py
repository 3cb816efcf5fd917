"""ffmpeg as a process that may fail, and the clips it writes."""

import contextlib
import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from dreamvid.errors import MediaError
from dreamvid.media.codecs import Encoding, executable, no_ffmpeg
from dreamvid.media.probe import count_frames
from dreamvid.media.timed import TimedFrames, raw_pixels
from dreamvid.media.tracks import opened
from dreamvid.paths import what_is_at

_LOG = logging.getLogger(__name__)
_QUIET = ("-hide_banner", "-loglevel", "error", "-y")
Input = int | IO[bytes] | None


class Ffmpeg:
    """A run of ffmpeg, with what it complains of."""

    def __init__(
        self,
        arguments: Sequence[str],
        stdin: Input = subprocess.DEVNULL,
        stdout: Input = subprocess.DEVNULL,
    ):
        """Starts it.

        Raises:
          MediaError: It does not start.
        """
        program = executable()
        # A file, since a pipe that nobody reads would fill up and stop ffmpeg.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                [program, *_QUIET, *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=self._log,
                env={**os.environ, "SVT_LOG": "1"},  # SVT-AV1 does not heed -loglevel
                # A Ctrl-C on the terminal is ours to handle, not the encoder's.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise no_ffmpeg(error) from None

    def finish(self, stage: str) -> None:
        """Waits for its end.

        Args:
          stage: How far the work has come, for the message.

        Raises:
          MediaError: It failed.
        """
        code = self.process.wait()
        if code:
            end = f"was killed by signal {-code}" if code < 0 else f"stopped with code {code}"
            raise MediaError(f"ffmpeg {end} {stage}: {self.complaint() or 'no reason given'}")

    def complaint(self) -> str:
        """What it has said, in one line."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return "; ".join(line.strip() for line in lines if line.strip())[-500:]

    def stop(self) -> None:
        """Kills it if it still runs."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log.close()


class VideoSink:
    """Frames encoded by ffmpeg as they come; what goes along with them is added at the end.

    Tagged BT.709 (RGB where the pixel format is); the rate and the times are exact, or as near as
    the file's clock allows.
    """

    def __init__(self, path: Path, encoding: Encoding):
        self._path = path
        self._encoding = encoding
        self._written = 0
        self._joins = bool(encoding.sound or encoding.tracks)
        self._pictures = path.with_suffix(f".silent{path.suffix}") if self._joins else path
        self._timed = TimedFrames(encoding) if encoding.times else None
        command = picture_command(self._pictures, encoding)
        self._ffmpeg = Ffmpeg(command, stdin=subprocess.PIPE)

    def write(self, frame: np.ndarray) -> None:
        """Hands a frame to ffmpeg, waiting while it is behind: see `Sink`."""
        assert self._ffmpeg.process.stdin is not None
        if self._encoding.depth == 16 and not self._encoding.pixels.is_rgb:
            # To YUV, ffmpeg takes 16 bits as 256ths of 8, and white for brighter than white.
            frame = frame - (frame >> 8)
        try:
            data = self._timed.pack(frame) if self._timed else np.ascontiguousarray(frame)
            self._ffmpeg.process.stdin.write(data)
        except OSError:
            self._ffmpeg.finish(self._stage)
            raise MediaError(f"ffmpeg stopped reading {self._stage}") from None
        self._written += 1

    @property
    def _stage(self) -> str:
        return f"after {self._written} frames"

    def close(self) -> None:
        """Waits for ffmpeg and checks its exit code and the frame count: see `Sink`."""
        assert self._ffmpeg.process.stdin is not None
        # ffmpeg may have died of the last frame, which is found just below.
        with contextlib.suppress(OSError):
            if self._timed:
                self._ffmpeg.process.stdin.write(self._timed.end())
            self._ffmpeg.process.stdin.close()
        self._end()
        if self._joins and self._written:
            self._ffmpeg.stop()
            seconds = f"{float(self._written / self._encoding.fps):.6f}"
            command = joining_command(self._path, self._pictures, self._encoding, seconds)
            self._ffmpeg = Ffmpeg(command)
            self._end()
        check_count(self._path, self._written, self._ffmpeg.complaint())
        keeps, tracks = self._encoding.format.sound, self._encoding.tracks
        if keeps and tracks:
            tracks.check_arrived(self._path, keeps)
        self.abort()

    def _end(self) -> None:
        self._ffmpeg.finish(self._stage)
        if complaint := self._ffmpeg.complaint():
            _LOG.warning("ffmpeg said of %s: %s", self._encoding.output, complaint)

    def abort(self) -> None:
        """Kills ffmpeg: see `Sink`."""
        self._ffmpeg.stop()
        if self._joins:
            self._pictures.unlink(missing_ok=True)


def check_count(path: Path, written: int, complaint: str = "") -> None:
    """Compares what is in a file with what should be.

    Raises:
      MediaError: The file holds another number of frames, or none.
    """
    found = count_frames(path)
    if found != written or not found:
        raise MediaError(f"ffmpeg wrote {found} of {written} frames. {complaint}".rstrip())


def picture_command(path: Path, encoding: Encoding) -> list[str]:
    """What ffmpeg is told to encode frames that come through a pipe."""
    codec = encoding.codec
    command = ["-f", "rawvideo", "-pix_fmt", raw_pixels(encoding), "-s", str(encoding.size)]
    command += ["-r", str(encoding.fps)]
    if encoding.times:
        command = ["-f", "nut"]
    command += ["-i", "pipe:0", "-vf", _filters(encoding), *timing(encoding)]
    command += ["-c:v", codec.encoder, *codec.arguments]
    if encoding.crf is not None:
        command += ["-crf", str(encoding.crf)]
    if encoding.preset:
        command += [codec.preset_flag, encoding.preset]
    if codec.tag:
        command += ["-tag:v", codec.tag]
    command += encoding.format.flags
    if encoding.settings:
        command += ["-metadata", f"comment={encoding.settings}"]
    # Absolute, since a colon in a relative name would make its beginning a protocol.
    return [*command, str(path.absolute())]


def timing(encoding: Encoding) -> list[str]:
    """That pictures are shown at their own times, and the last one until the clip ends."""
    if not encoding.times:
        return []
    last, end = encoding.times[-1], encoding.shown(len(encoding.times))
    lasting = f"if(gt(PTS*TB,{float(last) - 0.0006:.6f}),{float(end - last):.6f}/TB,DURATION)"
    if encoding.format.sound and encoding.format.sound.edited:
        # There the sum of all durations is the clip's, and the last in the file another picture.
        rest = f"max(1,{float(end):.6f}/TB-DTS+STARTDTS)"
        lasting = f"if(eq(N,{len(encoding.times) - 1}),{rest},{lasting})"
    return [
        *("-fps_mode", "passthrough", "-enc_time_base", "filter"),
        *("-bsf:v", f"setts=pts=PTS:dts=DTS:duration='{lasting}'"),
    ]


def _filters(encoding: Encoding) -> str:
    tags = "setparams=color_primaries=bt709:color_trc=bt709:"
    if encoding.aspect != 1:
        tags = f"setsar=sar={encoding.aspect}:max=65535,{tags}"
    if encoding.pixels.is_rgb:
        return f"format={encoding.pix_fmt},{tags}colorspace=gbr:range=pc"
    scale = "scale=flags=accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv"
    return f"{scale},format={encoding.pix_fmt},{tags}colorspace=bt709:range=tv"


def joining_command(path: Path, pictures: Path, encoding: Encoding, seconds: str) -> list[str]:
    """What ffmpeg is told to join to finished pictures all that goes along with them.

    Args:
      path: The file to be made.
      pictures: The file that holds them.
      encoding: What goes along: a sound, or tracks.
      seconds: The length of the pictures, to which sound is cut.
    """
    along = _tracks(pictures, encoding) if encoding.tracks else _sound(pictures, encoding, seconds)
    command = [*along, "-c:v", "copy", *encoding.format.flags]
    if encoding.codec.tag:
        command += ["-tag:v", encoding.codec.tag]
    return [*command, str(path.absolute())]


def _tracks(pictures: Path, encoding: Encoding) -> list[str]:
    keeps, tracks = encoding.format.sound, encoding.tracks
    assert keeps is not None
    assert tracks is not None
    # By the clocks of the files, which ffmpeg would else set to 0 each by its own measure.
    command = ["-copyts", "-i", str(pictures.absolute()), "-protocol_whitelist", "file"]
    command += ["-itsoffset", f"{-float(tracks.shift):.6f}", "-i", str(tracks.path.absolute())]
    command += ["-map", "0:v", *tracks.arguments(keeps), *timing(encoding)]
    # Sound may come late, and waits for it.
    command += ["-max_muxing_queue_size", "100000"]
    if tracks.length is not None:
        # A little less, or a chapter that begins at the end would go along, of no length.
        command += ["-t", f"{float(tracks.length) - 2e-6:.6f}"]
    return [*command, "-metadata", f"comment={encoding.settings}"]


def _sound(pictures: Path, encoding: Encoding, seconds: str) -> list[str]:
    keeps, sound = encoding.format.sound, encoding.sound
    assert keeps is not None
    assert sound is not None
    codec = _codec(sound) or ""
    encoder = ("copy",) if codec in keeps.copied else keeps.encoder
    if encoder == ("copy",) and codec.startswith("pcm_"):
        encoder = (codec,)  # as lossless as a copy, and cut to the sample
    command = ["-i", str(pictures.absolute()), "-i", str(sound.absolute())]
    command += ["-map", "0:v", "-map", "1:a:0", "-map_metadata", "0", "-map_chapters", "-1"]
    return [*command, "-c:a", *encoder, "-t", seconds]


def check_along(encoding: Encoding) -> None:
    """Refuses sound that the file cannot have, and sound or tracks that cannot be read.

    Raises:
      MediaError: It is so.
    """
    sound, name = encoding.sound, encoding.output.suffix.lower()
    if encoding.tracks:
        encoding.tracks.check()
    if sound is None:
        return
    if encoding.format.sound is None:
        raise MediaError(f"output {encoding.output} cannot have sound: choose .mp4, or no sound")
    if what_is_at(sound) != "file":
        raise MediaError(f"no sound at {sound}, there is {what_is_at(sound)}: check the path")
    if _codec(sound) is None:
        raise MediaError(f"{sound} holds no sound that a {name} could have: choose another file")


def _codec(sound: Path) -> str | None:
    with opened(sound, "sound") as container:
        context = container.streams.audio[0].codec_context if container.streams.audio else None
        return context.codec.canonical_name if context else None


def shell_line(*commands: Sequence[str], joined: str = " && ") -> str:
    """Runs of ffmpeg as a line that a shell would understand."""
    return joined.join(shlex.join(["ffmpeg", *_QUIET, *command]) for command in commands)
