"""Laws of pictures from noise."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import visualize as module
from dreamvid.checkpoints.store import load
from dreamvid.errors import DreamError, OptionError
from dreamvid.fields import Size
from dreamvid.media.stills import read_picture
from dreamvid.models import Model
from dreamvid.objectives import Channel, Diversity, Layer, TotalVariation
from dreamvid.options import Visual
from dreamvid.parameters import PARAMETERS
from dreamvid.paths import packaged
from dreamvid.visualize import ANGLE, SCALE, SHIFT, values, view, visualize
from small import counted_compiles

KEY = jax.random.key(5)
LAYER = "conv2d2"
SMALL = Visual(Size(24, 24), steps=8)


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_each_objective_rises_from_noise(model: Model, name: str):
    wanted = [Channel(LAYER, float(k)) for k in (1, 4)]
    options = Visual(Size(24, 17), 12, 0.1, name, robust=name != "pixel")
    begun = visualize(model, wanted, replace(options, steps=0), KEY)
    found = visualize(model, wanted, options, KEY)
    assert found.shape == (2, 17, 24, 3)
    assert 0 <= found.min() <= found.max() <= 1
    assert (values(model, wanted, found) > values(model, wanted, begun) + 1e-3).all()


def test_channels_that_see_nothing_in_noise_are_found(model: Model):
    """Behind a ReLU that is shut there is no gradient to go by."""
    shut = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf - 20.0 if LAYER in str(path) and leaf.ndim == 1 else leaf, model
    )
    wanted = [Channel(LAYER, float(k)) for k in range(6)]
    options = Visual(Size(24, 24), steps=20, rate=0.3)
    begun = visualize(shut, wanted, replace(options, steps=0), KEY)
    assert (values(shut, wanted, begun) == 0).all()
    assert (values(shut, wanted, visualize(shut, wanted, options, KEY)) > 1).all()


def test_the_leak_changes_no_value(model: Model):
    picture = jax.random.uniform(KEY, (24, 24, 3))
    objective = Channel(LAYER, 1.0) + Layer("conv2d1_pre_relu") - TotalVariation()
    leaky = objective(module._see(model, picture, objective))
    expected = values(model, [objective], picture[None])[0]
    assert float(leaky) == pytest.approx(float(expected), rel=1e-6)


def test_a_picture_is_the_same_whichever_others_are_found_with_it(model: Model):
    together = visualize(
        model, [Channel(LAYER, float(k)) for k in (1, 4, 5)], SMALL, KEY, numbers=[1, 4, 5]
    )
    alone = visualize(model, [Channel(LAYER, 4.0)], SMALL, KEY, numbers=[4])
    np.testing.assert_allclose(together[1], alone[0], atol=2e-3)
    again = visualize(model, [Channel(LAYER, 4.0)], SMALL, KEY, numbers=[4])
    np.testing.assert_array_equal(again, alone)  # bit for bit
    other = visualize(model, [Channel(LAYER, 4.0)], SMALL, KEY, numbers=[5])
    assert float(jnp.abs(other - alone).mean()) > 0.002


def test_diversity_drives_variants_apart(model: Model):
    wanted = [Diversity(LAYER)] * 3
    options = Visual(Size(24, 24), 10, 0.1, "pixel", robust=False)
    likeness = [
        values(model, wanted, visualize(model, wanted, replace(options, steps=steps), KEY))
        for steps in (0, 10)
    ]
    assert (likeness[0] < -0.9).all()
    assert (likeness[1] > -0.7).all()


def test_the_loop_inside_the_program_is_the_loop_outside(
    model: Model, monkeypatch: pytest.MonkeyPatch
):
    wanted, told = [Channel(LAYER, 2.0)], []
    outside = visualize(model, wanted, SMALL, KEY, watch=told.append)
    monkeypatch.setattr(module.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(module, "CHUNK", 5)
    inside = visualize(model, wanted, SMALL, KEY, watch=told.append)
    np.testing.assert_allclose(inside, outside, atol=2e-3)
    assert told == [*range(1, 9), 5, 8]


def test_other_channels_steps_and_rates_need_no_compile(model: Model):
    def find(first: int, steps: int, rate: float) -> None:
        wanted = [Channel(LAYER, float(k)) for k in (first, first + 1)]
        found = visualize(model, wanted, Visual(Size(16, 16), steps, rate), KEY)
        values(model, wanted, found)

    find(0, 2, 0.05)
    with counted_compiles() as compiled:
        find(2, 3, 0.1)
    assert not compiled


def test_views_keep_to_their_bounds_and_differ():
    motions = np.stack([view(KEY, index) for index in range(200)])
    sizes = np.hypot(motions[:, 0, 0], motions[:, 1, 0])
    turns = np.degrees(np.arctan2(motions[:, 1, 0], motions[:, 0, 0]))
    assert 1 / (1 + SCALE) - 1e-5 <= sizes.min() < 0.95 < 1.05 < sizes.max() <= 1 / (1 - SCALE)
    assert -ANGLE <= turns.min() < -0.8 * ANGLE < 0.8 * ANGLE < turns.max() <= ANGLE
    shifts = motions[:, :2, 2]
    assert -SHIFT <= shifts.min() < -0.8 * SHIFT < 0.8 * SHIFT < shifts.max() <= SHIFT
    np.testing.assert_array_equal(motions[3], view(KEY, 3))


def test_what_cannot_be_found_is_refused(model: Model):
    with pytest.raises(DreamError, match="2 kinds of objectives"):
        visualize(model, [Channel(LAYER, 1.0), Layer(LAYER)], SMALL, KEY)
    with pytest.raises(DreamError, match="Did you mean 'conv2d2'"):
        visualize(model, [Layer("conv2dd2")], SMALL, KEY)
    with pytest.raises(OptionError, match="--rate is 0"):
        Visual(rate=0.0)
    with pytest.raises(OptionError, match="--parameters is 'furier'"):
        Visual(parameters="furier")


def test_a_channel_is_excited_more_than_by_any_crop_of_photographs():
    """The built-in network at mixed4a: the mean activation, against the best of 200 crops."""
    model, layer, side = load("builtin"), "mixed4a", 64
    rng = np.random.default_rng(0)
    pictures = [read_picture(packaged("samples") / f"{n}.jpg").rgb for n in ("sky", "night")]
    crops = []
    for number in range(200):
        picture = pictures[number % 2]
        y, x = (int(rng.integers(length - side)) for length in picture.shape[:2])
        crops.append(picture[y : y + side, x : x + side])

    @jax.jit
    def means(model: Model, picture: jax.Array) -> jax.Array:
        return model.activations(picture, [layer])[layer].mean((0, 1))

    best = np.max([means(model, jnp.asarray(crop)) for crop in crops], axis=0)
    channels = [3, 60, 131, 200]
    wanted = [Channel(layer, float(channel)) for channel in channels]
    options = Visual(Size(side, side), steps=32, rate=0.1)
    found = visualize(model, wanted, options, KEY)
    assert (np.asarray(values(model, wanted, found)) > best[channels]).all()
