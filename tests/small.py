"""Small, seeded networks and pictures, made on the spot."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.errors import ScheduleError
from dreamvid.fields import Size
from dreamvid.media.film import Film
from dreamvid.media.masks import Mask
from dreamvid.models import Model, ModelSpec, inception_v1, inception_v3
from dreamvid.models.network import shapes
from dreamvid.schedule import Schedule

TINY_WIDTHS = tuple(
    (name, tuple(max(width // 16, 2) for width in widths)) for name, widths in inception_v1.WIDTHS
)

TINY_V3_WIDTHS = tuple(
    (name, tuple(max(width // 32, 2) for width in widths)) for name, widths in inception_v3.WIDTHS
)


def tiny_spec(family: str = "folded") -> ModelSpec:
    """A sixteenth of the width of Inception V1."""
    return ModelSpec("inception_v1", family, TINY_WIDTHS, (117.0, 116.0, 115.0), (1.0, 1.0, 1.0))


def random_tensors(spec: ModelSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights: He-normal kernels, small biases."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(spec).items():
        values = rng.standard_normal(shape, np.float32)
        size = np.sqrt(2 / np.prod(shape[:-1])) if name.endswith("kernel") else 0.1
        tensors[name] = values * np.float32(size)
    return tensors


def tiny_tensors(seed: int = 0, family: str = "folded") -> dict[str, np.ndarray]:
    """Random weights for `tiny_spec`."""
    return random_tensors(tiny_spec(family), seed)


def tiny_model(family: str = "folded", seed: int = 0) -> Model:
    """A small network with random weights."""
    return Model.from_tensors(tiny_spec(family), tiny_tensors(seed, family))


def random_picture(height: int, width: int, seed: int = 0) -> jax.Array:
    """A picture with structure at several scales: float32 (height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cell in (1, 3, 9):
        shape = (height // cell + 1, width // cell + 1, 3)
        noise = rng.random(shape, np.float32).repeat(cell, 0).repeat(cell, 1)
        picture += noise[:height, :width] / 3
    return jnp.asarray(picture)


@contextlib.contextmanager
def counted_compiles() -> Iterator[list[str]]:
    """A list that grows by one for each program compiled within the block."""
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(count)


def assert_refused(text: str, position: int, message: str) -> None:
    """A schedule's text cannot be read, which is told at its place in one line."""
    with pytest.raises(ScheduleError, match=message) as caught:
        Schedule.parse(text)
    assert (caught.value.text, caught.value.position) == (text, position)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def least_seconds(work: Callable[[], object]) -> float:
    """What a piece of work takes of this thread's time, the least of three tries.

    Of three, since Python may collect what other tests left while it is at work.
    """
    tries = []
    for _ in range(3):
        start = time.thread_time()
        work()
        tries.append(time.thread_time() - start)
    return min(tries)


class SilentWatcher:
    """Hears of a render and says nothing."""

    stop_asked = False

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        pass

    def advance(self) -> None:
        pass

    def made(self, output: Path) -> None:
        pass


@dataclass(frozen=True)
class _Played(Film):
    """A film whose pictures are in memory."""

    frames: np.ndarray = field(kw_only=True)

    def pictures(self, first: int = 0) -> Iterator[np.ndarray]:
        yield from self.frames[first:]


def film_of(frames: np.ndarray, cuts: tuple[int, ...] = (), fps: int = 20) -> Film:
    """A film of the pictures of an array, uint8 or uint16 (frames, h, w, 3)."""
    count, height, width = frames.shape[:3]
    nothing: Any = None
    return _Played(
        path=Path("played"),
        size=Size(width, height),
        times=tuple(Fraction(number, fps) for number in range(count)),
        duration=Fraction(count, fps),
        fps=Fraction(fps),
        constant=True,
        depth=8 * frames.dtype.itemsize,
        aspect=Fraction(1),
        start=Fraction(0),
        cuts=cuts,
        notes=(),
        shape=nothing,
        _source=nothing,
        _seen=nothing,
        _picks=(),
        frames=frames,
    )


def mask_of(values: np.ndarray, film: Film) -> Mask:
    """The same mask for each picture of a film: float32 (h, w) in [0, 1]."""
    nothing: Any = None
    return Mask(Path("mask"), 0.0, film.count, nothing, values, None)
