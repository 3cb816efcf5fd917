"""Pictures and clips that a notebook displays by itself."""

import base64
import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image as Pillow

from dreamvid.errors import DreamError

FASTEST = 90
"""Pictures a second: browsers slow down what is shown for less than 11 ms."""


@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture; a notebook displays it as a PNG."""

    pixels: np.ndarray
    """uint8 (h, w, 3) RGB, or (h, w) grey."""

    def __repr__(self) -> str:
        return f"a picture of {_size(self.pixels)} pixels"

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        Pillow.fromarray(self.pixels).save(data, "PNG")
        return data.getvalue()


@dataclass(frozen=True, eq=False)
class ShownClip:
    """A clip; a notebook displays it as an animated WebP, over and over."""

    pictures: tuple[np.ndarray, ...]
    """uint8 (h, w, 3) RGB, or (h, w) grey, all of one shape."""
    fps: float | Fraction

    def __repr__(self) -> str:
        count = f"{len(self.pictures)} frame{'s' * (len(self.pictures) > 1)}"
        return f"a clip of {count} of {_size(self.pictures[0])} pixels"

    def _repr_html_(self) -> str:
        # Each to the nearest millisecond of the clip, so that the rate is kept in the long run.
        ends = [round(1000 * number / self.fps) for number in range(len(self.pictures) + 1)]
        first, *others = map(Pillow.fromarray, self.pictures)
        data = io.BytesIO()
        spans = [after - before for before, after in itertools.pairwise(ends)]
        how = {"duration": spans, "loop": 0, "quality": 90}
        first.save(data, "WEBP", save_all=True, append_images=others, **how)
        height, width = self.pictures[0].shape[:2]
        address = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
        return f'<img width="{width}" height="{height}" alt="{self!r}" src="{address}">'


def show(pictures: Any, fps: float | Fraction = 30) -> ShownPicture | ShownClip:
    """Displays a picture or a clip, where it is the last word of a notebook's cell.

        dreamvid.show(image)
        dreamvid.show([image, 1.0 - image], fps=2)

    Args:
      pictures: One picture: an array (h, w, 3), RGB, or (h, w), grey; floats in [0, 1] or uint8. Or
        several of one size: an array (n, h, w, 3), or any iterable of pictures or of frames.
      fps: Pictures a second of several, from 0.01 to 90.

    Raises:
      DreamError: They are nothing of the kind.
    """
    if not 0.01 <= fps <= FASTEST:
        raise DreamError(f"fps is {fps}: choose 0.01 to {FASTEST} pictures a second")
    if getattr(pictures, "ndim", 4) < 4 or not isinstance(pictures, Iterable):
        return ShownPicture(_pixels(pictures, "the picture"))
    clip = tuple(_pixels(one, f"picture {number}") for number, one in enumerate(pictures))
    if len(shapes := {pixels.shape for pixels in clip}) != 1:
        raise DreamError(
            f"{len(clip)} pictures of {len(shapes)} shapes are no clip: show some of one shape"
        )
    return ShownClip(clip, fps)


def _pixels(picture: Any, what: str) -> np.ndarray:
    """uint8 (h, w, 3) or (h, w), a copy: who gives pictures one by one may draw over the last."""
    picture = getattr(picture, "image", picture)
    is_array = hasattr(picture, "ndim")
    values = np.asarray(picture if is_array else 0)
    shape, kind = values.shape, values.dtype
    drawn = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if not drawn or 0 in shape or not (kind == np.uint8 or kind.kind == "f"):
        found = f"{kind} {shape}" if is_array else f"of type {type(picture).__name__}"
        raise DreamError(
            f"{what} is {found}: an array (height, width, 3) or (height, width) is needed, of "
            "floats in [0, 1] or of uint8"
        )
    levels = values if kind == np.uint8 else np.round(values.astype(np.float32) * 255)
    if not ((levels >= 0) & (levels <= 255)).all():
        raise DreamError(
            f"{what} has values from {values.min():g} to {values.max():g}: clip or scale them to "
            "between 0 and 1"
        )
    return levels.astype(np.uint8)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
