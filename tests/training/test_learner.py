"""The network while it learns, and as it is dreamed: the same function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dreamvid.models import Model
from dreamvid.training.network import Learner, convolutions, folded, spec_of, unfold

LABELS = ("ant", "bee", "cat")
SPEC = spec_of(0.125, LABELS, "a test")
IMAGES = jax.random.uniform(jax.random.key(3), (4, 32, 32, 3))


def taught(seed: int = 0) -> Learner:
    """With norms and a head as after some learning."""
    learner = Learner(SPEC, nnx.Rngs(seed))
    random = np.random.default_rng(seed)
    norms: Any = learner.norms
    for norm in norms.values():
        width = norm.mean[...].shape
        norm.mean[...] = jnp.asarray(random.normal(0, 0.3, width), jnp.float32)
        norm.var[...] = jnp.asarray(random.uniform(0.5, 2, width), jnp.float32)
        norm.scale[...] = jnp.asarray(random.uniform(0.5, 1.5, width), jnp.float32)
        norm.bias[...] = jnp.asarray(random.normal(0, 0.2, width), jnp.float32)
    head = learner.head.kernel
    head[...] = jnp.asarray(random.normal(0, 0.1, head[...].shape), jnp.float32)
    learner.eval()
    return learner


@pytest.fixture(scope="module")
def learner() -> Learner:
    return taught()


def odds_of(model: Model, image: jax.Array) -> np.ndarray:
    return np.asarray(model.activations(image, ["logits"])["logits"][0, 0])


def test_widths_are_multiples_of_eight() -> None:
    for width in (0.125, 0.3, 1.0):
        counts = np.concatenate([widths for _, widths in spec_of(width, (), "").widths])
        assert (counts % 8 == 0).all()
        assert counts.min() >= 8
    assert dict(spec_of(1.0, (), "").widths)["mixed4c"] == (128, 128, 256, 24, 64, 64)


def test_the_folded_network_is_the_same_function(learner: Learner) -> None:
    model = Model.from_tensors(SPEC, folded(learner))
    odds = learner.classify(IMAGES)
    for image, expected in zip(IMAGES, odds, strict=True):
        np.testing.assert_allclose(odds_of(model, image), expected, rtol=1e-3, atol=1e-4)


def test_an_unfolded_network_is_the_same_function_and_its_norms_fit(learner: Learner) -> None:
    model = Model.from_tensors(SPEC, folded(learner))
    again = Learner(SPEC, nnx.Rngs(7))
    unfold(again, model, list(IMAGES))
    again.eval()
    np.testing.assert_allclose(
        again.classify(IMAGES), learner.classify(IMAGES), rtol=1e-3, atol=1e-4
    )
    # Trained on these pictures, it begins with what they really are like.
    again.train()
    first = again.norms["conv2d0"]
    before = np.asarray(first.mean[...])
    again.classify(IMAGES)
    np.testing.assert_allclose(first.mean[...], before, atol=1e-3)


def test_other_classes_begin_with_a_head_of_their_own(learner: Learner) -> None:
    model = Model.from_tensors(SPEC, folded(learner))
    other = Learner(spec_of(0.125, ("one", "two"), ""), nnx.Rngs(0))
    unfold(other, model, list(IMAGES[:1]))
    np.testing.assert_array_equal(other.head.kernel[...], 0.0)


def test_learning_moves_the_statistics_and_checking_does_not(learner: Learner) -> None:
    one = taught()
    before = np.asarray(one.norms["conv2d0"].mean[...])
    one.classify(IMAGES)
    np.testing.assert_array_equal(one.norms["conv2d0"].mean[...], before)
    one.train()
    one.classify(IMAGES)
    assert not np.array_equal(one.norms["conv2d0"].mean[...], before)


def test_dropout_leaves_out_what_the_key_says(learner: Learner) -> None:
    plain = learner.classify(IMAGES[:1])
    seen = [learner.odds(IMAGES[:1], 0.5, jax.random.key(i))[0] for i in (0, 0, 1)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.allclose(seen[0], seen[2])
    assert not np.allclose(seen[0], plain)


def test_a_second_classifier_learns_from_within_and_is_not_kept(learner: Learner) -> None:
    taught_twice = Learner(SPEC, nnx.Rngs(0), auxiliary=True)
    head: Any = taught_twice.auxiliary
    middle = Model.from_tensors(SPEC, folded(learner)).layer("mixed4c").channels
    assert head.kernel[...].shape == (middle, len(LABELS))

    def second(images: jax.Array) -> jax.Array:
        return taught_twice.odds(images)[1]

    np.testing.assert_array_equal(second(IMAGES), 0.0)
    head.kernel[...] = jax.random.normal(jax.random.key(1), head.kernel[...].shape)
    assert len(np.unique(second(IMAGES))) == len(IMAGES) * len(LABELS)
    assert len(learner.odds(IMAGES)) == 1
    assert folded(taught_twice).keys() == folded(learner).keys()


def test_every_convolution_has_a_norm(learner: Learner) -> None:
    assert set(learner.norms) == {node.name for node in convolutions(SPEC)}


def test_it_computes_in_other_numbers() -> None:
    learner = Learner(SPEC, nnx.Rngs(0), jnp.bfloat16)
    assert learner.classify(IMAGES[:1]).dtype == jnp.float32
    assert learner.head.kernel[...].dtype == jnp.float32
