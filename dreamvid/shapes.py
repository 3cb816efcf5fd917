"""Simple masks: shapes whose numbers may animate. NumPy only."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dreamvid.fields import Size
from dreamvid.registry import Registry


class Shape(Protocol):
    """Where something counts. Its fields are the arguments of its name in a text."""

    def draw(self, size: Size) -> np.ndarray:
        """float32 (h, w) in [0, 1]: 1 within, 0 beyond, in between over the feather."""
        ...


SHAPES: Registry[type[Shape]] = Registry("mask")
"""Name in a text -> dataclass."""


_FARTHEST = 1e6
"""In sides of the picture: well within float32."""


def _measure(default: float, low: float = 0) -> Any:
    return field(default=default, metadata={"kind": "number", "low": low, "high": _FARTHEST})


@SHAPES.register("circle")
@dataclass(frozen=True)
class Circle:
    """A disc. Lengths are in heights of the picture."""

    x: float = _measure(0.5, low=-_FARTHEST)
    """Its centre from the left, as a share of the width."""
    y: float = _measure(0.5, low=-_FARTHEST)
    """Its centre from above, as a share of the height."""
    radius: float = _measure(0.3)
    feather: float = _measure(0.1)
    """Width of the soft edge, half within and half beyond."""

    def draw(self, size: Size) -> np.ndarray:
        """See `Shape`."""
        right, down = _from(self.x, self.y, size)
        return _soften(self.radius - np.hypot(right, down), self.feather)


@SHAPES.register("box")
@dataclass(frozen=True)
class Box:
    """An upright rectangle. Its centre and sides are shares of the picture's."""

    x: float = _measure(0.5, low=-_FARTHEST)
    y: float = _measure(0.5, low=-_FARTHEST)
    width: float = _measure(0.5)
    height: float = _measure(0.5)
    feather: float = _measure(0.1)
    """Width of the soft edge in heights of the picture, half within and half beyond."""

    def draw(self, size: Size) -> np.ndarray:
        """See `Shape`."""
        right, down = _from(self.x, self.y, size)
        wide = self.width / 2 * size.width / size.height - np.abs(right)
        return _soften(np.minimum(wide, self.height / 2 - np.abs(down)), self.feather)


def _from(x: float, y: float, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel is to the right of a place, and below it, in heights of the picture."""
    columns = (np.arange(size.width, dtype=np.float32) + 0.5 - x * size.width) / size.height
    rows = (np.arange(size.height, dtype=np.float32) + 0.5) / size.height - y
    return columns[None, :], rows[:, None]


def _soften(inside: np.ndarray, feather: float) -> np.ndarray:
    """From the distance to the edge, above 0 within, to the mask."""
    share = np.clip(inside / max(feather, 1e-6) + 0.5, 0.0, 1.0)
    return (share * share * (3.0 - 2.0 * share)).astype(np.float32)
