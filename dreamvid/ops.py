"""Pure functions on pictures: resize, warp, tone. All of them jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.types import Image

LOBES = 5
"""Lobes of the Lanczos kernel.

Sixty zooms of 1.01 fed back leave waves of 0.05-0.1, 0.1-0.2 and 0.2-0.27 cycles a pixel this much
of their power (measured on noise): two lobes 0.82, 0.30, 0.06; three 1.07, 2.31, 1.12; four 0.81,
0.77, 0.56; five 1.02, 1.06, 0.78.
"""


def resize_bilinear(image: Image, height: int, width: int) -> Image:
    """Bilinear resize with aligned corners and without antialiasing.

    The centres of the corner pixels stay where they are. Source: scipy.ndimage.zoom(order=1), which
    the 2015 program used; half-pixel-centred resizing differs from it visibly.

    Args:
      image: float32 (h, w, c), any range.
      height: Rows of the result, at least 1.
      width: Columns of the result, at least 1.

    Returns:
      float32 (height, width, c).
    """
    for axis, size in enumerate((height, width)):
        if image.shape[axis] != size:
            at = np.linspace(0, image.shape[axis] - 1, size)
            low = np.floor(at).astype(np.int32)
            high = np.minimum(low + 1, image.shape[axis] - 1)
            part = jnp.asarray((at - low).reshape(-1, *[1] * (2 - axis)), image.dtype)
            below, above = (jnp.take(image, index, axis=axis) for index in (low, high))
            image = below + part * (above - below)
    return image


def warp(image: Image, points: jax.Array) -> Image:
    """Samples a picture between its pixels, with a Lanczos kernel exact to any fraction of one.

    Beyond the border the picture is mirrored about its outermost pixels. Weights are normalised,
    so flat areas stay as they are. Source: Duchon 1979, "Lanczos filtering".

    Args:
      image: float32 (h, w, c), any range.
      points: float32 (h', w', 2), the place (x, y) in pixels that each output pixel shows; (0, 0)
        is the centre of the first pixel.

    Returns:
      float32 (h', w', c); may overshoot the range of the image by a little.
    """
    height, width, channels = image.shape
    start = jnp.floor(points)
    x_weights, y_weights = (lanczos_weights(points[..., i] - start[..., i]) for i in (0, 1))
    start = start.astype(jnp.int32) - (LOBES - 1)
    flat = image.reshape(-1, channels)
    rows = [mirror(start[..., 1] + i, height) * width for i in range(2 * LOBES)]
    columns = [mirror(start[..., 0] + i, width) for i in range(2 * LOBES)]
    result = jnp.zeros((*points.shape[:2], channels), image.dtype)
    for j, row in enumerate(rows):
        line = jnp.zeros_like(result)
        for i, column in enumerate(columns):
            taken = flat.at[row + column].get(mode="promise_in_bounds")
            line += x_weights[..., i, None] * taken
        result += y_weights[..., j, None] * line
    return result


def lanczos_weights(part: jax.Array) -> jax.Array:
    """Kernel weights of the 2 * LOBES nearest pixels, for places a part of a pixel past one.

    Args:
      part: float32 (...), in [0, 1).

    Returns:
      float32 (..., 2 * LOBES), adding to 1; the pixel before the place is at index LOBES - 1.
    """
    distance = part[..., None] - jnp.arange(1 - LOBES, LOBES + 1)
    weights = jnp.sinc(distance) * jnp.sinc(distance / LOBES)
    return weights / weights.sum(-1, keepdims=True)


def mirror(index: jax.Array, size: int) -> jax.Array:
    """Integer indices of any value, folded into [0, size) by mirrors at the outermost pixels."""
    if size == 1:
        return jnp.zeros_like(index)
    folded = index % (2 * size - 2)
    return jnp.minimum(folded, 2 * size - 2 - folded)


def tone(image: Image) -> jax.Array:
    """Each channel's mean and standard deviation: (h, w, c) -> float32 (2, c)."""
    return jnp.stack([image.mean((0, 1)), image.std((0, 1))])


def match_tone(image: Image, target: jax.Array, strength: jax.Array | float) -> Image:
    """Moves each channel's mean and deviation towards another picture's.

    Args:
      image: float32 (h, w, c).
      target: float32 (2, c), from `tone`.
      strength: 0 leaves the picture as it is, 1 gives it the target's tone.

    Returns:
      float32 (h, w, c), not clipped.
    """
    mean, deviation = now = tone(image)
    new_mean, new_deviation = now + strength * (target - now)
    # A flat channel has nothing to stretch.
    gain = new_deviation / jnp.maximum(deviation, 1e-3)
    return (image - mean) * jnp.where(deviation > 1e-3, gain, 1.0) + new_mean


def to_8bit(image: Image) -> jax.Array:
    """RGB in [0, 1] -> the nearest of 256 levels, uint8."""
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255.0).astype(jnp.uint8)
