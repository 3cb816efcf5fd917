"""Laws of every normaliser and optimizer, and those of other programs written a second time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from dreamvid.gradients import GRADIENTS, OPTIMIZERS, Optimizer
from dreamvid.options import Ascent
from small import random_picture

every_normaliser = pytest.mark.parametrize("name", [*GRADIENTS])
every_optimizer = pytest.mark.parametrize("name", [*OPTIMIZERS])


def some_gradient(height: int = 17, width: int = 23, seed: int = 0) -> jax.Array:
    """Of the size that gradients of a mean have."""
    return 1e-6 * (random_picture(height, width, seed) - 0.4)


@every_normaliser
def test_directions_are_of_about_unit_size(name: str):
    direction = GRADIENTS[name](some_gradient(), 3, 10)
    assert direction.dtype == jnp.float32
    assert 0.5 < float(jnp.sqrt(jnp.mean(direction**2))) < 4


@every_normaliser
def test_directions_point_up(name: str):
    gradient = some_gradient()
    assert float(jnp.sum(GRADIENTS[name](gradient, 3, 10) * gradient)) > 0


@every_normaliser
@pytest.mark.parametrize("factor", [1000, 1e-25, 1e35])
def test_only_the_direction_counts(name: str, factor: float):
    gradient = some_gradient()
    direction = GRADIENTS[name](gradient, 3, 10)
    scaled = GRADIENTS[name](gradient * factor, 3, 10)
    np.testing.assert_allclose(scaled, direction, atol=2e-5)


@every_normaliser
@pytest.mark.parametrize("flaw", [jnp.nan, jnp.inf, -jnp.inf])
def test_what_is_not_finite_gives_zeros(name: str, flaw: float):
    assert not GRADIENTS[name](some_gradient().at[5, 7, 1].set(flaw), 3, 10).any()


@every_normaliser
@pytest.mark.parametrize("value", [0.0, 1e-40])
def test_nothing_gives_zeros(name: str, value: float):
    assert not GRADIENTS[name](jnp.full((17, 23, 3), value), 3, 10).any()


@every_normaliser
@pytest.mark.parametrize("value", [0.1, -7.7e-9])
def test_rounding_errors_of_a_flat_one_are_not_blown_up(name: str, value: float):
    ripples = 1e-7 * jnp.sign(some_gradient())
    direction = GRADIENTS[name](value * (1 + ripples), 3, 10)
    assert float(jnp.abs(direction).max()) < 10


@every_normaliser
def test_normalisers_agree_plain_under_jit_and_under_vmap(name: str):
    normalise = GRADIENTS[name]
    batch = jnp.stack([some_gradient(seed=seed) for seed in range(2)])
    indices, count = jnp.array([0, 7]), jnp.int32(10)
    pairs = list(zip(batch, indices, strict=True))
    plain = jnp.stack([normalise(g, int(index), 10) for g, index in pairs])
    compiled = jax.jit(normalise)
    jitted = jnp.stack([compiled(g, index, count) for g, index in pairs])
    mapped = jax.vmap(normalise)(batch, indices, jnp.array([10, 10]))
    np.testing.assert_allclose(jitted, plain, atol=2e-5)
    np.testing.assert_allclose(mapped, plain, atol=2e-5)


@every_normaliser
def test_a_normaliser_can_be_a_static_argument(name: str):
    hash(GRADIENTS[name])


def test_mean_is_the_division_of_2015_to_the_bit():
    gradient = some_gradient()
    direction = GRADIENTS["mean"](gradient, 3, 10)
    assert (direction == gradient / jnp.mean(jnp.abs(gradient))).all()


def test_std_is_the_tutorials():
    gradient = some_gradient()
    expected = gradient / np.std(np.asarray(gradient, np.float64))
    np.testing.assert_allclose(GRADIENTS["std"](gradient, 3, 10), expected, atol=1e-5)


def transcribed_smooth(gradient: np.ndarray, index: int, count: int) -> np.ndarray:
    """pytorch-deepdream's gradient of a step, with kernels of 9 x 9."""
    sigma = (index + 1) / count * 2.0 + 0.5
    results = []
    for coefficient in (0.5, 1.0, 2.0):
        kernel = np.empty((9, 9))
        for y in range(9):
            for x in range(9):
                square = (y - 4) ** 2 + (x - 4) ** 2
                kernel[y, x] = np.exp(-square / (2 * (coefficient * sigma) ** 2))
        kernel /= kernel.sum()
        # SciPy's "mirror" is PyTorch's "reflect".
        results.append(correlate(gradient, kernel[..., None], mode="mirror"))
    smooth = np.mean(results, axis=0)
    return (smooth - smooth.mean()) / smooth.std(ddof=1)


@pytest.mark.parametrize(("index", "count"), [(0, 1), (0, 10), (4, 10), (9, 10), (99, 100)])
def test_smooth_is_pytorch_deepdreams(index: int, count: int):
    gradient = some_gradient()
    expected = transcribed_smooth(np.asarray(gradient, np.float64), index, count)
    np.testing.assert_allclose(GRADIENTS["smooth"](gradient, index, count), expected, atol=1e-5)


KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def places(height: int, width: int) -> list[tuple[int, int, int, int, float]]:
    """Each weight of a convolution "SAME" of stride 2: to (i, j), from (y, x)."""
    pairs = []
    for size in (height, width):
        out = -(-size // 2)
        before = max((out - 1) * 2 + 5 - size, 0) // 2
        taps = [(i, tap, 2 * i + tap - before) for i in range(out) for tap in range(5)]
        pairs.append([(i, tap, at) for i, tap, at in taps if 0 <= at < size])
    return [(i, j, y, x, float(KERNEL[v, u])) for i, v, y in pairs[0] for j, u, x in pairs[1]]


def transcribed_laplacian(gradient: np.ndarray) -> np.ndarray:
    """lap_normalize of TensorFlow's deepdream.ipynb, 4 levels."""

    def reduced(image: np.ndarray) -> np.ndarray:
        low = np.zeros((-(-image.shape[0] // 2), -(-image.shape[1] // 2), 3))
        for i, j, y, x, weight in places(*image.shape[:2]):
            low[i, j] += weight * image[y, x]
        return low

    def expanded(low: np.ndarray, height: int, width: int) -> np.ndarray:
        image = np.zeros((height, width, 3))
        for i, j, y, x, weight in places(height, width):
            image[y, x] += 4 * weight * low[i, j]
        return image

    def normalized(level: np.ndarray) -> np.ndarray:
        return level / max(np.sqrt(np.mean(level**2)), 1e-10)

    levels = []
    for _ in range(4):
        low = reduced(gradient)
        levels.insert(0, gradient - expanded(low, *gradient.shape[:2]))
        gradient = low
    merged = normalized(gradient)
    for high in levels:
        merged = expanded(merged, *high.shape[:2]) + normalized(high)
    return merged


@pytest.mark.parametrize("size", [(17, 23), (32, 48), (16, 16)])
def test_laplacian_is_tensorflows(size: tuple[int, int]):
    # Of unit size, lest 1e-10 be more than nothing beside it.
    gradient = random_picture(*size) - 0.4
    expected = transcribed_laplacian(np.asarray(gradient, np.float64))
    np.testing.assert_allclose(GRADIENTS["laplacian"](gradient, 3, 10), expected, atol=1e-5)


def followed(optimizer: Optimizer, directions: jax.Array) -> jax.Array:
    """The changes of one step after another."""
    state, changes = optimizer.begin(jnp.zeros_like(directions[0])), []
    for direction in directions:
        change, state = optimizer.update(direction, state)
        changes.append(change)
    return jnp.stack(changes)


def some_directions(count: int = 5, seed: int = 0) -> jax.Array:
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.standard_normal((count, 6, 7, 3)), jnp.float32)


@every_optimizer
def test_a_direction_that_stays_becomes_the_change(name: str):
    stays = jnp.sign(some_directions(1)).repeat(100, axis=0)
    np.testing.assert_allclose(followed(OPTIMIZERS[name], stays)[-1], stays[0], atol=1e-4)


@every_optimizer
def test_changes_are_of_about_unit_size_at_most(name: str):
    changes = followed(OPTIMIZERS[name], some_directions(20))
    assert float(jnp.sqrt(jnp.mean(changes[-1] ** 2))) < 1.5


@every_optimizer
def test_nothing_changes_nothing(name: str):
    assert not followed(OPTIMIZERS[name], jnp.zeros((3, 6, 7, 3))).any()


@every_optimizer
def test_optimizers_agree_plain_in_a_loop_and_under_vmap(name: str):
    optimizer = OPTIMIZERS[name]
    batch = jnp.stack([some_directions(seed=seed) for seed in range(2)])
    plain = jnp.stack([followed(optimizer, directions) for directions in batch])

    def looped(directions: jax.Array) -> jax.Array:
        def body(state: Any, direction: jax.Array) -> tuple[Any, jax.Array]:
            change, state = optimizer.update(direction, state)
            return state, change

        return jax.lax.scan(body, optimizer.begin(directions[0]), directions)[1]

    in_program = jnp.stack([jax.jit(looped)(directions) for directions in batch])
    np.testing.assert_allclose(in_program, plain, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(looped)(batch), plain, atol=1e-5)


@every_optimizer
def test_its_memory_can_be_given_up(name: str):
    optimizer, directions = OPTIMIZERS[name], some_directions()
    update = jax.jit(optimizer.update, donate_argnums=1)
    state, change = optimizer.begin(directions[0]), directions[0]
    for direction in directions:
        change, state = update(direction, state)
    np.testing.assert_allclose(change, followed(optimizer, directions)[-1], atol=1e-5)


@every_optimizer
def test_an_optimizer_can_be_a_static_argument(name: str):
    hash(OPTIMIZERS[name])


def test_plain_is_the_direction_itself():
    direction = some_directions()[0]
    change, state = OPTIMIZERS["plain"].update(direction, ())
    assert change is direction
    assert state == ()


def test_momentum_is_the_mean_of_the_directions_the_latest_first():
    directions = some_directions()
    changes = followed(OPTIMIZERS["momentum"], directions)
    weights = np.array([0.9**age for age in (4, 3, 2, 1, 0)])
    weights /= weights.sum()
    expected = sum(w * d for w, d in zip(weights, directions, strict=True))
    np.testing.assert_allclose(changes[-1], expected, atol=1e-6)


def test_adam_is_its_papers():
    directions = some_directions()
    m, v, expected = 0.0, 0.0, []
    for t, g in enumerate(np.asarray(directions, np.float64), start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        expected.append(m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8))
    changes = followed(OPTIMIZERS["adam"], directions)
    np.testing.assert_allclose(changes, np.stack(expected), atol=1e-5)


@pytest.mark.parametrize(
    ("option", "registry"), [("gradient", GRADIENTS), ("optimizer", OPTIMIZERS)]
)
def test_all_of_them_can_be_chosen(option: str, registry: Any):
    (found,) = (f for f in dataclasses.fields(Ascent) if f.name == option)
    assert set(found.metadata["choices"]) == set(registry)
