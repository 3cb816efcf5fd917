"""The camera of an endless zoom: how one frame's pixels follow from those of the frame before.

Motions are composed about the picture's centre with pixels as units, x to the right and y down.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.ops import warp
from dreamvid.types import Image

SCHEDULE_FPS = 30
"""The clock of the camera's values, in frames a second, whatever the clip's own rate."""


class Motion(Protocol):
    """A camera's path."""

    def between(self, start: float, end: float) -> np.ndarray:
        """The motion from one moment to another, as a matrix.

        A matrix a step, not a pose since the beginning, which an endless zoom would overflow.

        Args:
          start: The earlier moment, in frames of the schedule's clock.
          end: The later moment.

        Returns:
          float64 (3, 3): homogeneous (x, y, 1) about the centre in the picture at `end` -> the
          same in the picture at `start`.
        """
        ...


@dataclass(frozen=True)
class Zoom:
    """A steady zoom and roll about the centre."""

    zoom: float
    """Growth of the picture in a frame of the clock; above 0."""
    angle: float
    """Turn of the picture in a frame of the clock, in degrees, counter-clockwise."""

    def between(self, start: float, end: float) -> np.ndarray:
        """The same for any two moments as far apart: see `Motion`."""
        shrink = self.zoom ** (start - end)
        turn = math.radians(self.angle) * (end - start)
        cos, sin = shrink * math.cos(turn), shrink * math.sin(turn)
        # y points down, so looking back along a counter-clockwise turn is this rotation.
        return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


@jax.jit
def move(image: Image, matrix: jax.Array | np.ndarray) -> Image:
    """The picture after a motion, in one resample; mirrored where the camera sees past the border.

    Args:
      image: float32 (h, w, 3).
      matrix: (3, 3), from `Motion.between`.

    Returns:
      float32 (h, w, 3); may overshoot the range of the image by a little.
    """
    height, width = image.shape[:2]
    centre = jnp.array([(width - 1) / 2, (height - 1) / 2])
    y, x = jnp.mgrid[:height, :width].astype(jnp.float32)
    about = jnp.stack([x - centre[0], y - centre[1], jnp.ones_like(x)], axis=-1)
    # Highest: an accelerator's quicker products would be off by whole pixels.
    seen = jnp.einsum("hwj,ij->hwi", about, jnp.asarray(matrix, jnp.float32), precision="highest")
    return warp(image, seen[..., :2] / seen[..., 2:] + centre)
