"""What the words of an objective stand for: numbers, guides, masks, each as it is at a moment."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.fields import Size
from dreamvid.media.gallery import Gallery
from dreamvid.media.stills import fit
from dreamvid.models import AnyModel
from dreamvid.models.model import SMALLEST_SIDE
from dreamvid.paths import sha256_of
from dreamvid.scope import Scope
from dreamvid.shapes import Shape
from dreamvid.terms import Value

GUIDE_SIDE = 640
"""Pixels of a guide's longer side at most: in more of it a network sees hardly more."""
_TICKS_EACH = 90.0
"""How long an endless clip shows each picture of a folder."""
_KEPT = 2
"""Pictures of a guide whose activations are remembered."""


@dataclass(frozen=True)
class Moment:
    """A moment of a clip, in ticks, and what schedules may refer to."""

    tick: float
    scope: Scope


class Thing:
    """What a word stands for."""

    @property
    def values(self) -> Iterator["Number"]:
        """The numbers in it."""
        yield from ()

    def at(self, moment: Moment) -> Any:
        """What it is at a moment."""
        raise NotImplementedError

    def digest(self) -> str:
        """The sha256 of its file; empty where it has none."""
        return ""


@dataclass(frozen=True)
class Number(Thing):
    """A number within bounds."""

    value: Value
    low: float | None = None
    high: float | None = None

    @property
    def values(self) -> Iterator["Number"]:
        """See `Thing`."""
        yield self

    def at(self, moment: Moment) -> float:
        """See `Thing`."""
        return self.value.at(moment.tick, moment.scope)

    def check(self, times: np.ndarray, scope: Scope) -> None:
        """Refuses values out of bounds at moments, float64 (n,) in ticks.

        Raises:
          ScheduleError: There is one.
        """
        found = self.value.over(times, scope)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        wrong = np.flatnonzero((found < low) | (found > high))
        if wrong.size:
            at = "" if self.value.fixed else f" at tick {times[wrong[0]]:.10g}"
            bounds = f"from {low:g} to {high:.10g}" if high < math.inf else f"at least {low:g}"
            told = f"{found[wrong[0]]:.10g}{at} is out of bounds: write {bounds}"
            raise self.value.part.error(told)


@dataclass(frozen=True)
class Fixed(Thing):
    """What does not move: a name, the number of a class, a vector."""

    content: Any
    path: Path | None = None

    def at(self, moment: Moment) -> Any:
        """See `Thing`."""
        return self.content

    def digest(self) -> str:
        """See `Thing`."""
        return "" if self.path is None else sha256_of(self.path)


@dataclass(frozen=True)
class Shown(Thing):
    """One of the pictures of a file or a folder, chosen by the moment."""

    gallery: Gallery
    which: Number | None

    @property
    def values(self) -> Iterator[Number]:
        """See `Thing`."""
        if self.which is not None:
            yield self.which

    def at(self, moment: Moment) -> int:
        """The number of the picture."""
        count, fps, scope = self.gallery.count, self.gallery.fps, moment.scope
        if self.which is not None:
            return math.floor(self.which.at(moment) + 1e-9)
        if fps is not None:  # a film has its own speed, and begins anew at its end
            return math.floor(moment.tick / scope.fps * float(fps) + 1e-6) % count
        length = scope.length if math.isfinite(scope.length) else _TICKS_EACH * count
        return math.floor(moment.tick / length * count + 1e-9) % count

    def digest(self) -> str:
        """See `Thing`."""
        return self.gallery.digest()


@dataclass(frozen=True)
class Seen(Thing):
    """What a layer sees in a guide."""

    shown: Shown
    model: AnyModel
    layer: str
    _known: dict[int, jax.Array] = field(default_factory=dict)

    @property
    def values(self) -> Iterator[Number]:
        """See `Thing`."""
        yield from self.shown.values

    def at(self, moment: Moment) -> jax.Array:
        """See `Thing`."""
        number = self.shown.at(moment)
        if number not in self._known:
            picture = fit(self.shown.gallery.at(number), self._size)
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            seen = self.model.activations(jnp.asarray(picture), [self.layer])
            self._known[number] = seen[self.layer]
        return self._known[number]

    def digest(self) -> str:
        """See `Thing`."""
        return self.shown.digest()

    @cached_property
    def _size(self) -> Size:
        """Of all its pictures, so that they share a program: the first one's, within reason."""
        height, width = self.shown.gallery.at(0).shape[:2]
        scale = min(GUIDE_SIDE / max(height, width), 1.0)
        least = max(self.model.layer(self.layer).smallest, 4 * SMALLEST_SIDE)
        return Size(*(max(round(side * scale), least) for side in (width, height)))


@dataclass(frozen=True)
class MaskOf(Thing):
    """Where a term counts: a shape, or a picture of a file or a folder."""

    drawn: type[Shape] | None
    things: Mapping[str, Number]
    shown: Shown | None = None

    @property
    def values(self) -> Iterator[Number]:
        """See `Thing`."""
        yield from self.things.values()
        if self.shown is not None:
            yield from self.shown.values

    def draw(self, moment: Moment, size: Size) -> np.ndarray:
        """float32 (h, w) in [0, 1]."""
        if self.shown is not None:
            grey = self.shown.gallery.mask(self.shown.at(moment))
            return fit(grey[..., None], size).reshape(size.height, size.width)
        assert self.drawn is not None
        return self.drawn(**{k: number.at(moment) for k, number in self.things.items()}).draw(size)

    def digest(self) -> str:
        """See `Thing`."""
        return "" if self.shown is None else self.shown.digest()
