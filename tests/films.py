"""Small films made on the spot, and an independent decoder of them."""

import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np


def ffmpeg(*words: str | Path) -> bytes:
    """Runs ffmpeg; what it writes to its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def make(path: Path, picture: str, *words: str | Path) -> None:
    """Encodes what a filter draws, for example "testsrc2=s=64x48:r=25:d=1"."""
    ffmpeg("-f", "lavfi", "-i", picture, *words, path)


def decoded(path: Path, height: int, width: int) -> np.ndarray:
    """All pictures as ffmpeg shows them: uint8 (frames, height, width, 3)."""
    scale = "scale=flags=accurate_rnd+full_chroma_int+bilinear:in_chroma_loc=left,format=rgb24"
    words = ("-i", path, "-vf", scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    return np.frombuffer(ffmpeg(*words), np.uint8).reshape(-1, height, width, 3)


def level(number: int) -> int:
    """The grey of a film's picture, of which there are 60 at most."""
    return 12 + 4 * number


def write_levels(
    path: Path,
    count: int,
    times: Sequence[int] | None = None,
    clock: Fraction = Fraction(1, 1000),
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
) -> None:
    """A film of 64x48 in plain greys, by which its pictures are known.

    Args:
      path: The file.
      count: How many.
      times: When each is shown, in ticks of the clock; at 25 pictures a second if not given.
      clock: Seconds of a tick.
      codec: In ffmpeg's words.
      options: The encoder's.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = clock if times else Fraction(1, 25)
        for number in range(count):
            grey = np.full((48, 64, 3), level(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def numbers(pictures: Iterable[np.ndarray]) -> list[int]:
    """Which pictures of `write_levels` these are."""
    levels = [
        picture.mean() * (1 if picture.dtype == np.uint8 else 1 / 257) for picture in pictures
    ]
    return [round((value - 12) / 4) for value in levels]
