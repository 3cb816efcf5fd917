"""Sinks: where the frames of a clip go. One registered class an output format."""

import contextlib
import json
import logging
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Protocol

import imageio_ffmpeg
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.media.probe import count_frames
from dreamvid.media.target import replacing
from dreamvid.options import Size
from dreamvid.registry import Registry

_LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes the frames of a clip, in order."""

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame: uint8 (height, width, 3), RGB."""
        ...

    def close(self) -> None:
        """Completes the file and checks it.

        Raises:
          MediaError: It is not whole.
        """
        ...

    def abort(self) -> None:
        """Stops at once; what is in the file then is of no use."""
        ...


SINKS: Registry[Callable[[Path, Size, Fraction, dict[str, Any]], Sink]] = Registry("output format")
"""Extension -> a sink's class, called with (path, size, fps, settings)."""


@contextlib.contextmanager
def open_sink(
    path: Path, size: Size, fps: Fraction, settings: dict[str, Any], overwrite: bool
) -> Iterator[Sink]:
    """A sink for a file that appears when the block ends well, whole, or not at all.

    Args:
      path: Its extension, one of SINKS, chooses the format.
      size: Of the frames that will be written.
      fps: Frames a second.
      settings: JSON values, stored in the file.
      overwrite: Whether an existing file may be replaced.

    Raises:
      MediaError: The file cannot be written, or came out wrong.
    """
    with replacing(path, overwrite) as scratch:
        sink = SINKS[path.suffix.lower()](scratch, size, fps, settings)
        try:
            yield sink
            sink.close()
        except BaseException:
            sink.abort()
            raise


@SINKS.register(".mp4")
class Mp4Sink:
    """H.264 that every player opens: 4:2:0, even sizes, tagged BT.709, index at the front."""

    def __init__(self, path: Path, size: Size, fps: Fraction, settings: dict[str, Any]):
        if size.width % 2 or size.height % 2:
            even = Size(size.width // 2 * 2, size.height // 2 * 2)
            raise MediaError(f"size {size} has an odd side, which H.264 cannot have: use {even}")
        self._path = path
        self._written = 0
        command = ["-hide_banner", "-loglevel", "error", "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", str(size), "-r", str(fps)]
        command += ["-i", "pipe:0", "-c:v", "libx264", "-preset", "medium", "-crf", "18"]
        command += ["-vf", "scale=flags=accurate_rnd+full_chroma_int:out_color_matrix=bt709"
                    ":out_range=tv,format=yuv420p,setparams=color_primaries=bt709"
                    ":color_trc=bt709:colorspace=bt709:range=tv"]  # fmt: skip
        command += ["-movflags", "+faststart", "-metadata", f"comment={json.dumps(settings)}"]
        # Absolute, since a colon in a relative name would make its beginning a protocol.
        command += [str(path.absolute())]
        # A file, since a pipe that nobody reads would fill up and stop ffmpeg.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [imageio_ffmpeg.get_ffmpeg_exe(), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                # A Ctrl-C on the terminal is ours to handle, not the encoder's.
                start_new_session=True,
            )
        except (RuntimeError, OSError) as error:
            self._log.close()
            raise MediaError(
                f"ffmpeg cannot be started ({error}): reinstall imageio-ffmpeg, "
                "or let IMAGEIO_FFMPEG_EXE name one"
            ) from None

    def write(self, frame: np.ndarray) -> None:
        """Hands a frame to ffmpeg, waiting while it is behind: see `Sink`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame))
        except OSError:
            self._process.wait()
            raise self._failure() from None
        self._written += 1

    def close(self) -> None:
        """Waits for ffmpeg and checks its exit code and the frame count: see `Sink`."""
        assert self._process.stdin is not None
        # ffmpeg may have died of the last frame, which is found just below.
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()
        found = count_frames(self._path)
        if found != self._written or not found:
            raise MediaError(f"ffmpeg wrote {found} of {self._written} frames. {self._complaint()}")
        if complaint := self._complaint():
            _LOG.warning("ffmpeg said of %s: %s", self._path, complaint)
        self._log.close()

    def abort(self) -> None:
        """Kills ffmpeg: see `Sink`."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._log.close()

    def _failure(self) -> MediaError:
        return MediaError(
            f"ffmpeg stopped with code {self._process.returncode} "
            f"after {self._written} frames: {self._complaint() or 'no reason given'}"
        )

    def _complaint(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return "; ".join(line.strip() for line in lines if line.strip())[-500:]
