"""Segments: lossless pieces of a render, in files that are closed once and for all.

Frames in NUT, each on its own. A closed segment ends in a seal with its frame count and a digest of
all bytes before it, so that none that was cut short or damaged passes for whole.
"""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from dreamvid.errors import MediaError
from dreamvid.fields import Size


@dataclass(frozen=True)
class _Coding:
    """How frames are stored."""

    codec: str
    pixels: str
    """The pixel format, the codec's and NumPy's."""
    options: dict[str, str] = field(default_factory=dict)


_UT = _Coding("utvideo", "gbrp", {"pred": "median"})
_RAW = {8: _Coding("rawvideo", "rgb24"), 16: _Coding("rawvideo", "rgb48le")}


def _coding(size: Size, depth: int) -> _Coding:
    """The quickest that saves something.

    Ut Video takes a fifth of FFV1's time and a seventh more room. Of 16 bits most are noise: FFV1
    would save a tenth of them in ten times the time (all measured at 640x360).
    """
    # ffmpeg's Ut Video cannot read what it wrote of noise where both sides are odd.
    return _UT if depth == 8 and not (size.width % 2 or size.height % 2) else _RAW[depth]


_MARK = b"dreamvid"
_SEAL = len(_MARK) + 8 + 16


class SegmentWriter:
    """Writes one segment, frame by frame."""

    def __init__(self, path: Path, size: Size, fps: Fraction, depth: int):
        """Begins the file.

        Args:
          path: The file; what is there is replaced.
          size: Of the frames, at least 4x4.
          fps: Frames a second, at most 1000.
          depth: Bits of a channel: 8 or 16.

        Raises:
          MediaError: The file cannot be written.
        """
        self._path = path
        self._written = 0
        self._shape = (size.height, size.width, 3)
        self._type = np.uint8 if depth == 8 else np.uint16
        self._coding = coding = _coding(size, depth)
        with _failing(path):
            self._disk = _Disk(path)
            self._container = av.open(self._disk, "w", format="nut")
            options = coding.options
            stream = self._container.add_stream(coding.codec, rate=fps, options=options)
            assert isinstance(stream, av.VideoStream)
            self._stream = stream
            self._stream.width, self._stream.height = size.width, size.height
            self._stream.pix_fmt = coding.pixels
            self._stream.codec_context.thread_count = 0  # one a core
            self._stream.codec_context.thread_type = "SLICE"

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame: uint8 or uint16 (height, width, 3), RGB.

        Raises:
          MediaError: It cannot be written.
        """
        if frame.shape != self._shape or frame.dtype != self._type:
            raise ValueError(f"a frame of {frame.shape} {frame.dtype} is not {self._shape}")
        picture = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame), format=self._coding.pixels
        )
        with _failing(self._path):
            self._container.mux(self._stream.encode(picture))
            self._disk.check()
        self._written += 1

    def close(self) -> None:
        """Completes the file, counts its frames, seals it and waits until it is on the disk.

        Raises:
          MediaError: It is not whole.
        """
        with _failing(self._path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._disk.close()
            found = len(_times(self._path))
            if found != self._written:
                raise MediaError(f"segment {self._path} has {found} of {self._written} frames")
            with self._path.open("r+b") as file:
                digest = hashlib.file_digest(file, _digest).digest()
                file.seek(0, os.SEEK_END)
                file.write(_MARK + found.to_bytes(8, "big") + digest)
                file.flush()
                os.fsync(file.fileno())

    def abort(self) -> None:
        """Stops at once; what is in the file then is of no use."""
        with contextlib.suppress(OSError, FFmpegError):
            self._disk.close()
        with contextlib.suppress(OSError, FFmpegError):
            self._container.close()


class _Disk:
    """A file that keeps a failure until it is asked for.

    ffmpeg says nothing of a disk that is full when it closes a file, and PyAV prints what it
    meets on the way out.
    """

    def __init__(self, path: Path):
        self._file = path.open("wb")
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:
        if not self._failure and not self._file.closed:
            try:
                self._file.write(data)
            except OSError as error:
                self._failure = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return 0 if self._file.closed else self._file.seek(offset, whence)
        except OSError as error:
            self._failure = self._failure or error
            return 0

    def tell(self) -> int:
        return 0 if self._file.closed else self._file.tell()

    def check(self) -> None:
        if self._failure:
            raise self._failure

    def close(self) -> None:
        self._file.close()
        self.check()


def count_segment(path: Path) -> int:
    """The number of frames in a segment, which is looked at byte by byte.

    Raises:
      MediaError: There is none, it is damaged, or it was never closed.
    """
    with _failing(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _SEAL, 0))
        seal = file.read()
        file.seek(0)
        digest = _digest()
        left = size - _SEAL
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    count = seal[len(_MARK) : -16]
    if seal != _MARK + count + digest.digest():
        raise MediaError(f"segment {path} is damaged or was never closed")
    return int.from_bytes(count, "big")


def read_segment(path: Path, reverse: bool = False) -> Iterator[np.ndarray]:
    """The frames of a segment, bit for bit as they were written; few are in memory at a time.

    Args:
      path: A file that a `SegmentWriter` has closed.
      reverse: Whether the last comes first.

    Yields:
      uint8 or uint16 (height, width, 3), RGB.

    Raises:
      MediaError: There is none, it is damaged, or it was never closed.
    """
    expected = count_segment(path)
    with _failing(path), av.open(str(path.absolute())) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        found = 0
        frames = _backwards(path, expected, container) if reverse else container.decode(stream)
        # No further than the frames go: not every format skips the seal.
        for frame in itertools.islice(frames, expected):
            yield frame.to_ndarray(format=frame.format.name)
            found += 1
    if found != expected:
        raise MediaError(f"segment {path} has {found} of {expected} frames")


def _backwards(path: Path, count: int, container: InputContainer) -> Iterator[av.VideoFrame]:
    stream = container.streams.video[0]
    for time in reversed(_times(path, count)):
        container.seek(time, stream=stream)
        yield next(frame for frame in container.decode(stream) if frame.pts == time)


def _times(path: Path, most: int | None = None) -> list[int]:
    """When each frame is shown, in the file's ticks."""
    with av.open(str(path.absolute())) as container:
        shown = (p.pts for p in container.demux(video=0) if p.size and p.pts is not None)
        return list(itertools.islice(shown, most))


def _digest() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


@contextlib.contextmanager
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, FFmpegError) as error:
        raise MediaError(f"segment {path} fails: {error.strerror or error}") from None
