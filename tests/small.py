"""Small, seeded networks and pictures, made on the spot."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.errors import ScheduleError
from dreamvid.models import Model, ModelSpec
from dreamvid.schedule import Schedule

# The outputs of each layer's convolutions in table 1 of Szegedy et al. 2014.
FULL_WIDTHS: dict[str, tuple[int, ...]] = {
    "conv2d0": (64,),
    "conv2d1": (64,),
    "conv2d2": (192,),
    "mixed3a": (64, 96, 128, 16, 32, 32),
    "mixed3b": (128, 128, 192, 32, 96, 64),
    "mixed4a": (192, 96, 208, 16, 48, 64),
    "mixed4b": (160, 112, 224, 24, 64, 64),
    "mixed4c": (128, 128, 256, 24, 64, 64),
    "mixed4d": (112, 144, 288, 32, 64, 64),
    "mixed4e": (256, 160, 320, 32, 128, 128),
    "mixed5a": (256, 160, 320, 32, 128, 128),
    "mixed5b": (384, 192, 384, 48, 128, 128),
}

TINY_WIDTHS = tuple(
    (name, tuple(max(width // 16, 2) for width in widths)) for name, widths in FULL_WIDTHS.items()
)


def tiny_spec(family: str = "folded") -> ModelSpec:
    """A sixteenth of the width of Inception V1."""
    return ModelSpec("inception_v1", family, TINY_WIDTHS, (117.0, 116.0, 115.0), 1.0)


def tiny_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights (He-normal kernels, small biases) for `tiny_spec`."""
    rng = np.random.default_rng(seed)
    tensors = {}

    def add(name: str, size: int, before: int, after: int) -> None:
        kernel = rng.standard_normal((size, size, before, after), np.float32)
        tensors[f"{name}/kernel"] = kernel * np.float32(np.sqrt(2 / (size * size * before)))
        tensors[f"{name}/bias"] = 0.1 * rng.standard_normal(after, np.float32)

    widths = dict(TINY_WIDTHS)
    channels = 3
    for name, size in (("conv2d0", 7), ("conv2d1", 1), ("conv2d2", 3)):
        add(name, size, channels, *widths.pop(name))
        (channels,) = dict(TINY_WIDTHS)[name]
    for name, (one, three_before, three, five_before, five, pooled) in widths.items():
        add(f"{name}/1x1", 1, channels, one)
        add(f"{name}/3x3_bottleneck", 1, channels, three_before)
        add(f"{name}/3x3", 3, three_before, three)
        add(f"{name}/5x5_bottleneck", 1, channels, five_before)
        add(f"{name}/5x5", 5, five_before, five)
        add(f"{name}/pool_reduce", 1, channels, pooled)
        channels = one + three + five + pooled
    return tensors


def tiny_model(family: str = "folded", seed: int = 0) -> Model:
    """A small network with random weights."""
    return Model.from_tensors(tiny_spec(family), tiny_tensors(seed))


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


class SilentWatcher:
    """Hears of a render and says nothing."""

    stop_asked = False

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        pass

    def advance(self) -> None:
        pass

    def made(self, output: Path) -> None:
        pass
