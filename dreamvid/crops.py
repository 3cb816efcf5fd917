"""Where pictures excite the channels of a layer most: crops round those places."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.heat import centres
from dreamvid.media.numbered import natural
from dreamvid.media.stills import fit, read_picture
from dreamvid.models import LayerInfo, Model

SHAPES = (Size(320, 240), Size(272, 272), Size(240, 320))
"""Pictures are brought to the nearest of these, in pixels, since each shape is compiled once."""
SIDE = 64
"""Pixels of a crop as it is kept."""
SMALLEST = 24
"""Pixels of a picture that a crop shows at least: of fewer one could tell nothing."""
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
"""What counts as a picture in a folder."""


@dataclass(frozen=True)
class Crops:
    """What excites each channel most, at most one crop a picture."""

    values: np.ndarray
    """float32 (channels, kept): the activation at the place, the highest first; 0 is no crop."""
    pixels: np.ndarray
    """uint8 (channels, kept, SIDE, SIDE, 3)."""
    unreadable: int = 0
    """Files that were no pictures."""

    @classmethod
    def none(cls, channels: int, kept: int) -> "Crops":
        """Nothing seen yet."""
        shape = (channels, kept)
        return cls(np.zeros(shape, np.float32), np.zeros((*shape, SIDE, SIDE, 3), np.uint8))

    def of(self, channel: int) -> tuple[np.ndarray, ...]:
        """A channel's crops: uint8 (SIDE, SIDE, 3) each, the strongest first."""
        found = self.values[channel] > 0.0
        return tuple(self.pixels[channel][found])


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders in it, in natural order.

    Raises:
      MediaError: There is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise MediaError(f"there is no folder of pictures at {folder}: check the path")
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(EXTENSIONS)
    ]
    if not found:
        raise MediaError(f"folder {folder} holds no pictures: PNG, JPEG, WebP and TIFF are known")
    return sorted(found, key=lambda path: [natural(part) for part in path.parts])


def find_crops(model: Model, info: LayerInfo, files: Sequence[Path], kept: int) -> Iterator[Crops]:
    """Looks through pictures, one at a time, for what excites each channel of a layer most.

    Args:
      model: The network.
      info: The layer.
      files: The pictures; those that cannot be read are counted.
      kept: Crops to keep for each channel.

    Yields:
      After each picture what has been found by then, always the same arrays.
    """
    found, unreadable = Crops.none(info.channels, kept), 0
    for file in files:
        try:
            _look(model, info, _read(file), found)
        except MediaError:
            unreadable += 1
        yield Crops(found.values, found.pixels, unreadable)


def crop_at(picture: np.ndarray, x: float, y: float, side: int) -> np.ndarray:
    """A square round a place, moved into the picture where it would hang over.

    Args:
      picture: (h, w, 3).
      x: From the left, as a share of the width.
      y: From above, as a share of the height.
      side: Pixels; at most the picture's own sides are taken.

    Returns:
      (side, side, 3).
    """
    height, width = picture.shape[:2]
    side = min(side, height, width)
    left, top = (
        min(max(round(share * length - side / 2), 0), length - side)
        for share, length in ((x, width), (y, height))
    )
    return picture[top : top + side, left : left + side]


def _read(file: Path) -> np.ndarray:
    """A picture in one of SHAPES: float32 (h, w, 3) in [0, 1]."""
    picture = read_picture(file).flattened()
    height, width = picture.shape[:2]
    nearest = min(SHAPES, key=lambda size: abs(np.log(size.width * height / size.height / width)))
    return fit(picture, nearest)


def _look(model: Model, info: LayerInfo, picture: np.ndarray, found: Crops) -> None:
    """Puts what a picture holds into `found`."""
    seen = np.asarray(model.activations(jnp.asarray(picture), [info.name])[info.name])
    flat = seen.reshape(-1, info.channels)
    places, values = flat.argmax(0), flat.max(0)
    rows, columns = (centres(model.spec, info.name, side) for side in picture.shape[:2])
    side = max(min(info.field) // 2, SMALLEST)
    for channel in np.flatnonzero(values > found.values[:, -1]):
        y, x = divmod(int(places[channel]), seen.shape[1])
        crop = crop_at(picture, columns[x], rows[y], side)
        how = cv2.INTER_AREA if len(crop) > SIDE else cv2.INTER_CUBIC
        small = np.clip(cv2.resize(crop, (SIDE, SIDE), interpolation=how), 0.0, 1.0)
        rank = int(np.sum(found.values[channel] >= values[channel]))
        for kept, new in ((found.values, values[channel]), (found.pixels, np.round(255 * small))):
            kept[channel, rank + 1 :] = kept[channel, rank:-1].copy()
            kept[channel, rank] = new
