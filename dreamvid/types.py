"""The words of the library: what goes from room to room.

Everywhere but in `media/`, a picture is RGB in [0, 1], as encoded (sRGB values, not linear light),
float32, height first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import numpy as np

Image: TypeAlias = jax.Array
"""float32 (h, w, 3), RGB in [0, 1]."""

Activations: TypeAlias = dict[str, jax.Array]
"""Layer name -> float32 (h, w, c)."""


class Objective(Protocol):
    """What the ascent makes grow. A pytree, so that its numbers may animate without a compile."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose activations it reads."""
        ...

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        ...


@dataclass(frozen=True)
class Frame:
    """One finished picture of a clip."""

    index: int
    """Its place in the clip, from 0 on; those below only lead up to a closed loop."""
    image: Image


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Carry:
    """Everything the next frame needs; float32, since 8-bit frames fed back diverge.

    Pictures here are larger than the frame by the margin of the timeline.
    """

    index: int
    """How many frames were made before the last one; below 0 while a closed loop warms up."""
    image: Image
    """That frame, dreamed; in a draft the key frame that comes next."""
    tone: jax.Array
    """float32 (2, 3): the source's tone, which anchors the clip."""
    sharpness: jax.Array
    """float32 scalar: the fine detail that dreams had at the start, which anchors it too."""
    entered: tuple[Image, ...] = ()
    """A closed loop's: what went into the dreams before frame 0, to which its end returns."""
    key: int = 0
    """A draft's: the number of the key frame before `index` or at it."""
    next_key: int = 0
    """A draft's: the number of the key frame that comes next, which `image` is."""
    previous: Image | None = None
    """A draft's: the key frame before, dreamed."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Its content by name, for a file."""
        content = vars(self) | {"entered": None, "previous": self.previous}
        if self.entered:
            content["entered"] = np.stack([np.asarray(image) for image in self.entered])
        return {name: np.asarray(value) for name, value in content.items() if value is not None}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Carry":
        """The carry whose content `arrays` gave."""
        content: dict[str, Any] = dict(arrays)
        for name in ("index", "key", "next_key"):
            content[name] = int(content[name])
        content["entered"] = tuple(content.get("entered", ()))
        return cls(**content)
