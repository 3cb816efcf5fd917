"""Laws of the ways to make a picture from free numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.parameters import PARAMETERS, Fourier, to_rgb

KEY = jax.random.key(2)
every = pytest.mark.parametrize("name", list(PARAMETERS))
SIZES = [(16, 24), (17, 23)]


@every
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_begins_as_faint_noise_about_grey(name: str, size: tuple[int, int]):
    way = PARAMETERS[name]
    params, other = (way.begin(key, *size) for key in (KEY, jax.random.key(3)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    make = jax.jit(lambda params: way.picture(params, *size))
    picture = np.asarray(make(params))
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.float32
    assert abs(picture.mean() - 0.5) < 0.02
    assert 1e-4 < picture.std() < 0.05
    assert not np.array_equal(picture, make(other))


@every
def test_it_is_the_same_plain_and_under_jit_and_vmap(name: str):
    way, keys = PARAMETERS[name], jax.random.split(KEY, 2)

    def make(key: jax.Array) -> jax.Array:
        params = jax.tree.map(lambda leaf: 50 * leaf, way.begin(key, 17, 23))
        return way.picture(params, 17, 23)

    plain = jnp.stack([make(key) for key in keys])
    np.testing.assert_allclose(jax.jit(jax.vmap(make))(keys), plain, atol=1e-5)


@every
def test_smooth_pictures_can_be_reached(name: str):
    """By descent from noise."""
    size = SIZES[1]
    y, x = np.mgrid[: size[0], : size[1]] / max(size) * 2 * np.pi
    wanted = 0.5 + 0.2 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    way = PARAMETERS[name]

    @jax.jit
    def slope(params):
        def miss(params):
            return jnp.mean((way.picture(params, *size) - wanted) ** 2)

        return jax.value_and_grad(miss)(params)

    params = way.begin(KEY, *size)
    first = float(slope(params)[0])
    for _ in range(80):
        _, change = slope(params)
        params = jax.tree.map(lambda p, c: p - 0.06 * jnp.sign(c), params, change)
    assert float(slope(params)[0]) < first / 4


@every
def test_values_stay_in_range_and_finite_however_far_params_go(name: str):
    way = PARAMETERS[name]
    params = jax.tree.map(lambda leaf: 1e6 * leaf, way.begin(KEY, 16, 16))
    picture = jax.jit(lambda params: way.picture(params, 16, 16))(params)
    assert jnp.isfinite(picture).all()
    assert 0.0 <= picture.min() < 0.01 < 0.99 < picture.max() <= 1.0


def test_long_waves_are_the_larger_as_their_slope_says():
    def amplitude(way: Fourier, wave: int) -> float:
        """Of a wave that goes so many times into 64 pixels."""
        params = jnp.zeros((2, 64, 33, 3)).at[0, 0, wave].set(1e-3)
        return float(jnp.ptp(way.picture(params, 64, 64)))

    for slope in (1.0, 1.25):
        way = Fourier(slope=slope)
        assert amplitude(way, 2) / amplitude(way, 4) == pytest.approx(2**slope, rel=0.01)
        assert amplitude(way, 31) < 0.25 * amplitude(way, 16)  # held back


def test_its_colours_go_together_as_in_photographs():
    """Red, green and blue mostly rise and fall as one."""
    values = 0.1 * jax.random.normal(KEY, (64, 64, 3))
    together = np.corrcoef(np.asarray(to_rgb(values)).reshape(-1, 3).T)
    assert together[np.triu_indices(3, 1)].min() > 0.7
