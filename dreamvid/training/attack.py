"""Adversaries: pictures changed as little as can be seen, so that the network errs.

Source: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks" (PGD);
Wong et al. 2020, "Fast is better than free" (one step); Shafahi et al. 2019, "Adversarial Training
for Free!".
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

Norm: TypeAlias = Literal["l2", "linf"]
Gradient: TypeAlias = Callable[[jax.Array], jax.Array]
"""Pictures (n, h, w, 3) -> the gradient of each one's loss, of the same shape."""


def lengths(change: jax.Array) -> jax.Array:
    """Euclidean lengths of (n, h, w, 3), as (n, 1, 1, 1)."""
    return jnp.sqrt((change * change).sum((1, 2, 3), keepdims=True))


def within(change: jax.Array, images: jax.Array, radius: float, norm: Norm) -> jax.Array:
    """The nearest change that is no larger than allowed and leaves pictures in [0, 1].

    Args:
      change: float32 (n, h, w, 3).
      images: float32 (n, h, w, 3) in [0, 1].
      radius: What is allowed.
      norm: How it is measured.
    """
    if norm == "linf":
        change = jnp.clip(change, -radius, radius)
    else:
        change = change * jnp.minimum(1.0, radius / jnp.maximum(lengths(change), 1e-12))
    return jnp.clip(images + change, 0.0, 1.0) - images


def beginning(key: jax.Array, images: jax.Array, radius: float, norm: Norm) -> jax.Array:
    """A random change that is allowed, to start from."""
    keys = jax.random.split(key)
    if norm == "linf":
        change = jax.random.uniform(keys[0], images.shape, minval=-radius, maxval=radius)
    else:
        change = jax.random.normal(keys[0], images.shape)
        length = radius * jax.random.uniform(keys[1], (images.shape[0], 1, 1, 1))
        change = change * length / lengths(change)
    return within(change, images, radius, norm)


def stepped(
    change: jax.Array,
    gradient: jax.Array,
    images: jax.Array,
    step: float,
    radius: float,
    norm: Norm,
) -> jax.Array:
    """A change made worse: one step of that size up the gradient."""
    if norm == "linf":
        change = change + step * jnp.sign(gradient)
    else:
        change = change + step * gradient / jnp.maximum(lengths(gradient), 1e-12)
    return within(change, images, radius, norm)


def attack(
    key: jax.Array,
    gradient: Gradient,
    images: jax.Array,
    *,
    radius: float,
    norm: Norm,
    steps: int,
) -> jax.Array:
    """The worst change that some steps find.

    Args:
      key: Randomness: where they start.
      gradient: Of the loss.
      images: float32 (n, h, w, 3) in [0, 1].
      radius: Size of the change at most.
      norm: How it is measured.
      steps: One step is as long as 1.25 radii; of several, together 2.5 radii.

    Returns:
      float32 (n, h, w, 3): what to add to the pictures.
    """
    size = radius * (1.25 if steps == 1 else 2.5 / steps)

    def once(_: int, change: jax.Array) -> jax.Array:
        return stepped(change, gradient(images + change), images, size, radius, norm)

    change = beginning(key, images, radius, norm)
    return once(0, change) if steps == 1 else jax.lax.fori_loop(0, steps, once, change)
