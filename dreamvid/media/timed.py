"""Frames that each have a time of their own, on their way to ffmpeg."""

import contextlib
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from dreamvid.media.codecs import Encoding
from dreamvid.media.target import writing

_FINEST = 10**6
"""Ticks of a second; with many more, files have no room for a long frame."""


class TimedFrames:
    """Packs them as ffmpeg reads them from a pipe: raw, in NUT."""

    def __init__(self, encoding: Encoding):
        assert encoding.size
        assert encoding.times
        self._encoding = encoding
        self._pixels = raw_pixels(encoding)
        self._clock = clock(encoding.times)
        self._packed = 0
        self._bytes = _Bytes()
        self._container = av.open(self._bytes, "w", format="nut")
        self._stream = self._container.add_stream("rawvideo", rate=encoding.fps)
        assert isinstance(self._stream, VideoStream)
        self._stream.width, self._stream.height = encoding.size.width, encoding.size.height
        self._stream.pix_fmt = self._pixels
        self._stream.codec_context.time_base = Fraction(1, self._clock)

    def pack(self, frame: np.ndarray) -> bytes:
        """The bytes of a frame: uint8 or uint16 (h, w, 3)."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=self._pixels)
        picture.pts = round(self._encoding.shown(self._packed) * self._clock)
        picture.time_base = Fraction(1, self._clock)
        self._container.mux(self._stream.encode(picture))
        self._packed += 1
        return self._bytes.take()

    def end(self) -> bytes:
        """The last bytes."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._bytes.take()


class _Bytes:
    """What FFmpeg writes, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class TimedWriter:
    """Puts them aside in a file."""

    def __init__(self, path: Path, encoding: Encoding):
        self._output = encoding.output
        self._frames = TimedFrames(encoding)
        with writing(self._output):
            self._file = path.open("wb")

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame.

        Raises:
          MediaError: It cannot be written.
        """
        with writing(self._output):
            self._file.write(self._frames.pack(frame))

    def close(self) -> None:
        """Completes the file.

        Raises:
          MediaError: It cannot be written.
        """
        with writing(self._output):
            self._file.write(self._frames.end())
            self._file.close()

    def abort(self) -> None:
        """Stops at once; what is in the file then is of no use."""
        with contextlib.suppress(OSError):
            self._file.close()


def raw_pixels(encoding: Encoding) -> str:
    """FFmpeg's name of the pixel format in which frames are handed over."""
    return "rgb24" if encoding.depth == 8 else "rgb48le"


def clock(times: Sequence[Fraction]) -> int:
    """The ticks of a second by which all times are whole, or microseconds where that is finer."""
    return min(math.lcm(*(time.denominator for time in times)), _FINEST)
