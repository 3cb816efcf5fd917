"""The shape that the pictures of a film are brought into: scaled, cropped, padded."""

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from dreamvid.fields import Size
from dreamvid.options import Footage


@dataclass(frozen=True)
class Shape:
    """How a picture becomes one of another size: a part of it is scaled and put on black."""

    source: Size
    """Of the whole picture."""
    part: Size
    """Of what is kept of it."""
    corner: tuple[int, int]
    """Where that begins: (x, y)."""
    scaled: Size
    """What the part is scaled to."""
    size: Size
    """Of the result, in whose middle that lies."""
    aspect: Fraction
    """Width of the result's pixels over their height."""

    @property
    def is_trimmed(self) -> bool:
        """Whether it does nothing but to cut off a row or column, or both."""
        over = (self.source.width - self.part.width, self.source.height - self.part.height)
        return self.part == self.size and set(over) <= {0, 1} and self.part != self.source

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Brings a picture into the shape.

        Args:
          pixels: (h, w) or (h, w, 3), uint8, uint16 or float32; one of another size than `source`
            is scaled to it first.

        Returns:
          (size.height, size.width) or (size.height, size.width, 3), of the same type.
        """
        pixels = _resize(pixels, self.source)
        x, y = self.corner
        pixels = _resize(pixels[y : y + self.part.height, x : x + self.part.width], self.scaled)
        if self.scaled == self.size:
            return np.ascontiguousarray(pixels)
        padded = np.zeros((self.size.height, self.size.width, *pixels.shape[2:]), pixels.dtype)
        x, y = _middle(self.size, self.scaled)
        padded[y : y + self.scaled.height, x : x + self.scaled.width] = pixels
        return padded


def fitted(source: Size, aspect: Fraction, size: Size, fit: str) -> Shape:
    """Fills a size of square pixels.

    Args:
      source: Of the picture.
      aspect: Width of its pixels over their height.
      size: The size to fill.
      fit: Where their shapes differ, "crop" the picture or "pad" it.
    """
    wide, high = size.width / (source.width * aspect), Fraction(size.height, source.height)
    if fit == "pad":
        scale = min(wide, high)
        scaled = Size(
            _side(source.width * aspect * scale, size.width),
            _side(source.height * scale, size.height),
        )
        return Shape(source, source, (0, 0), scaled, size, Fraction(1))
    scale = max(wide, high)
    part = Size(
        _side(size.width / scale / aspect, source.width),
        _side(size.height / scale, source.height),
    )
    return Shape(source, part, _middle(source, part), size, size, Fraction(1))


def choose_shape(
    source: Size, aspect: Fraction, wanted: Footage, square: bool, even: bool
) -> Shape:
    """The shape of a film's pictures.

    Args:
      source: Size of its pictures, upright.
      aspect: Width of their pixels over their height.
      wanted: The user's size, largest side and fit.
      square: Whether pixels have to be square; a size or largest side makes them so in any case.
      even: Whether sides have to be even where the user names no size.
    """
    if wanted.size:
        return fitted(source, aspect, _limited(wanted.size, wanted.max_side, even), wanted.fit)
    size = source
    if square or wanted.max_side:
        # To square pixels by stretching, which loses nothing.
        width, height = source.width * max(aspect, 1), source.height / min(aspect, 1)
        size, aspect = Size(round(width), round(height)), Fraction(1)
    size = _limited(size, wanted.max_side, even)
    if even:
        size = Size(max(size.width & ~1, 1), max(size.height & ~1, 1))
    over = (source.width - size.width, source.height - size.height)
    part = size if set(over) <= {0, 1} else source
    return Shape(source, part, (0, 0), size, size, aspect)


def _limited(size: Size, most: int | None, even: bool) -> Size:
    longest = max(size.width, size.height)
    if most is None or longest <= most:
        return size
    step = 2 if even else 1
    sides = (Fraction(side * most, longest) for side in (size.width, size.height))
    rounded = (min(step * round(side / step), most - most % step) for side in sides)
    return Size(*(max(side, 1) for side in rounded))


def _side(pixels: Fraction, most: int) -> int:
    return min(max(round(pixels), 1), most)


def _middle(outer: Size, inner: Size) -> tuple[int, int]:
    return (outer.width - inner.width) // 2, (outer.height - inner.height) // 2


def _resize(pixels: np.ndarray, size: Size) -> np.ndarray:
    height, width = pixels.shape[:2]
    less = (min(width, size.width), min(height, size.height))
    if less != (width, height):
        pixels = cv2.resize(pixels, less, interpolation=cv2.INTER_AREA)
    if less != (size.width, size.height):
        pixels = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return pixels
