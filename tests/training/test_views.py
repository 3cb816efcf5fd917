"""Random views of pictures: laws of sampling, crops and turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.training import augment
from dreamvid.training.augment import OnDevice
from dreamvid.training.data import Pictures

KEY = jax.random.key(0)


def pictures_of(*shapes: tuple[int, int]) -> tuple[list[np.ndarray], OnDevice]:
    random = np.random.default_rng(0)
    made = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    return made, OnDevice.of(Pictures.packed(made, np.arange(len(made))))


def test_a_whole_square_at_its_own_size_is_itself() -> None:
    made, pictures = pictures_of((9, 9), (12, 12), (9, 9))
    (seen,) = augment.middles(pictures, jnp.array([1]), 12)
    np.testing.assert_allclose(seen, made[1] / 255.0, atol=1e-6)


def test_a_part_never_shows_another_picture() -> None:
    made, pictures = pictures_of((8, 20), (20, 8))
    flat = np.concatenate(
        [np.full_like(p, 40 * (i + 1)).reshape(-1, 3) for i, p in enumerate(made)]
    )
    pictures = pictures._replace(pixels=jnp.asarray(flat))
    which = jnp.tile(jnp.array([0, 1]), 50)
    seen = augment.crops(KEY, pictures, which, 16, least_area=0.05, flip=True, colour=0.0)
    np.testing.assert_allclose(seen[0::2], 40 / 255, atol=1e-6)
    np.testing.assert_allclose(seen[1::2], 80 / 255, atol=1e-6)


def test_a_negative_width_mirrors() -> None:
    _, pictures = pictures_of((10, 14))
    plain = augment.sample(pictures, jnp.array([0]), jnp.array([[1.0, 2.0, 8.0, 9.0]]), 8)
    mirrored = augment.sample(pictures, jnp.array([0]), jnp.array([[1.0, 11.0, 8.0, -9.0]]), 8)
    np.testing.assert_allclose(mirrored, plain[:, :, ::-1], atol=1e-5)


def test_half_of_the_views_are_mirrored() -> None:
    ramp = np.tile(np.arange(0, 240, 10)[None, :, None], (24, 1, 3)).astype(np.uint8)
    pictures = OnDevice.of(Pictures.packed([ramp], np.zeros(1)))
    seen = augment.crops(
        KEY, pictures, jnp.zeros(200, jnp.int32), 8, least_area=0.5, flip=True, colour=0.0
    )
    falling = (seen[:, 0, 0, 0] > seen[:, 0, -1, 0]).mean()
    assert 0.35 < falling < 0.65


def test_without_chance_a_view_is_nearly_the_picture() -> None:
    ramp = np.linspace(40, 200, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    pictures = OnDevice.of(Pictures.packed([ramp], np.zeros(1)))
    seen = augment.crops(KEY, pictures, jnp.array([0]), 16, least_area=1.0, flip=False, colour=0.0)
    # All of it may still be stretched, and is then cut.
    np.testing.assert_allclose(seen[0], ramp / 255.0, atol=0.1)


def test_colours_change_each_view_in_its_own_way_and_stay_in_range() -> None:
    _, pictures = pictures_of((16, 16))
    which = jnp.zeros(20, jnp.int32)
    plain, coloured = (
        augment.crops(KEY, pictures, which, 16, least_area=0.5, flip=False, colour=amount)
        for amount in (0.0, 0.4)
    )
    assert coloured.min() >= 0
    assert coloured.max() <= 1
    ratios = np.asarray(coloured.mean((1, 2, 3)) / plain.mean((1, 2, 3)))
    assert np.std(ratios) > 0.05


@pytest.mark.parametrize("turns", range(4))
def test_turns_are_quarters(turns: int) -> None:
    images = jax.random.uniform(KEY, (3, 6, 6, 3))
    seen = augment.turned(images, jnp.array([0, turns, 3]))
    np.testing.assert_array_equal(seen[0], images[0])
    np.testing.assert_array_equal(seen[1], jnp.rot90(images[1], turns))
