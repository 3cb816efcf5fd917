"""Adversaries: never larger than allowed, never outside of a picture's range, always worse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.training.attack import Norm, attack, beginning, stepped, within

KEY = jax.random.key(1)
IMAGES = jax.random.uniform(KEY, (4, 9, 7, 3))
NORMS = pytest.mark.parametrize(("norm", "radius"), [("l2", 0.8), ("linf", 0.05)])


def size(change: jax.Array, norm: Norm) -> np.ndarray:
    flat = np.asarray(change).reshape(len(change), -1)
    return abs(flat).max(1) if norm == "linf" else np.linalg.norm(flat, axis=1)


@NORMS
def test_a_change_is_allowed_whatever_it_was(norm: Norm, radius: float) -> None:
    for change in (
        5.0 * jax.random.normal(KEY, IMAGES.shape),
        beginning(KEY, IMAGES, radius, norm),
        stepped(jnp.zeros_like(IMAGES), IMAGES - 0.5, IMAGES, 9.0, radius, norm),
    ):
        kept = within(change, IMAGES, radius, norm)
        assert (size(kept, norm) <= radius * (1 + 1e-5)).all()
        assert (IMAGES + kept).min() >= 0
        assert (IMAGES + kept).max() <= 1


@NORMS
def test_what_is_allowed_stays_as_it_is(norm: Norm, radius: float) -> None:
    grey = jnp.full_like(IMAGES, 0.5)
    change = within(0.01 * (IMAGES - 0.5), grey, radius, norm)
    np.testing.assert_allclose(change, 0.01 * (IMAGES - 0.5), atol=1e-6)


@NORMS
def test_steps_find_the_worst_of_a_linear_loss(norm: Norm, radius: float) -> None:
    slope = jax.random.normal(jax.random.key(2), IMAGES.shape)
    grey = jnp.full_like(IMAGES, 0.5)
    if norm == "linf":
        worst = radius * jnp.sign(slope)
    else:
        worst = radius * slope / jnp.sqrt((slope**2).sum((1, 2, 3), keepdims=True))
    for steps in (10, 30):
        found = attack(KEY, lambda _: slope, grey, radius=radius, norm=norm, steps=steps)
        reached = (found * slope).sum((1, 2, 3)) / (worst * slope).sum((1, 2, 3))
        assert (reached > 0.97).all()


def test_without_a_gradient_nothing_grows() -> None:
    change = stepped(jnp.zeros_like(IMAGES), jnp.zeros_like(IMAGES), IMAGES, 1.0, 1.0, "l2")
    np.testing.assert_array_equal(change, 0.0)
