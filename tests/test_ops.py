from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import zoom

from dreamvid import ops
from small import random_picture


def grid(height: int, width: int, dx: float = 0.0, dy: float = 0.0) -> jax.Array:
    """Where each pixel is, moved: float32 (h, w, 2)."""
    y, x = jnp.mgrid[:height, :width].astype(jnp.float32)
    return jnp.stack([x + dx, y + dy], axis=-1)


ROLL = np.array([[0.8, -0.6, 1.0], [0.6, 0.8, -2.0], [0.0, 0.01, 1.0]])

OPS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "resize_bilinear": partial(ops.resize_bilinear, height=7, width=23),
    "warp": lambda image: ops.warp(image, grid(9, 11, 0.3, -0.7)),
    "tone": ops.tone,
    "match_tone": lambda image: ops.match_tone(image, jnp.full((2, 3), 0.2), 0.5),
    "match_sharpness": lambda image: ops.match_sharpness(image, jnp.float32(0.1), 0.7),
    "soft_clip": lambda image: ops.soft_clip(2 * image - 0.5, 0.1),
    "move": lambda image: ops.move(image, ROLL),
    "pad": lambda image: ops.pad(image, 3, 40),
    "crop": lambda image: ops.crop(image, 3, 4),
    "blend": lambda image: ops.blend(image, image[::-1], 0.3),
    "to_8bit": ops.to_8bit,
    "to_16bit": lambda image: ops.to_16bit(image).astype(jnp.int32),
}


@pytest.mark.parametrize("name", OPS)
def test_plain_jit_and_vmap_agree(name: str):
    op = OPS[name]
    batch = jnp.stack([random_picture(12, 17, seed) for seed in range(2)])
    plain = jnp.stack([op(image) for image in batch])
    for other in (jnp.stack([jax.jit(op)(image) for image in batch]), jax.vmap(op)(batch)):
        # 16-bit levels may round to either side.
        np.testing.assert_allclose(plain, other, atol=1 if name == "to_16bit" else 1e-5)


@pytest.mark.parametrize("size", [(12, 17), (5, 30), (40, 3), (1, 1), (24, 34)])
def test_resize_is_scipys_zoom(size: tuple[int, int]):
    image = random_picture(12, 17)
    factors = (size[0] / 12, size[1] / 17, 1)
    expected = np.asarray(zoom(np.asarray(image), factors, order=1))
    np.testing.assert_allclose(ops.resize_bilinear(image, *size), expected, atol=1e-5)


def test_no_motion_is_the_identity():
    image = random_picture(20, 31)
    np.testing.assert_allclose(ops.warp(image, grid(20, 31)), image, atol=1e-6)


def test_whole_pixels_are_shifted_exactly_and_mirrored_at_the_border():
    image = random_picture(20, 31)
    expected = np.pad(image, ((0, 2), (3, 0), (0, 0)), mode="reflect")[2:, :31]
    np.testing.assert_allclose(ops.warp(image, grid(20, 31, -3, 2)), expected, atol=1e-6)


def test_far_outside_is_still_the_picture():
    image = random_picture(5, 4)
    assert jnp.isfinite(ops.warp(image, grid(5, 4, 1000.3, -777.7))).all()
    assert ops.warp(jnp.full((1, 1, 3), 0.25), grid(4, 4, 0.5, 9)) == pytest.approx(0.25)


@pytest.mark.parametrize("shift", [0.013, 0.25, 0.5, 0.987])
def test_a_wave_is_moved_by_a_part_of_a_pixel(shift: float):
    def wave(moved: float) -> jax.Array:
        x = grid(40, 40, moved, -moved)
        return (jnp.sin(0.8 * x[..., 0]) * jnp.cos(0.5 * x[..., 1]))[..., None]

    inside = slice(10, 30)
    moved = ops.warp(wave(0), grid(40, 40, shift, -shift))[inside, inside]
    np.testing.assert_allclose(moved, wave(shift)[inside, inside], atol=0.01)


def test_flat_stays_flat():
    flat = jnp.full((16, 16, 3), 0.3)
    np.testing.assert_allclose(ops.warp(flat, grid(16, 16, 0.37, 0.61)), flat, atol=1e-6)


def test_sixty_resamples_keep_detail_at_its_strength():
    image = random_picture(96, 96)
    band = wave_power(image)
    there, back = (jax.jit(lambda i, d=d: ops.warp(i, grid(96, 96, d, d))) for d in (0.3, -0.3))
    for _ in range(30):
        image = back(there(image))
    # Neither halved nor doubled; two lobes would leave a tenth, three make it fourfold.
    assert 0.5 < wave_power(image) / band < 2


