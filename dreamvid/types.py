"""The words of the library: what goes from room to room.

Everywhere but in `media/`, a picture is RGB in [0, 1], as encoded (sRGB values, not linear light),
float32, height first.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import jax

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
    """Counted from 0."""
    image: Image


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Carry:
    """Everything the next frame needs; float32, since 8-bit frames fed back diverge."""

    index: int
    """The number of the last frame made."""
    image: Image
    """That frame, dreamed."""
    tone: jax.Array
    """float32 (2, 3): each channel's mean and deviation in the source, which anchors the clip."""
