"""Animated pictures for web pages: GIF and WebP."""

import contextlib
import shutil
import struct
import subprocess
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.media.codecs import Encoding
from dreamvid.media.exif import pack
from dreamvid.media.ffmpeg import Ffmpeg, check_count, timing
from dreamvid.media.segments import SegmentWriter
from dreamvid.media.target import writing
from dreamvid.media.timed import TimedWriter


class GifSink:
    """A GIF that loops, with the 256 colours that suit the clip best.

    They are known at the end only, so that the frames wait in a file beside it.
    """

    def __init__(self, path: Path, encoding: Encoding):
        self._path = path
        self._encoding = encoding
        self._frames = path.with_suffix(".frames.mkv")
        self._bare = path.with_suffix(".bare.gif")
        assert encoding.size
        self._writer = (
            TimedWriter(self._frames, encoding)
            if encoding.times
            else SegmentWriter(self._frames, encoding.size, encoding.fps, 8)
        )
        self._runs: list[Ffmpeg] = []
        self._written = 0

    def write(self, frame: np.ndarray) -> None:
        """Puts a frame aside: see `Sink`."""
        self._writer.write(frame)
        self._written += 1

    def close(self) -> None:
        """Finds the colours, draws with them and checks the frame count: see `Sink`."""
        self._writer.close()
        palette, drawing = gif_commands(self._bare, self._frames, self._encoding)
        self._runs.append(Ffmpeg(palette, stdout=subprocess.PIPE))
        self._runs.append(Ffmpeg(drawing, stdin=self._runs[0].process.stdout))
        for run in self._runs:
            run.finish(f"after {self._written} frames")
        with writing(self._encoding.output):
            _comment(self._bare, self._path, self._encoding.settings)
        check_count(self._path, self._written, self._runs[1].complaint())
        self.abort()

    def abort(self) -> None:
        """Stops all work and removes what waited: see `Sink`."""
        self._writer.abort()
        for run in self._runs:
            run.stop()
        for scratch in (self._frames, self._bare):
            scratch.unlink(missing_ok=True)


def gif_commands(path: Path, frames: Path, encoding: Encoding) -> tuple[list[str], list[str]]:
    """What ffmpeg is told to find a clip's colours, and, with these piped in, to draw it."""
    rate = [] if encoding.times else ["-r", str(encoding.fps)]
    clip = [*rate, "-i", str(frames.absolute())]
    raw = ["-f", "rawvideo", "-pix_fmt", "bgra"]
    palette = [*clip, "-vf", "palettegen=reserve_transparent=0", *raw, "pipe:1"]
    drawing = [*raw, "-s", "16x16", "-i", "pipe:0", *clip, "-filter_complex", "[1][0]paletteuse"]
    # Each frame's time is rounded to the GIF's clock on its own, so that the sum never drifts.
    drawing += timing(encoding) or ["-fps_mode", "passthrough"]
    return palette, [*drawing, "-loop", "0", str(path.absolute())]


def _comment(bare: Path, path: Path, text: str) -> None:
    """Copies a GIF with a comment behind its header, which ffmpeg cannot write."""
    with bare.open("rb") as source, path.open("wb") as target:
        header = source.read(13)
        colours = 3 * 2 ** ((header[10] & 7) + 1) if header[10] & 0x80 else 0
        target.write(header + source.read(colours))
        data = text.encode()
        if data:  # an empty comment makes ffmpeg read but one frame
            target.write(b"\x21\xfe")
            for start in range(0, len(data), 255):
                block = data[start : start + 255]
                target.write(bytes([len(block)]) + block)
            target.write(b"\0")
        shutil.copyfileobj(source, target)


class WebpSink:
    """An animated WebP that loops: lossy stills in one file, each with its own duration.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """

    def __init__(self, path: Path, encoding: Encoding):
        self._encoding = encoding
        self._path = path
        self._written = 0
        assert encoding.size
        sides = _three(encoding.size.width - 1) + _three(encoding.size.height - 1)
        self._sides = sides
        with writing(encoding.output):
            self._file = path.open("wb")
        self._put(b"RIFF\0\0\0\0WEBP")
        self._put(_chunk(b"VP8X", bytes([0x0A, 0, 0, 0]) + sides))  # has EXIF, is animated
        self._put(_chunk(b"ANIM", bytes([255, 255, 255, 255, 0, 0])))  # for ever

    def _put(self, data: bytes) -> None:
        with writing(self._encoding.output):
            self._file.write(data)

    def write(self, frame: np.ndarray) -> None:
        """Encodes a frame: see `Sink`."""
        still = iio.imwrite("<bytes>", frame, plugin="pillow", extension=".webp", quality=90)
        ends = (self._encoding.shown(self._written + k) for k in (0, 1))
        start, end = (round(1000 * time) for time in ends)  # of the whole clip: no sum drifts
        # At the corner, unblended, and left standing.
        place = bytes(6) + self._sides + _three(end - start) + b"\x02"
        self._put(_chunk(b"ANMF", place + still[12:]))  # without its own header
        self._written += 1

    def close(self) -> None:
        """Completes the file and checks the frame count: see `Sink`."""
        self._put(_chunk(b"EXIF", pack(self._encoding.settings)))
        length = self._file.tell() - 8
        if length >= 2**32 - 10:
            raise MediaError(
                f"output {self._encoding.output} is too large for a WebP: make it a .mp4"
            )
        with writing(self._encoding.output):
            self._file.seek(4)
            self._file.write(struct.pack("<I", length))
            self._file.close()
        check_count(self._path, self._written)

    def abort(self) -> None:
        """Closes the file: see `Sink`."""
        with contextlib.suppress(OSError):
            self._file.close()


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
