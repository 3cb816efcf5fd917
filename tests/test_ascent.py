"""Laws of the ascent, and the 2015 loop written a second time in plain NumPy."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import ascent
from dreamvid.ascent import (
    Climb,
    ascend,
    draw_shift,
    dream,
    octave_sizes,
    step,
    steps,
    take_step,
)
from dreamvid.errors import DreamError
from dreamvid.gradients import GRADIENTS, OPTIMIZERS
from dreamvid.models import Model
from dreamvid.objectives import Layer
from dreamvid.ops import resize_bilinear
from dreamvid.options import Ascent
from small import counted_compiles, random_picture, tiny_model

KEY = jax.random.key(7)
OBJECTIVE = Layer("mixed3b")


def transcribed_dream(
    image: np.ndarray,
    gradient: Callable[[np.ndarray], np.ndarray],
    jitters: list[list[tuple[int, int]]],
    octave_scale: float,
    rate: float,
) -> np.ndarray:
    """The loop of 2015's dream.ipynb: (h, w, 3) in 8-bit levels, and an octave's jitters in a list.

    `gradient` maps a picture in 8-bit levels to the objective's gradient there.
    """

    def enlarge(picture: np.ndarray, height: int, width: int) -> np.ndarray:
        # order=1 of the original: corners aligned, no antialiasing.
        rows = np.arange(height) * (picture.shape[0] - 1) / max(height - 1, 1)
        columns = np.arange(width) * (picture.shape[1] - 1) / max(width - 1, 1)
        out = np.empty((height, width, 3))
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                y0, x0 = int(y), int(x)
                y1, x1 = min(y0 + 1, picture.shape[0] - 1), min(x0 + 1, picture.shape[1] - 1)
                fy, fx = y - y0, x - x0
                top = picture[y0, x0] * (1 - fx) + picture[y0, x1] * fx
                bottom = picture[y1, x0] * (1 - fx) + picture[y1, x1] * fx
                out[i, j] = top * (1 - fy) + bottom * fy
        return out

    octaves = [image.astype(np.float64)]
    for _ in jitters[1:]:
        height, width = octaves[-1].shape[:2]
        octaves.append(
            enlarge(octaves[-1], round(height / octave_scale), round(width / octave_scale))
        )
    detail = np.zeros_like(octaves[-1])
    source = octaves[-1]
    for base, shifts in zip(octaves[::-1], jitters, strict=True):
        detail = enlarge(detail, *base.shape[:2])
        source = base + detail
        for down, right in shifts:
            source = np.roll(source, (down, right), (0, 1))
            g = gradient(source)
            source = source + rate / np.abs(g).mean() * g
            source = np.roll(source, (-down, -right), (0, 1))
            source = np.clip(source, 0, 255)
        detail = source - base
    return source


def test_it_is_the_algorithm_of_2015(model: Model):
    options = Ascent("mixed4c", steps=5, octaves=3, jitter=8)
    image = random_picture(61, 75)
    keys = [jax.random.fold_in(KEY, octave) for octave in range(3)]
    jitters = [
        [tuple(int(x) for x in draw_shift(key, index, 8)) for index in range(5)] for key in keys
    ]

    @jax.jit
    def gradient(levels: jax.Array) -> jax.Array:
        def score(levels: jax.Array) -> jax.Array:
            act = model.activations(levels / 255, ["mixed4c"])["mixed4c"]
            return 0.5 * jnp.sum(act**2)

        return jax.grad(score)(levels)

    expected = transcribed_dream(
        np.asarray(image) * 255,
        lambda levels: np.asarray(gradient(jnp.asarray(levels, jnp.float32)), np.float64),
        jitters,  # type: ignore[arg-type]
        options.octave_scale,
        options.rate,
    )
    dreamed = dream(model, image, Layer("mixed4c"), options, KEY)
    assert np.abs(np.asarray(dreamed) - image).mean() > 3 / 255  # it has dreamed
    np.testing.assert_allclose(dreamed, expected / 255, atol=1e-4)


def test_the_objective_rises(any_model: Model):
    image = random_picture(48, 64)

    def score(image: jax.Array) -> float:
        return float(OBJECTIVE(any_model.activations(image, OBJECTIVE.layers)))

    dreamed = dream(any_model, image, OBJECTIVE, Ascent(steps=6, octaves=1, jitter=4), KEY)
    assert score(dreamed) > 1.2 * score(image)


def test_a_step_changes_values_by_its_rate_on_average(model: Model):
    image = 0.25 + random_picture(32, 32) / 2  # nothing is clipped
    stepped, _ = step(model, image + 0, (), OBJECTIVE, Climb(1, 1.5, 8), KEY, 0)
    assert float(jnp.abs(stepped - image).mean()) * 255 == pytest.approx(1.5, rel=1e-3)


def test_steps_can_be_batched(model: Model):
    batch = jnp.stack([random_picture(24, 24, seed) for seed in range(2)])
    keys = jax.random.split(KEY)

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        return take_step(model, image, (), OBJECTIVE, Climb(1, 1.5, 8), key, 0)[0]

    alone = jnp.stack([one(image, key) for image, key in zip(batch, keys, strict=True)])
    np.testing.assert_allclose(jax.vmap(one)(batch, keys), alone, atol=1e-5)


def test_the_loop_inside_the_program_is_the_loop_outside(
    model: Model, monkeypatch: pytest.MonkeyPatch
):
    options = Ascent(steps=3, jitter=8, gradient="smooth", optimizer="adam")
    outside = ascend(model, random_picture(32, 40), OBJECTIVE, options, KEY)
    monkeypatch.setattr(ascent.jax, "default_backend", lambda: "gpu")
    inside = ascend(model, random_picture(32, 40), OBJECTIVE, options, KEY)
    np.testing.assert_allclose(inside, outside, atol=1e-4)


def test_the_number_of_steps_is_an_argument(model: Model):
    before = steps._cache_size()  # type: ignore[attr-defined]
    counts = [
        steps(model, random_picture(16, 16), OBJECTIVE, Climb(n, 1.5, 2), KEY) for n in (1, 2)
    ]
    assert not np.allclose(*counts)
    assert steps._cache_size() - before == 1  # type: ignore[attr-defined]


def test_twenty_frames_compile_once_per_octave_size(model: Model):
    options = Ascent(steps=2, octaves=3, jitter=5)
    jax.clear_caches()
    before = step._cache_size()  # type: ignore[attr-defined]
    with counted_compiles() as compiled:
        first = 0
        for frame in range(20):
            animated = replace(options, rate=0.5 + frame / 10, jitter=frame, steps=1 + frame % 3)
            dream(
                model, random_picture(48, 52), OBJECTIVE, animated, jax.random.fold_in(KEY, frame)
            )
            if frame == 0:
                first = len(compiled)
    assert step._cache_size() - before == 3  # type: ignore[attr-defined]
    assert len(compiled) == first > 0


def test_jitter_is_drawn_from_its_range_and_from_key_and_step():
    shifts = np.stack([draw_shift(KEY, index, 3) for index in range(200)])
    assert set(np.unique(shifts)) == set(range(-3, 4))
    np.testing.assert_array_equal(draw_shift(KEY, 5, 3), shifts[5])
    assert (draw_shift(KEY, 0, 0) == 0).all()


@pytest.mark.parametrize("poison", [0.0, np.nan, np.inf])
def test_no_gradient_and_a_broken_one_leave_the_picture_alone(poison: float):
    model = tiny_model()
    broken = jax.tree.map(lambda leaf: leaf * poison, model)
    image = random_picture(24, 24)
    dreamed = dream(broken, image, OBJECTIVE, Ascent(steps=2, octaves=2), KEY)
    np.testing.assert_allclose(dreamed, image, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_finite_and_in_range(model: Model, level: float):
    dreamed = dream(model, jnp.full((32, 32, 3), level), OBJECTIVE, Ascent(steps=3, octaves=1), KEY)
    assert jnp.isfinite(dreamed).all()
    assert 0 <= dreamed.min() <= dreamed.max() <= 1


def test_the_same_key_gives_the_same_dream_bit_for_bit(model: Model):
    options = Ascent(steps=2, octaves=2)
    once, again, other = (
        dream(model, random_picture(32, 32), OBJECTIVE, options, key)
        for key in (KEY, KEY, jax.random.key(8))
    )
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("layer", ["conv2d0", "mixed3b_5x5_bottleneck_pre_relu", "mixed5b"])
def test_any_layer_of_the_smallest_picture_can_be_dreamed(any_model: Model, layer: str):
    options = Ascent(layer, steps=1, octaves=5)
    dreamed = dream(any_model, random_picture(16, 16), Layer(layer), options, KEY)
    assert jnp.isfinite(dreamed).all()


def test_octave_sizes_are_the_originals():
    sizes = octave_sizes(360, 640, Ascent(octaves=4, octave_scale=1.4))
    assert sizes == [(360, 640), (257, 457), (184, 326), (131, 233)]


def test_octaves_are_clamped_and_none_comes_twice():
    assert octave_sizes(40, 20, Ascent(octaves=9), smallest=32) == [(40, 20), (32, 20)]
    assert octave_sizes(16, 400, Ascent(octaves=3)) == [(16, 400), (16, 286), (16, 204)]
    assert octave_sizes(16, 16, Ascent(octaves=4)) == [(16, 16)]


def test_what_cannot_be_dreamed_is_refused_before_compiling(model: Model):
    before = step._cache_size()  # type: ignore[attr-defined]
    with pytest.raises(DreamError, match="too few to dream"):
        dream(model, jnp.zeros((1, 1, 3)), OBJECTIVE, Ascent(), KEY)
    with pytest.raises(DreamError, match="Did you mean 'mixed4"):
        dream(model, random_picture(16, 16), Layer("mixed4x"), Ascent(), KEY)
    with pytest.raises(DreamError, match="holds uint8 values"):
        dream(model, jnp.zeros((16, 16, 3), jnp.uint8), OBJECTIVE, Ascent(), KEY)
    assert step._cache_size() == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("gradient", list(GRADIENTS))
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_the_objective_rises_however_it_is_climbed(model: Model, gradient: str, optimizer: str):
    picture = random_picture(40, 40)
    options = Ascent(steps=6, rate=0.5, octaves=1, jitter=2, gradient=gradient, optimizer=optimizer)
    dreamed = dream(model, picture, LOW, options, KEY)
    assert score(model, dreamed) > 1.02 * score(model, picture)


LOW = Layer("conv2d2")


@jax.jit
def score(model: Model, picture: jax.Array) -> jax.Array:
    return LOW(model.activations(picture, LOW.layers))


def test_octaves_may_be_larger_than_the_picture():
    options = Ascent(octaves=5, octave_scale=1.3, octaves_above=2)
    assert octave_sizes(100, 200, options) == [
        (169, 338),
        (130, 260),
        (100, 200),
        (77, 154),
        (59, 118),
    ]


@pytest.mark.parametrize("carry", ["detail", "image"])
def test_what_is_not_dreamed_keeps_its_size(model: Model, carry: str):
    options = Ascent(steps=0, octaves=3, octaves_above=1, octave_carry=carry)
    picture = random_picture(33, 47)
    dreamed = dream(model, picture, LOW, options, KEY)
    assert dreamed.shape == picture.shape
    lost = float(jnp.abs(dreamed - picture).mean())
    # Only detail goes from octave to octave, so a picture keeps its own; whole images are softened.
    assert lost < 1e-6 if carry == "detail" else lost > 0.01


def test_images_are_carried_up_as_they_were_dreamed(model: Model):
    options = Ascent(steps=2, octaves=2, octave_scale=1.5, jitter=0, octave_carry="image")
    picture = random_picture(36, 48)
    small = resize_bilinear(picture, 24, 32)
    first = ascend(model, small, LOW, options, jax.random.fold_in(KEY, 0))
    begun = resize_bilinear(first, 36, 48)
    second = ascend(model, begun, LOW, options, jax.random.fold_in(KEY, 1))
    np.testing.assert_allclose(dream(model, picture, LOW, options, KEY), second, atol=1e-5)
