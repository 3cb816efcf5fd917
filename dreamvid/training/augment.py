"""Random views of pictures, made on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dreamvid.training.data import Pictures

ASPECT = 4 / 3
"""Of crops, at most; after Szegedy et al. 2014, section 6."""
TURNS = 4
"""Ways up that a picture can be."""


class OnDevice(NamedTuple):
    """`Pictures` where they are computed with."""

    pixels: jax.Array
    places: jax.Array
    sizes: jax.Array
    classes: jax.Array

    @classmethod
    def of(cls, pictures: Pictures) -> "OnDevice":
        """Copies pictures to the device."""
        parts = (pictures.pixels, pictures.places, pictures.sizes, pictures.classes)
        return cls(*jax.device_put(parts))


def sample(pictures: OnDevice, which: jax.Array, box: jax.Array, side: int) -> jax.Array:
    """Parts of pictures as squares, by bilinear interpolation.

    Args:
      pictures: The pictures.
      which: int32 (n,): their numbers.
      box: float32 (n, 4): top, left, height and width of each part, in pixels; a negative width is
        mirrored about the left edge.
      side: Of the squares, in pixels.

    Returns:
      float32 (n, side, side, 3) in [0, 1].
    """
    along = (jnp.arange(side, dtype=jnp.float32) + 0.5) / side
    first = pictures.places[which][:, None, None]
    sizes = pictures.sizes[which]

    def ends(start: jax.Array, length: jax.Array, size: jax.Array) -> tuple[jax.Array, ...]:
        at = start[:, None] + along * length[:, None] - 0.5
        at = jnp.clip(at, 0.0, (size[:, None] - 1).astype(jnp.float32))
        low = jnp.floor(at).astype(jnp.int32)
        return low, jnp.minimum(low + 1, size[:, None] - 1), at - low

    top, below, down = ends(box[:, 0], box[:, 2], sizes[:, 0])
    left, right, across = ends(box[:, 1], box[:, 3], sizes[:, 1])

    def row(y: jax.Array) -> jax.Array:
        start = first + (y * sizes[:, 1:])[:, :, None]
        near, far = (
            pictures.pixels[start + x[:, None, :]].astype(jnp.float32) for x in (left, right)
        )
        return near + across[:, None, :, None] * (far - near)

    upper = row(top)
    return (upper + down[:, :, None, None] * (row(below) - upper)) / 255.0


def middles(pictures: OnDevice, which: jax.Array, side: int) -> jax.Array:
    """The largest squares in the middle of pictures, float32 (n, side, side, 3) in [0, 1]."""
    sizes = pictures.sizes[which].astype(jnp.float32)
    short = sizes.min(axis=1, keepdims=True)
    box = jnp.concatenate([(sizes - short) / 2, short, short], axis=1)
    return sample(pictures, which, box, side)


def crops(
    key: jax.Array,
    pictures: OnDevice,
    which: jax.Array,
    side: int,
    *,
    least_area: float,
    flip: bool,
    colour: float,
) -> jax.Array:
    """Random parts of pictures, mirrored and recoloured at random.

    Args:
      key: Randomness.
      pictures: The pictures.
      which: int32 (n,): their numbers.
      side: Of the squares, in pixels.
      least_area: Share of a picture that a part has at least.
      flip: Whether every other one is mirrored.
      colour: How far brightness, contrast and colourfulness are scaled at most: 0.2 is from 0.8 to
        1.2.

    Returns:
      float32 (n, side, side, 3) in [0, 1].
    """
    keys = jax.random.split(key, 5)
    count = which.shape[0]
    sizes = pictures.sizes[which].astype(jnp.float32)
    area = jax.random.uniform(keys[0], (count,), minval=least_area, maxval=1.0)
    stretch = jax.random.uniform(keys[1], (count,), minval=-1.0, maxval=1.0) * jnp.log(ASPECT) / 2
    # Of a square of the picture's area, cut to what the picture has.
    edge = jnp.sqrt(area * sizes.prod(axis=1))[:, None]
    extent = jnp.stack([edge[:, 0] * jnp.exp(stretch), edge[:, 0] * jnp.exp(-stretch)], axis=1)
    extent = jnp.minimum(extent, sizes)
    start = jax.random.uniform(keys[2], (count, 2)) * (sizes - extent)
    if flip:
        mirrored = jax.random.bernoulli(keys[3], shape=(count,))
        start = start.at[:, 1].add(jnp.where(mirrored, extent[:, 1], 0.0))
        extent = extent.at[:, 1].multiply(jnp.where(mirrored, -1.0, 1.0))
    images = sample(pictures, which, jnp.concatenate([start, extent], axis=1), side)
    return _recoloured(keys[4], images, colour) if colour else images


def _recoloured(key: jax.Array, images: jax.Array, amount: float) -> jax.Array:
    shape = (3, images.shape[0], 1, 1, 1)
    bright, contrast, vivid = jax.random.uniform(
        key, shape, minval=1.0 - amount, maxval=1.0 + amount
    )
    grey = images.mean(-1, keepdims=True)
    images = grey + vivid * (images - grey)
    mean = images.mean((1, 2, 3), keepdims=True)
    return jnp.clip(bright * (mean + contrast * (images - mean)), 0.0, 1.0)


def turned(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Squares (n, side, side, 3) turned by quarters, int32 (n,) of them, against the clock."""
    ways = jnp.stack([jnp.rot90(images, k, axes=(1, 2)) for k in range(TURNS)])
    return jnp.take_along_axis(ways, turns[None, :, None, None, None], axis=0)[0]
