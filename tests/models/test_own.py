"""A Flax network of the user's own dreams as ours do."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dreamvid.ascent import dream
from dreamvid.errors import DreamError, UnknownNameError
from dreamvid.models.own import OwnModel, adopt
from dreamvid.models.spec import LayerInfo
from dreamvid.objectives import Layer
from dreamvid.options import Ascent
from small import counted_compiles, random_picture

KEY = jax.random.key(3)


class Small(nnx.Module):
    """Two convolutions, whose names are not in the order of the alphabet."""

    def __init__(self, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.stem = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
        self.body = nnx.Conv(4, 6, (3, 3), strides=3, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> dict[str, jax.Array]:
        stem = nnx.relu(self.stem(pixels))
        return {"stem": stem, "body": nnx.relu(self.body(stem))}


class Restless(nnx.Module):
    """It has statistics and randomness as well as params."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> dict[str, jax.Array]:
        return {"conv": self.dropout(self.norm(self.conv(pixels)))}


class Returning(nnx.Module):
    """It makes of a picture whatever a function does."""

    def __init__(self, function: Callable[[jax.Array], Any]):
        self.function = function

    def __call__(self, pixels: jax.Array) -> Any:
        return self.function(pixels)


@cache
def small(seed: int = 0) -> Any:
    return adopt(Small(seed), mean=127.5, scale=1 / 127.5)


def pooled(x: jax.Array, window: int, stride: int = 1) -> jax.Array:
    return nnx.avg_pool(x, (window, window), (stride, stride), "VALID")


def test_it_knows_its_layers():
    own = small()
    assert own.layers == ("stem", "body")
    assert own.layer("stem") == LayerInfo("stem", 4, 2, (0, 0), 16, 0.0)
    assert own.layer("body") == LayerInfo("body", 6, 6, (0, 0), 16, 0.0)
    assert own.favourite("zoom") in own.layers


def test_the_least_picture_is_found_layer_by_layer():
    def see(x: jax.Array) -> dict[str, jax.Array]:
        wide = pooled(x, 31, 2)
        mean = x.mean((1, 2), keepdims=True)
        return {"wide": wide, "wider": pooled(wide, 9), "same": x, "whole": mean}

    own = adopt(Returning(see))
    # 9 positions of the first, two pixels from one to the next, are 31 + 8 * 2 pixels.
    assert [own.layer(name).smallest for name in own.layers] == [31, 47, 16, 16]
    assert [own.layer(name).stride for name in own.layers] == [2, 2, 1, 1]
    with pytest.raises(DreamError, match=r"46x60 pixels, too few .* at least 47x47"):
        own.activations(jnp.zeros((60, 46, 3)), ["wider"])
    assert own.activations(jnp.zeros((47, 48, 3)), ["wider"])["wider"].shape == (1, 1, 3)


def test_a_network_may_refuse_small_pictures():
    def see(x: jax.Array) -> dict[str, jax.Array]:
        if x.shape[1] < 40:
            raise ValueError("too small")
        return {"all": x}

    assert adopt(Returning(see)).layer("all").smallest == 40


def test_it_sees_what_the_module_sees():
    module, mean, scale = Small(), (10.0, 20.0, 30.0), (0.5, 1.0, 2.0)
    own, image = adopt(module, mean, scale), random_picture(17, 23)
    seen = own.activations(image, ["body", "stem", "body"])
    expected = module((255 * image[None] - jnp.array(mean)) * jnp.array(scale))
    assert list(seen) == ["body", "stem"]
    for name, value in seen.items():
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-4, atol=1e-3)


def test_it_is_the_same_under_jit_and_vmap():
    own, images = small(), jnp.stack([random_picture(17, 23, seed) for seed in (0, 1)])

    def see(own: OwnModel, image: jax.Array) -> jax.Array:
        return own.activations(image, ["body"])["body"]

    plain = jnp.stack([see(own, image) for image in images])
    np.testing.assert_allclose(jax.jit(see)(own, images[0]), plain[0], atol=1e-5)
    np.testing.assert_allclose(jax.vmap(see, (None, 0))(own, images), plain, atol=1e-5)


