"""Heat maps lie where the network looks."""

import jax
import numpy as np
import pytest

from dreamvid.heat import centres, energy, overlays
from dreamvid.models import Model, ModelSpec
from small import TINY_V3_WIDTHS, random_picture, random_tensors


@pytest.fixture(scope="module")
def v3() -> Model:
    spec = ModelSpec("inception_v3", "keras", TINY_V3_WIDTHS, (0, 0, 0), (1, 1, 1))
    return Model.from_tensors(spec, random_tensors(spec))


def middle_of_what_is_seen(model: Model, layer: str, side: int, position: int) -> float:
    """Of all pixels with a say in a position of a layer: in parts of the side."""

    def seen(image: jax.Array) -> jax.Array:
        # Of all channels, and of more than one picture, since a pool hears its winners only.
        return model.activations(image, [layer])[layer][position, position].sum()

    slope = jax.jit(jax.grad(seen))
    total = sum(np.abs(slope(random_picture(side, side, seed))) for seed in range(6))
    (heard,) = np.nonzero(np.asarray(total).sum((0, 2)))
    return ((heard[0] + heard[-1]) / 2 + 0.5) / side


def test_a_position_lies_in_the_middle_of_what_it_sees(any_model: Model):
    side = 125  # of which TensorFlow pads now evenly, now not
    places = centres(any_model.spec, "mixed3a_1x1_pre_relu", side)
    position = len(places) // 2
    found = middle_of_what_is_seen(any_model, "mixed3a_1x1", side, position)
    assert places[position] == pytest.approx(found, abs=1e-6)


def test_likewise_where_only_whole_windows_count(v3: Model):
    places = centres(v3.spec, "mixed0_1x1", 130)
    found = middle_of_what_is_seen(v3, "mixed0_1x1", 130, len(places) // 2)
    assert places[len(places) // 2] == pytest.approx(found, abs=1e-6)


def test_each_layer_has_as_many_places_as_positions(any_model: Model):
    image = random_picture(75, 98)
    layers = [name for name in any_model.layers if not name.endswith("_pre_relu")]
    shapes = jax.eval_shape(lambda image: any_model.activations(image, layers), image)
    for name, values in shapes.items():
        for count, side in zip(values.shape, image.shape[:2], strict=False):
            assert len(centres(any_model.spec, name, side)) == count


def test_energy_is_the_rms_of_what_is_positive():
    values = np.zeros((2, 2, 3), np.float32)
    values[0, 0] = 2.0, -9.0, 0.0
    np.testing.assert_allclose(energy(values), [1.0, 0.0, 0.0])


def test_heat_is_brightest_at_the_maximum_and_leaves_the_rest_dim_and_grey():
    picture = np.asarray(random_picture(60, 90) * 255, np.uint8)
    activations = np.full((6, 9, 2), -1.0, np.float32)
    activations[4, 2] = 0.001  # however small, it is its channel's own greatest
    places = [(np.arange(count) + 0.5) / count for count in (6, 9)]
    for heat in overlays(picture, activations, [0, 1], *places):
        assert (heat.dtype, heat.shape) == (np.uint8, picture.shape)
        y, x = np.unravel_index(heat.sum(-1).argmax(), heat.shape[:2])
        assert (int(y) // 10, int(x) // 10) == (4, 2)
        far = heat[:30, 45:]
        assert np.ptp(far, axis=-1).max() <= 1  # no colour
        assert far.max() < 0.5 * 255
        assert far.std() > 3  # but the picture is still there


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_silent_channel_shows_the_dim_picture_alone(value: float):
    picture = np.asarray(random_picture(20, 20) * 255, np.uint8)
    places = (np.arange(2) + 0.5) / 2
    (heat,) = overlays(picture, np.full((2, 2, 1), value, np.float32), [0], places, places)
    assert np.ptp(heat, axis=-1).max() == 0


def test_where_there_is_one_position_channels_are_compared():
    picture = np.full((20, 20, 3), 128, np.uint8)
    activations = np.array([[[4.0, 1.0]]], np.float32)
    high, low = overlays(picture, activations, [0, 1], np.array([0.5]), np.array([0.5]))
    assert high.mean() > 1.5 * low.mean()
    assert np.ptp(high, axis=(0, 1)).max() == 0
