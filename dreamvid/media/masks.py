"""Masks: where a film is dreamed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.colours import LUMA
from dreamvid.media.film import Film, survey
from dreamvid.media.shape import Shape
from dreamvid.media.sources import open_source
from dreamvid.media.stills import Picture, read_picture
from dreamvid.options import Footage
from dreamvid.paths import sha256_of


@dataclass(frozen=True)
class Mask:
    """Where each picture of a film is dreamed: the same for all, or a film of its own."""

    path: Path
    feather: float
    """How far its edges are softened, in pixels."""
    _count: int
    """Pictures of the film that it is for."""
    _shape: Shape
    """How it comes to the size of that."""
    _still: np.ndarray | None = field(repr=False)
    """float32 (h, w) in [0, 1], softened, at the film's size; None where it moves."""
    _film: Film | None = field(repr=False)
    """What it is where it moves."""

    def masks(self, first: int = 0) -> Iterator[np.ndarray]:
        """The masks from picture number `first` on.

        Yields:
          float32 (h, w) in [0, 1], of the film's size; 1 is dreamed.

        Raises:
          MediaError: While they are drawn: the mask is not what it was.
        """
        if self._still is not None:
            yield from repeat(self._still, self._count - first)
        if self._film is not None:
            for pixels in self._film.pictures(first):
                yield _soften(self._shape.apply(_luma(pixels)), self.feather)

    def digest(self) -> str:
        """The sha256 of its file, or of those of its stills."""
        return self._film.digest() if self._film else sha256_of(self.path)


def read_mask(path: Path, film: Film, feather: float) -> Mask:
    """Reads a mask for a film.

    It is scaled to the size of the film's pictures where it has their shape. Else it is taken for a
    mask of the file's whole pictures, and is scaled, cropped and padded as they are.

    Args:
      path: A still, of which what is transparent counts as black; or a film or stills in a row with
        as many pictures as the film.
      film: The film.
      feather: How far its edges are softened, in pixels: half of that is the deviation of a
        Gaussian blur.

    Raises:
      MediaError: There is no such mask, it cannot be read, or is of another length.
    """
    source = open_source(path)
    if source.still:
        picture = read_picture(path)
        shape = _shape(picture.size, film)
        return Mask(path, feather, film.count, shape, _still(picture, shape, feather), None)
    moving = survey(path, Footage(cuts="none"), even=False)
    if moving.count != film.count:
        raise MediaError(
            f"mask {path} has {moving.count} pictures, what is wanted of {film.path} {film.count}: "
            "make them as many, or name a still"
        )
    return Mask(path, feather, film.count, _shape(moving.size, film), None, moving)


def _shape(size: Size, film: Film) -> Shape:
    if abs(size.width * film.size.height / (size.height * film.size.width) - 1) < 0.01:
        return Shape(size, size, (0, 0), film.size, film.size, film.aspect)
    return film.shape


def _still(picture: Picture, shape: Shape, feather: float) -> np.ndarray:
    mask = cv2.transform(picture.rgb, LUMA[None])
    mask = mask if picture.alpha is None else mask * picture.alpha
    return _soften(shape.apply(mask), feather)


def _luma(pixels: np.ndarray) -> np.ndarray:
    return cv2.transform(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max, LUMA[None])


def _soften(mask: np.ndarray, feather: float) -> np.ndarray:
    if feather:
        height, width = mask.shape
        # A wide blur is one of a small copy: the same, and much quicker.
        less = max(int(feather / 8), 1)
        across, down = max(width // less, 1), max(height // less, 1)
        mask = cv2.resize(mask, (across, down), interpolation=cv2.INTER_AREA)
        x, y = feather / 2 * across / width, feather / 2 * down / height
        mask = cv2.GaussianBlur(mask, (0, 0), x, sigmaY=y, borderType=cv2.BORDER_REPLICATE)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(mask, 0.0, 1.0)
