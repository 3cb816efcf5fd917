"""The frames of any clip, as a player shows them."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from dreamvid.errors import MediaError
from dreamvid.media.colours import to_depth
from dreamvid.media.decode import unreadable
from dreamvid.media.hdr import CURVES
from dreamvid.media.numbered import find_stills
from dreamvid.media.segments import read_segment
from dreamvid.media.sources import Animation, open_source
from dreamvid.media.video import Video


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Every frame of a clip in order, upright, one in memory at a time.

    Colours follow the file's matrix and range; where it names none, limited range and BT.709 from
    720 lines on or BT.601 below, as players do. Transparent pictures lie on white.

    Args:
      path: MP4, MOV, MKV, WebM or any video FFmpeg reads, of which the first video stream counts;
        an animated GIF or WebP; a still, which is one frame; or stills in a row, named by a printf
        pattern such as `frame-%05d.png` or a wildcard.

    Yields:
      uint8 (h, w, 3) RGB, all of one size.

    Raises:
      MediaError: While frames are drawn: there is no such clip, it holds no frame, is damaged or
        breaks off, changes its size, or has colours that 8-bit RGB cannot show (HDR).
    """
    first = None
    for index, frame in enumerate(_frames(path)):
        first = frame.shape if first is None else first
        if frame.shape != first:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (frame.shape, first)]
            raise MediaError(f"frame {index} of {path} has {sizes[0]} pixels, the first {sizes[1]}")
        yield to_depth(frame, 8)
    if first is None:
        raise MediaError(f"{path} holds no frames: check that it was written to its end")


def _frames(path: Path) -> Iterator[np.ndarray]:
    if path.suffix == ".nut" and find_stills(path) is None:  # a piece of a run
        yield from read_segment(path)
        return
    source = open_source(path)
    if isinstance(source, Video) and source.curve in CURVES:
        raise MediaError(f"{path} is HDR video ({CURVES[source.curve]}): convert it to SDR first")
    for shown in source.shown():
        if shown is None or shown.damaged:
            raise unreadable(path, "a frame is not whole")
        yield shown.pixels()


def rate(path: Path) -> Fraction | None:
    """The average number of frames a second; None where stills carry none.

    Raises:
      MediaError: There is no such clip, or it cannot be read.
    """
    source = open_source(path)
    if isinstance(source, Animation):
        spans = [shown.span for shown in source.shown() if shown]
        return (len(spans) / sum(spans, Fraction(0))).limit_denominator(1001)
    return source.rates[0] if isinstance(source, Video) and source.rates else None


def first_file(path: Path) -> Path:
    """The clip's own file, or the first of the stills that a pattern names.

    Raises:
      MediaError: There is no such clip.
    """
    return (find_stills(path) or [path])[0]
