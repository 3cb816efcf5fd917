"""The words of the library: what goes from room to room.

Everywhere but in `media/`, a picture is RGB in [0, 1], as encoded (sRGB values, not linear light),
float32, height first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias, get_origin

import jax
import numpy as np

Image: TypeAlias = jax.Array
"""float32 (h, w, 3), RGB in [0, 1]."""

Activations: TypeAlias = dict[str, jax.Array]
"""Layer name -> float32 (h, w, c)."""

IMAGE = "image"
"""The picture itself among the activations, float32 (h, w, 3), RGB in [0, 1]."""

MASKS = "masks"
"""The masks that are dreamed with among the activations, float32 (h, w, masks) in [0, 1]."""


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


@dataclass(frozen=True)
class Carry:
    """Everything the next frame needs; float32, since 8-bit frames fed back diverge."""

    index: int
    """How many frames were made before the last one; below 0 while a closed loop warms up."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Its content by name, for a file."""
        content = {name: value for name, value in vars(self).items() if value is not None}
        return {
            name: np.stack([np.asarray(item) for item in value])
            if isinstance(value, tuple) and value
            else np.asarray(value)
            for name, value in content.items()
        }

    @staticmethod
    def of(arrays: Mapping[str, np.ndarray]) -> "Carry":
        """The carry, of its own kind, whose content `arrays` gave."""
        kind = ZoomCarry if "tone" in arrays else FilmCarry
        content: dict[str, Any] = dict(arrays)
        for field in fields(kind):
            if field.type is int:
                content[field.name] = int(content[field.name])
            elif get_origin(field.type) is tuple:
                content[field.name] = tuple(content[field.name])
        return kind(**content)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ZoomCarry(Carry):
    """A zoom's. Its pictures are larger than the frame by the margin of the timeline."""

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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FilmCarry(Carry):
    """A film's."""

    numbers: tuple[int, ...]
    """The pictures whose dreams the next one may see again, the last in front."""
    dreams: tuple[Image, ...]
    """What was dreamed into each: with blend "residual" the difference from the film."""
    fineness: jax.Array
    """float32 scalar: the share of fine detail in the dream that began the shot."""


class Watcher(Protocol):
    """Told how a render goes on."""

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """All has been checked, and the work on `task` begins.

        Args:
          task: What is being done.
          total: Frames there will be; None where there is no end.
          done: Frames that were already there.
        """
        ...

    def advance(self) -> None:
        """Another frame is finished."""
        ...

    def made(self, output: Path) -> None:
        """A file is finished."""
        ...

    @property
    def stop_asked(self) -> bool:
        """Whether the work shall end after this frame."""
        ...