def wave_power(image: jax.Array) -> float:
    """Power of the waves of 0.1 to 0.25 cycles a pixel."""
    spectrum = np.abs(np.fft.fft2(np.asarray(image).mean(-1))) ** 2
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) for side in spectrum.shape]))
    return float(spectrum[(radius > 0.1) & (radius < 0.25)].sum())


def test_tone_is_left_or_taken_over():
    image, other = random_picture(16, 16), random_picture(16, 16, 1) * 0.4 + 0.1
    target = ops.tone(other)
    np.testing.assert_allclose(ops.match_tone(image, target, 0.0), image, atol=1e-6)
    np.testing.assert_allclose(ops.tone(ops.match_tone(image, target, 1.0)), target, atol=1e-5)


def test_a_flat_picture_takes_the_mean_without_blowing_up():
    flat, target = jnp.full((8, 8, 3), 0.5), ops.tone(random_picture(8, 8))
    moved = ops.match_tone(flat, target, 1.0)
    assert float(jnp.ptp(moved, axis=(0, 1)).max()) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(ops.tone(moved)[0], target[0], atol=1e-6)


def test_sharpness_is_left_or_taken_over():
    image = random_picture(24, 32)
    now = float(ops.rms_luma(ops.fine_detail(image)))
    np.testing.assert_allclose(ops.match_sharpness(image, now, 1.0), image, atol=1e-6)
    softer = ops.match_sharpness(image, 0.7 * now, 1.0)
    assert float(ops.rms_luma(ops.fine_detail(softer))) < 0.85 * now
    flat = jnp.full((8, 8, 3), 0.5)
    np.testing.assert_allclose(ops.match_sharpness(flat, 0.3, 1.0), flat, atol=1e-6)


@pytest.mark.parametrize(("frequency", "kept"), [(0.05, 0.0), (0.1, 0.02), (0.5, 1.0)])
def test_fine_detail_is_what_is_finer_than_three_pixels(frequency: float, kept: float):
    x = jnp.arange(200)
    wave = jnp.broadcast_to(jnp.cos(2 * jnp.pi * frequency * x)[None, :, None], (8, 200, 3))
    share = float(jnp.std(ops.fine_detail(wave)) / jnp.std(wave))
    assert share == pytest.approx(kept, abs=0.02)


def test_soft_clipping_keeps_the_middle_and_never_reaches_the_ends():
    values = jnp.linspace(-0.2, 1.2, 300).reshape(10, 10, 3)
    bent = ops.soft_clip(values, 0.1)
    middle = (values > 0.1) & (values < 0.9)
    np.testing.assert_array_equal(bent[middle], values[middle])
    assert 0 < float(bent.min()) < float(bent.max()) < 1
    assert (jnp.diff(bent.ravel()) > 0).all()
    np.testing.assert_allclose(ops.soft_clip(values, 0.0), jnp.clip(values, 0, 1), atol=1e-5)


def test_a_cross_fade_ends_in_its_pictures_and_keeps_contrast():
    first, second = random_picture(40, 60), random_picture(40, 60, 1)
    np.testing.assert_allclose(ops.blend(first, second, 0.0), first, atol=1e-6)
    np.testing.assert_allclose(ops.blend(first, second, 1.0), second, atol=1e-6)
    half = ops.blend(first, second, 0.5)
    assert float(jnp.std(half)) > 0.9 * min(float(jnp.std(first)), float(jnp.std(second)))
    assert float(jnp.std((first + second) / 2)) < 0.8 * float(jnp.std(first))


def test_cropping_undoes_padding():
    image = random_picture(12, 17)
    np.testing.assert_array_equal(ops.crop(ops.pad(image, 5, 40), 5, 40), image)
    expected = np.pad(image, ((5, 5), (7, 7), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(ops.pad(image, 5, 7), expected)


def test_clouds_are_seeded_and_of_even_strength():
    key = jax.random.key(3)
    clouds = ops.clouds(key, 90, 160)
    np.testing.assert_array_equal(clouds, ops.clouds(key, 90, 160))
    assert 0.5 < float(clouds.std()) < 1.5
    assert ops.clouds(key, 4, 4).shape == (4, 4, 3)


def test_8_bit_levels_are_the_nearest():
    values = jnp.array([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 2.0])
    assert ops.to_8bit(values).tolist() == [0, 0, 0, 1, 255, 255]
    assert ops.to_16bit(values[:3] * 255 / 65535 * 10).tolist() == [0, 0, 4]


def test_a_roll_is_numpys():
    picture = random_picture(7, 5)
    for shift in ((0, 0), (3, -2), (-9, 14), (7, -5)):
        expected = np.roll(picture, shift, axis=(0, 1))
        np.testing.assert_array_equal(ops.roll(picture, jnp.array(shift)), expected)
