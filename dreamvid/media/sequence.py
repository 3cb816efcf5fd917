"""Sequences: clips of which each frame is a PNG of its own."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.media.codecs import Encoding
from dreamvid.media.exif import pack
from dreamvid.media.target import writing

_HEADER = 33
"""Bytes of a PNG before the chunks that may hold text."""


class PngSink:
    """Lossless frames of 8 or 16 bits a channel, numbered from 0, each with the settings."""

    def __init__(self, path: Path, encoding: Encoding):
        self._path = path
        self._encoding = encoding
        self._written = 0
        self._settings = _chunk(b"eXIf", pack(encoding.settings))

    def write(self, frame: np.ndarray) -> None:
        """Writes a frame's file: see `Sink`."""
        # OpenCV, since Pillow has no 16-bit colour.
        _, encoded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        data = encoded.tobytes()
        with writing(self._encoding.output):
            self._at(self._written).write_bytes(data[:_HEADER] + self._settings + data[_HEADER:])
        self._written += 1

    def _at(self, index: int) -> Path:
        return self._path.with_name(self._path.name % index)

    def close(self) -> None:
        """Checks that each frame ends as a PNG does: see `Sink`."""
        end = _chunk(b"IEND", b"")
        with writing(self._encoding.output):
            found = sum(_ends_in(self._at(index), end) for index in range(self._written))
        if found != self._written or not found:
            raise MediaError(
                f"output {self._encoding.output} has {found} of {self._written} frames"
            )

    def abort(self) -> None:
        """Nothing is held open: see `Sink`."""


def _ends_in(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-len(end), 2)
        return file.read() == end


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
