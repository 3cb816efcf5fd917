"""Where the pictures of a film come from: a video file, an animation, or stills in a row."""

import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.colours import to_depth
from dreamvid.media.decode import unreadable
from dreamvid.media.numbered import find_stills
from dreamvid.media.stills import FORMATS, Picture, read_picture
from dreamvid.media.video import Shown, Video, small_size

ANIMATED = {"GIF": Fraction(1, 100), "WEBP": Fraction(1, 1000), "PNG": Fraction(1, 1000)}
"""Pillow's formats whose frames follow in time, and their clocks' ticks in seconds; frames of
others are pages or previews."""
UNTIMED = 100
"""Milliseconds for which browsers show a frame that has no time of its own."""

STILLS_A_SECOND = Fraction(30)
"""The rate of stills of which nothing is known."""


def open_source(path: Path, fps: Fraction = STILLS_A_SECOND) -> "Source":
    """Finds what a path leads to, and looks at the first picture.

    Args:
      path: A file; or stills as `find_stills` has them.
      fps: Pictures a second of stills.

    Raises:
      MediaError: There is nothing of the kind, or it holds no picture.
    """
    stills = find_stills(path)
    if stills is None and (tick := _tick(path)):
        return Animation(path, tick)
    if stills is None and path.suffix.lower() not in FORMATS:
        return Video.open(path)
    return Stills(path, tuple(stills or [path]), fps)


class Source(Protocol):
    """Gives pictures in the order of their times, one in memory at a time."""

    @property
    def path(self) -> Path:
        """What the user named."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read."""
        ...

    @property
    def begin(self) -> Fraction:
        """Second of its clock at which the first picture is shown."""
        ...

    @property
    def tick(self) -> Fraction:
        """What times are rounded to, in seconds."""
        ...

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """Pictures a second, as the source tells it: any, several or none of them true."""
        ...

    @property
    def aspect(self) -> Fraction:
        """Width of a pixel over its height, of upright pictures."""
        ...

    @property
    def still(self) -> bool:
        """Whether it is one picture that cannot move."""
        ...

    def shown(self, start: Fraction | None = None) -> Iterator[Shown | None]:
        """The pictures from one at or before a second of its clock on; None is the first.

        Yields:
          None in the place of each that cannot be decoded.

        Raises:
          MediaError: It breaks off.
        """
        ...


@dataclass(frozen=True)
class Stills:
    """Files of one picture each, at a constant rate."""

    path: Path
    files: tuple[Path, ...]
    fps: Fraction
    begin: Fraction = Fraction(0)
    tick: Fraction = Fraction(0)
    aspect: Fraction = Fraction(1)

    @property
    def still(self) -> bool:
        """See `Source`."""
        return self.files == (self.path,)

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """See `Source`."""
        return (self.fps,)

    def shown(self, start: Fraction | None = None) -> Iterator[Shown]:
        """See `Source`.

        Raises:
          MediaError: A file is no picture, or of another size than the first.
        """
        first = int((start or 0) * self.fps)
        size = None
        for number, file in enumerate(self.files[first:], first):
            shown = _picture(_levels(read_picture(file)), number / self.fps, 1 / self.fps)
            size = size or shown.size
            if shown.size != size:
                raise MediaError(
                    f"{file} has {shown.size} pixels, the first {size}: make them of one size"
                )
            yield shown


@dataclass(frozen=True)
class Animation:
    """A GIF, WebP or PNG whose pictures each have a time of their own."""

    path: Path
    tick: Fraction
    begin: Fraction = Fraction(0)
    rates: tuple[Fraction, ...] = ()
    aspect: Fraction = Fraction(1)
    still: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Source`."""
        return (self.path,)

    def shown(self, start: Fraction | None = None) -> Iterator[Shown]:
        """See `Source`; always from the first, since each frame is drawn over the one before.

        Raises:
          MediaError: The file is damaged.
        """
        time = Fraction(0)
        try:
            with Pillow.open(self.path) as file:
                for index in range(getattr(file, "n_frames", 1)):
                    file.seek(index)
                    rgba = np.asarray(file.convert("RGBA"), np.float32) / 255
                    pixels = _levels(Picture(rgba[..., :3], rgba[..., 3]))
                    span = Fraction(file.info.get("duration") or UNTIMED) / 1000
                    yield _picture(pixels, time, span)
                    time += span
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise unreadable(self.path, error) from None


def _tick(path: Path) -> Fraction | None:
    """The tick of an animation's clock; None for what is none."""
    if path.suffix.lower() not in (*FORMATS, ".gif"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(path) as file:
                moves = file.format == "GIF" or getattr(file, "n_frames", 1) > 1
                return ANIMATED.get(file.format or "") if moves else None
    except Exception:  # Pillow raises nearly every kind; what else the file is, others find out
        return None


def _levels(picture: Picture) -> np.ndarray:
    """uint16 where the picture has levels between those of 8 bits, else uint8."""
    values = picture.flattened() * 255
    pixels = np.round(values).astype(np.uint8)
    if picture.alpha is None and np.abs(values - pixels).max() > 1e-3:
        return np.round(picture.rgb * 65535).astype(np.uint16)
    return pixels


def _picture(pixels: np.ndarray, time: Fraction, span: Fraction) -> Shown:
    size = Size(pixels.shape[1], pixels.shape[0])

    def small() -> np.ndarray:
        to = small_size(size)
        copy = cv2.resize(pixels, (to.width, to.height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(to_depth(copy, 8)[..., ::-1])

    return Shown(
        time, span, size, 8 * pixels.itemsize, zlib.crc32(pixels.data), small, lambda: pixels
    )
