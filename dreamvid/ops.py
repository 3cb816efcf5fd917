"""Pure functions on pictures: resize, warp, tone. All of them jit and vmap."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.types import Image

AREA = 32
"""Pixels a side of an area whose tone can be held."""
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


def warp_bilinear(image: Image, points: jax.Array) -> Image:
    """As `warp`, much quicker and softer: for what is resampled but once."""
    height, width, channels = image.shape
    start = jnp.floor(points)
    part = points - start
    x, y = (start[..., i].astype(jnp.int32) for i in (0, 1))
    flat = image.reshape(-1, channels)
    lines = []
    for row in (mirror(y, height) * width, mirror(y + 1, height) * width):
        left, right = (
            flat.at[row + mirror(x + i, width)].get(mode="promise_in_bounds") for i in (0, 1)
        )
        lines.append(left + part[..., :1] * (right - left))
    return lines[0] + part[..., 1:] * (lines[1] - lines[0])


@jax.jit
def move(image: Image, matrix: jax.Array | np.ndarray) -> Image:
    """The picture after a motion, in one resample; mirrored where the camera sees past the border.

    Args:
      image: float32 (h, w, 3).
      matrix: (3, 3), a homogeneous place in the result -> the place in `image` that it shows, in
        pixels from the centre; the last coordinate is above 0 everywhere in the picture.

    Returns:
      float32 (h, w, 3); may overshoot the range of the image by a little.
    """
    return warp(image, seen_by(matrix, image.shape[0], image.shape[1]))


def seen_by(matrix: jax.Array | np.ndarray, height: int, width: int) -> jax.Array:
    """The places (x, y) in pixels that a motion's picture shows: float32 (height, width, 2)."""
    centre = jnp.array([(width - 1) / 2, (height - 1) / 2])
    about = places(height, width) - centre
    about = jnp.concatenate([about, jnp.ones_like(about[..., :1])], axis=-1)
    # Highest: an accelerator's quicker products would be off by whole pixels.
    seen = jnp.einsum("hwj,ij->hwi", about, jnp.asarray(matrix, jnp.float32), precision="highest")
    return seen[..., :2] / seen[..., 2:] + centre


def places(height: int, width: int) -> jax.Array:
    """Each pixel's own place (x, y): float32 (height, width, 2)."""
    y, x = jnp.mgrid[:height, :width].astype(jnp.float32)
    return jnp.stack([x, y], axis=-1)


def inside(seen: jax.Array, height: int, width: int) -> jax.Array:
    """How far places (..., 2) lie within a picture's border, in pixels; below 0 beyond it."""
    return jnp.minimum(seen, jnp.array([width - 1, height - 1]) - seen).min(-1)


@partial(jax.jit, static_argnums=(1, 2))
def pad(image: Image, margin: int, sides: int) -> Image:
    """The picture with mirrored rows (`margin` of them) and columns (`sides`) on either side."""
    rows = mirror(jnp.arange(-margin, image.shape[0] + margin), image.shape[0])
    columns = mirror(jnp.arange(-sides, image.shape[1] + sides), image.shape[1])
    return image[rows][:, columns]


def crop(image: Image, margin: int, sides: int) -> Image:
    """The picture without `margin` rows and `sides` columns on either side."""
    return image[margin : image.shape[0] - margin, sides : image.shape[1] - sides]


def roll(image: Image, shift: jax.Array) -> Image:
    """The picture moved by whole pixels; what leaves it on one side comes back on the other.

    `jnp.roll` by a traced shift writes the picture twice, side by side, and cuts it out again for
    each axis: two to four times as slow on a CPU.

    Args:
      image: (h, w, c).
      shift: int32 (2,), rows down and columns to the right; any.

    Returns:
      (h, w, c).
    """
    rows, columns = (
        (jnp.arange(side) - by) % side for side, by in zip(image.shape[:2], shift, strict=True)
    )
    return image.at[rows[:, None], columns].get(mode="promise_in_bounds")