def test_weights_are_arguments():
    own, other, image = small(), small(seed=1), random_picture(24, 24)

    def see(own: OwnModel, image: jax.Array) -> jax.Array:
        return own.activations(image, ["body"])["body"]

    closed = jax.make_jaxpr(see)(own, image)
    assert sum(np.size(const) for const in closed.consts) < 10
    assert len(closed.jaxpr.invars) == len(jax.tree.leaves(own)) + 1 == 5
    first = see(own, image)
    with counted_compiles() as compiled:
        second = see(other, image)
    assert not compiled
    assert np.abs(first - second).max() > 1e-3


def test_a_dream_makes_its_objective_rise():
    own, other, image, objective = small(), small(seed=1), random_picture(40, 48), Layer("body")
    ascent = Ascent(steps=4, octaves=2, jitter=2)
    dreamed = dream(own, image, objective, ascent, KEY)

    def score(image: jax.Array) -> float:
        return float(objective(own.activations(image, ["body"])))

    assert score(dreamed) > 1.2 * score(image)
    with counted_compiles() as compiled:
        dream(other, image, objective, ascent, KEY)
    assert not compiled


@pytest.mark.parametrize("train", [True, False])
def test_statistics_and_randomness_are_carried_along(train: bool):
    module = Restless()
    module.train() if train else module.eval()
    own: Any = adopt(module)
    kinds = {type(variable) for _, variable in nnx.to_flat_state(own.state)}
    assert {nnx.Param, nnx.BatchStat, nnx.RngKey} <= kinds
    image = random_picture(20, 20)
    seen = own.activations(image, ["conv"])["conv"]
    np.testing.assert_array_equal(seen, own.activations(image, ["conv"])["conv"])
    assert bool((seen == 0).any()) == train  # what is dropped
    dreamed = dream(own, image, Layer("conv"), Ascent(steps=1, octaves=1), KEY)
    assert np.isfinite(dreamed).all()


def test_training_the_module_further_changes_nothing():
    module, image = Small(), random_picture(20, 20)
    own = adopt(module)
    before = own.activations(image, ["stem"])["stem"]
    module.stem.kernel[...] = 0 * module.stem.kernel[...]
    np.testing.assert_array_equal(own.activations(image, ["stem"])["stem"], before)
    assert before.max() > 0


def test_half_precision_is_seen_in_full():
    own = adopt(Returning(lambda x: {"half": x.astype(jnp.bfloat16)}))
    assert own.activations(random_picture(16, 16), ["half"])["half"].dtype == jnp.float32


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, "returns a .*Tracer: its activations are needed by name"),
        (lambda x: {}, "returns a dict: "),
        (lambda x: {"a": x.mean((1, 2))}, r"layer 'a' is float32 \(1, 3\): floats of shape"),
        (lambda x: {"a": x[0]}, r"layer 'a' is float32 \(1024, 1024, 3\)"),
        (lambda x: {"a": x > 0}, r"layer 'a' is bool \(1, 1024, 1024, 3\)"),
        (lambda x: {3: x}, "calls a layer 3, which cannot be: rename it"),
        (lambda x: {"image": x}, "calls a layer 'image'"),
        (lambda x: {"a": x[:, 2000:]}, "layer 'a' has no position in a picture of 1024x1024"),
        (lambda x: {"a": x.reshape(1, 224, 224, 3)}, "fails on a picture of 1024x1024 pixels"),
    ],
)
def test_modules_that_cannot_dream_are_refused(function: Callable[..., Any], message: str):
    with pytest.raises(DreamError, match=message) as caught:
        adopt(Returning(function))
    assert "\n" not in str(caught.value)


def test_other_mistakes_are_told():
    not_ours: Any = dict
    with pytest.raises(DreamError, match=r"flax.nnx.Module, not a type"):
        adopt(not_ours)
    for wrong in ((1, 2), "mean", float("nan")):
        with pytest.raises(DreamError, match=r"mean is .*: give one number, or three"):
            adopt(Small(), mean=wrong)  # pyright: ignore[reportArgumentType]
    own = small()
    with pytest.raises(UnknownNameError, match=r"'bdy' of this network. Did you mean 'body'"):
        own.layer("bdy")
    with pytest.raises(DreamError, match="an RGB picture is"):
        own.activations(jnp.zeros((20, 20)), ["body"])
    with pytest.raises(DreamError, match="15x20 pixels, too few"):
        own.activations(jnp.zeros((20, 15, 3)), ["body"])
