"""Laws of Inception V3; that it is the frameworks' own is for tests/parity."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.errors import DreamError, UnknownNameError, WeightsError
from dreamvid.models import Model, ModelSpec, inception_v3
from small import TINY_V3_WIDTHS, random_picture, random_tensors

MEAN, SCALE = (127.5, 127.5, 127.5), (0.01, 0.01, 0.01)


def tiny(family: str = "keras") -> Model:
    labels = ("cat", "dog", "owl")
    spec = ModelSpec("inception_v3", family, TINY_V3_WIDTHS, MEAN, SCALE, labels=labels)
    return Model.from_tensors(spec, random_tensors(spec))


def full() -> Model:
    spec = ModelSpec("inception_v3", "keras", inception_v3.WIDTHS, MEAN, SCALE)
    return Model(spec, None, None)  # type: ignore[arg-type]


def test_full_width_has_the_papers_channels():
    channels = [full().layer(f"mixed{index}").channels for index in range(11)]
    assert channels == [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]
    assert len(inception_v3.CONVOLUTIONS) == 94


@pytest.mark.parametrize("size", [(75, 75), (91, 107)])
@pytest.mark.parametrize("family", sorted(inception_v3.FAMILIES))
def test_any_size_gives_every_layer_as_described(family: str, size: tuple[int, int]):
    model = tiny(family)
    picture = jax.ShapeDtypeStruct((*size, 3), jnp.float32)
    acts = jax.eval_shape(partial(model.activations, layers=model.layers), picture)
    for info in model.describe():
        assert acts[info.name].shape[2] == info.channels
        assert min(acts[info.name].shape) >= 1


def test_a_layer_is_the_rectified_one_before():
    model = tiny()
    acts = model.activations(random_picture(80, 91), model.layers)
    for name in model.layers:
        assert jnp.isfinite(acts[name]).all()
        if f"{name}_pre_relu" in acts:
            np.testing.assert_array_equal(acts[name], jax.nn.relu(acts[f"{name}_pre_relu"]))


@pytest.mark.parametrize("layer", ["conv2d4", "mixed2", "mixed3", "mixed8", "mixed10"])
def test_a_picture_as_small_as_a_layer_can_be_still_has_a_position(layer: str):
    model = tiny()
    side = max(model.layer(layer).smallest, 16)
    picture = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    acts = jax.eval_shape(partial(model.activations, layers=[layer]), picture)
    assert min(acts[layer].shape) >= 1
    if side > 16:
        with pytest.raises(DreamError, match=f"enlarge it to at least {side}x{side}"):
            model.activations(random_picture(side, side - 1), [layer])


def test_the_deepest_layer_needs_75_pixels():
    assert full().layer("mixed10").smallest == 75


def test_average_pools_differ_at_the_border_alone():
    layer = "mixed0_pool_pre_relu"
    ours, theirs = (
        tiny(family).activations(random_picture(107, 107), [layer])[layer]
        for family in ("keras", "torch")
    )
    np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(ours[0], theirs[0])


@pytest.mark.parametrize(
    ("alias", "ours"),
    [
        ("Mixed_5b", "mixed0"),
        ("Mixed_6e", "mixed7"),
        ("Mixed_6b.branch7x7_2", "mixed4_7x7_2"),
        ("Mixed_7c.branch3x3dbl_3a_pre_relu", "mixed10_3x3dbl_3a_pre_relu"),
        ("Mixed_5d.branch_pool", "mixed2_pool"),
        ("Conv2d_2b_3x3", "conv2d2"),
        ("activation", "conv2d0"),
        ("activation_5", "mixed0_1x1"),
        ("activation_93", "mixed10_pool"),
        ("fc", "logits"),
        ("predictions", "logits"),
    ],
)
def test_other_frameworks_names_lead_to_our_layers(alias: str, ours: str):
    assert tiny().layer(alias).name == ours


def test_an_alias_is_answered_under_its_own_name():
    acts = tiny().activations(random_picture(80, 80), ["Mixed_5b", "mixed0"])
    np.testing.assert_array_equal(acts["Mixed_5b"], acts["mixed0"])


def test_a_layer_of_another_network_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'mixed4c' of inception_v3\. Did you mean 'mixed"):
        tiny().layer("mixed4c")


def test_receptive_fields_follow_the_kernels():
    model = full()
    assert model.layer("conv2d0").field == (3, 3)
    assert model.layer("conv2d2").field == (11, 11)
    high, wide = model.layer("mixed4_7x7_2").field
    assert wide - high == 6 * 16


def test_a_spec_with_other_widths_is_refused():
    more = (*inception_v3.WIDTHS, ("mixed11", (1,)))
    with pytest.raises(WeightsError, match="widths for 'mixed11', which it does not have"):
        Model.from_tensors(ModelSpec("inception_v3", "keras", more, MEAN, SCALE), {})
    spec = ModelSpec("inception_v3", "keras", inception_v3.WIDTHS[1:], MEAN, SCALE)
    with pytest.raises(WeightsError, match="widths for 'conv2d0'"):
        Model.from_tensors(spec, {})