def clouds(key: jax.Array, height: int, width: int) -> Image:
    """Random forms of all sizes, the larger the stronger, mostly without colour.

    Args:
      key: Randomness.
      height: Rows.
      width: Columns.

    Returns:
      float32 (height, width, 3), mean about 0, deviation about 1.
    """
    total = jnp.zeros((height, width, 3))
    cells = [cell for cell in (4, 8, 16, 32, 64) if cell < min(height, width)]
    for index, cell in enumerate(cells):
        shape = (height // cell + 2, width // cell + 2)
        grey, tint = (jax.random.fold_in(key, 2 * index + i) for i in (0, 1))
        grid = jax.random.normal(grey, (*shape, 1)) + 0.4 * jax.random.normal(tint, (*shape, 3))
        total += jnp.sqrt(cell) * resize_bilinear(grid, height, width)
    return total / jnp.sqrt(sum(cells) + 1.0)


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


_TO_YCC = np.array(
    [[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]], np.float32
)
"""RGB -> luma and both colour differences, of encoded values. Source: ITU-R BT.709-6, 3.2, 3.3."""
_FROM_YCC = np.linalg.inv(_TO_YCC)


@jax.jit
def tone(image: Image) -> jax.Array:
    """Mean and standard deviation of luma and both colour differences: (h, w, 3) -> (2, 3)."""
    axes = _turned(image, _TO_YCC)
    return jnp.stack([axes.mean((0, 1)), axes.std((0, 1))])


def _turned(image: Image, matrix: np.ndarray) -> Image:
    return jnp.einsum("hwc,ac->hwa", image, matrix, precision="highest")


def match_tone(image: Image, target: jax.Array, strength: jax.Array | float) -> Image:
    """Moves brightness, contrast and colourfulness towards another picture's.

    Args:
      image: float32 (h, w, 3).
      target: float32 (2, 3), from `tone`.
      strength: 0 leaves the picture as it is, 1 gives it the target's tone.

    Returns:
      float32 (h, w, 3), not clipped.
    """
    mean, deviation = now = tone(image)
    new_mean, new_deviation = now + strength * (target - now)
    # What is flat has nothing to stretch.
    gain = jnp.where(deviation > 1e-3, new_deviation / jnp.maximum(deviation, 1e-3), 1.0)
    axes = (_turned(image, _TO_YCC) - mean) * gain + new_mean
    return _turned(axes, _FROM_YCC)


def match_tone_of_areas(image: Image, other: Image, strength: jax.Array | float) -> Image:
    """Moves brightness and colour of large areas towards another picture's.

    What is finer than AREA pixels keeps its contrast.

    Args:
      image: float32 (h, w, 3).
      other: float32 (h, w, 3).
      strength: 0 leaves the picture as it is, 1 gives it the other's tone.

    Returns:
      float32 (h, w, 3), not clipped.
    """
    height, width = image.shape[:2]
    size = (max(height // AREA, 1), max(width // AREA, 1), 3)
    off = jax.image.resize(other - image, size, "linear")
    return image + strength * resize_bilinear(off, height, width)


_SMOOTH = (-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16)
"""A low pass that leaves waves of 0.1 cycles a pixel 0.99 of their height, of 0.25 three quarters,
of 0.35 a third and of 0.5 nothing."""


def fine_detail(image: Image) -> Image:
    """What is finer than about three pixels: (h, w, c) -> (h, w, c)."""
    smooth = image
    for axis in (0, 1):
        padded = jnp.pad(smooth, [(2, 2) if a == axis else (0, 0) for a in range(3)], "reflect")
        size = image.shape[axis]
        taps = (jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(5))
        smooth = sum(weight * tap for weight, tap in zip(_SMOOTH, taps, strict=True))
    return image - smooth


def rms_luma(image: Image) -> jax.Array:
    """The root mean square luma of a picture about 0: (h, w, 3) -> scalar.

    Of a picture's `fine_detail` it is the sharpness.
    """
    return jnp.sqrt(jnp.mean((image @ _TO_YCC[0]) ** 2))


def match_sharpness(image: Image, target: jax.Array | float, strength: jax.Array | float) -> Image:
    """Strengthens or softens the fine detail towards a given amount.

    Args:
      image: float32 (h, w, c).
      target: The sharpness to lead to, the `rms_luma` of fine detail.
      strength: 0 leaves the picture as it is, 1 goes all the way.

    Returns:
      float32 (h, w, c), not clipped.
    """
    detail = fine_detail(image)
    # What is flat has no detail, and what is there is at most doubled.
    gain = jnp.clip(target / jnp.maximum(rms_luma(detail), 1e-4), 0.5, 2.0)
    return image + strength * (gain - 1.0) * detail


def fineness(image: Image) -> jax.Array:
    """The share of fine detail in a picture about 0, in its luma: (h, w, 3) -> scalar in [0, 1]."""
    return rms_luma(fine_detail(image)) / jnp.maximum(rms_luma(image), 1e-4)


def soft_clip(image: Image, knee: jax.Array | float) -> Image:
    """Bends the ends of the range so that no value reaches 0 or 1.

    Args:
      image: float32 (h, w, c), any range.
      knee: How far from the ends it begins; 0 clips hard.

    Returns:
      float32 (h, w, c) in [0, 1]; values further than `knee` from the ends as they were.
    """
    room = jnp.maximum(knee, 1e-6)
    beyond = jnp.maximum(jnp.abs(image - 0.5) - (0.5 - room), 0.0)
    bent = 0.5 - room + room * jnp.tanh(beyond / room)
    return jnp.where(beyond > 0.0, 0.5 + jnp.sign(image - 0.5) * bent, image)


def blend(first: Image, second: Image, share: jax.Array | float) -> Image:
    """A cross-fade that keeps the contrast of unlike pictures, which averaging would flatten.

    Deviations from the means are weighted as independent signals are, so that their power stays.

    Args:
      first: float32 (h, w, c).
      second: float32 (h, w, c).
      share: Of the second; float32, a scalar or (h, w, 1), in [0, 1].

    Returns:
      float32 (h, w, c), not clipped.
    """
    means = [image.mean((0, 1)) for image in (first, second)]
    level = (1.0 - share) * means[0] + share * means[1]
    mixed = (1.0 - share) * (first - means[0]) + share * (second - means[1])
    return level + mixed / jnp.sqrt((1.0 - share) ** 2 + share**2)


def to_16bit(image: Image) -> jax.Array:
    """RGB in [0, 1] -> the nearest of 65536 levels, uint16."""
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 65535.0).astype(jnp.uint16)


def to_8bit(image: Image) -> jax.Array:
    """RGB in [0, 1] -> the nearest of 256 levels, uint8."""
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255.0).astype(jnp.uint8)


@jax.jit
def from_levels(picture: jax.Array | np.ndarray) -> Image:
    """uint8 or uint16 levels -> RGB in [0, 1], float32."""
    return jnp.asarray(picture, jnp.float32) / jnp.iinfo(picture.dtype).max
