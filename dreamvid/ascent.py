"""Gradient ascent on a picture: one step, the steps of an octave, and the octaves of a dream.

Source: google/deepdream, `dream.ipynb`, 2015, whose arithmetic this is.
"""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp

from dreamvid.errors import DreamError
from dreamvid.models import LayerInfo, Model
from dreamvid.models.model import SMALLEST_SIDE, check_size
from dreamvid.ops import resize_bilinear
from dreamvid.options import Ascent
from dreamvid.types import Image, Objective

# A mean gradient below this is none at all: dividing by it would blow up rounding errors.
FAINTEST = float(jnp.finfo(jnp.float32).tiny)


def dream(
    model: Model,
    image: Image,
    objective: Objective,
    ascent: Ascent,
    key: jax.Array,
    weight: jax.Array | None = None,
) -> Image:
    """Dreams one picture: the ascent at several scales, smallest first.

    Each octave dreams the source at its size plus the detail that the octaves below have found;
    only that detail is enlarged, so the source stays sharp.

    Args:
      model: The network.
      image: float (h, w, 3), RGB in [0, 1], at least 16 pixels high and wide, and as large as the
        layers need.
      objective: What to make grow.
      ascent: Steps, octaves, rate, jitter. Only `octaves` and `octave_scale` change what is
        compiled, and only through the sizes they give.
      key: Randomness of the jitter; the same key gives the same dream.
      weight: float32 (h, w, 1), at least 0: by what the rate is multiplied at each place; None is 1
        everywhere.

    Returns:
      float32 (h, w, 3) in [0, 1].

    Raises:
      DreamError: The image is too small or does not hold floats, or the objective reads a layer
        that does not exist.
    """
    if image.dtype.kind != "f":
        raise DreamError(f"image holds {image.dtype} values: convert it to floats in [0, 1]")
    image = jnp.asarray(image, jnp.float32)
    height, width = image.shape[:2]
    infos = [model.layer(name) for name in objective.layers]
    check_size(width, height, smallest=max(info.smallest for info in infos))
    sizes = octave_sizes(height, width, ascent, smallest_octave(infos))
    bases = [image]
    for size in sizes[1:]:
        # Each from the one before, as the original does, not each from the source.
        bases.append(resize_bilinear(bases[-1], *size))
    detail = jnp.zeros_like(bases[-1])
    for octave, base in enumerate(reversed(bases)):
        detail = resize_bilinear(detail, *base.shape[:2])
        local = None if weight is None else resize_bilinear(weight, *base.shape[:2])
        octave_key = jax.random.fold_in(key, octave)
        dreamed = ascend(model, base + detail, objective, ascent, octave_key, local)
        detail = dreamed - base
    return jnp.clip(bases[0] + detail, 0.0, 1.0)


def frame_key(seed: int, number: int, use: int = 0) -> jax.Array:
    """A frame's randomness for one of its uses: never stored, the same whenever asked for.

    Args:
      seed: The recipe's.
      number: The frame's place in the clip.
      use: 0 for its dream, another for whatever else it needs.
    """
    key = jax.random.fold_in(jax.random.key(seed), number)
    return jax.random.fold_in(key, use << 16) if use else key


def smallest_octave(layers: Iterable[LayerInfo]) -> int:
    """Least side of an octave, in pixels, in which these layers can be dreamed of."""
    return max(max(layer.stride, layer.smallest) for layer in layers)


def octave_sizes(
    height: int, width: int, ascent: Ascent, smallest: int = SMALLEST_SIDE
) -> list[tuple[int, int]]:
    """The (height, width) of each octave, the picture's own first.

    Each is the one before divided by the octave scale and rounded. No side falls below `smallest`
    pixels, from `smallest_octave`, or below SMALLEST_SIDE; where that leaves nothing to shrink, the
    octaves end.
    """
    sizes = [(height, width)]
    floor = max(smallest, SMALLEST_SIDE)
    for _ in range(ascent.octaves - 1):
        rows, columns = (
            min(side, max(round(side / ascent.octave_scale), floor)) for side in sizes[-1]
        )
        if (rows, columns) == sizes[-1]:
            break
        sizes.append((rows, columns))
    return sizes


def ascend(
    model: Model,
    image: Image,
    objective: Objective,
    ascent: Ascent,
    key: jax.Array,
    weight: jax.Array | None = None,
) -> Image:
    """All steps of one octave; step i draws its jitter from fold_in(key, i). Gives up `image`.

    The loop is in the compiled program on an accelerator, where every call costs, and outside it on
    a CPU, where XLA runs a loop's body on fewer threads (at less than half the speed, measured).
    """
    if jax.default_backend() != "cpu":
        return steps(model, image, objective, ascent.steps, ascent.rate, ascent.jitter, key, weight)
    for index in range(ascent.steps):
        image = step(model, image, objective, ascent.rate, ascent.jitter, key, index, weight)
    return image


def take_step(
    model: Model,
    image: Image,
    objective: Objective,
    rate: jax.Array | float,
    jitter: jax.Array | int,
    key: jax.Array,
    index: jax.Array | int,
    weight: jax.Array | None = None,
) -> Image:
    """One step up the normalised gradient, seen through a random shift of the picture.

    Args:
      model: The network.
      image: float32 (h, w, 3), RGB in [0, 1].
      objective: What to make grow.
      rate: Mean absolute change of a value, in 8-bit levels.
      jitter: The shift is drawn from [-jitter, jitter] pixels in x and y, and wraps around.
      key: The octave's randomness.
      index: The step's number in its octave.
      weight: float32 (h, w, 1): by what the rate is multiplied at each place; None is 1.

    Returns:
      float32 (h, w, 3) in [0, 1]; the image itself, clipped, where the gradient is zero or is not
      finite.
    """
    shift = draw_shift(key, index, jitter)
    shifted = jnp.roll(image, shift, axis=(0, 1))

    def score(picture: Image) -> jax.Array:
        return objective(model.activations(picture, objective.layers))

    gradient = jnp.roll(jax.grad(score)(shifted), -shift, axis=(0, 1))
    size = jnp.mean(jnp.abs(gradient))
    usable = jnp.isfinite(size) & (size >= FAINTEST)
    # The division first: rate / size may overflow where gradient / size does not.
    change = rate / 255.0 * (gradient / jnp.where(usable, size, 1.0))
    if weight is not None:
        change = weight * change
    return jnp.clip(image + jnp.where(usable, change, 0.0), 0.0, 1.0)


step = jax.jit(take_step, donate_argnames="image")
"""`take_step`, compiled once a size; what animates is an argument. Gives up `image`'s memory."""


@partial(jax.jit, donate_argnames="image")
def steps(
    model: Model,
    image: Image,
    objective: Objective,
    count: jax.Array | int,
    rate: jax.Array | float,
    jitter: jax.Array | int,
    key: jax.Array,
    weight: jax.Array | None = None,
) -> Image:
    """`count` steps in one compiled program. Gives up `image`'s memory."""

    def body(index: jax.Array, image: Image) -> Image:
        return take_step(model, image, objective, rate, jitter, key, index, weight)

    return jax.lax.fori_loop(0, count, body, image)


def draw_shift(key: jax.Array, index: jax.Array | int, jitter: jax.Array | int) -> jax.Array:
    """The shift (rows, columns) of a step: int32 (2,), each in [-jitter, jitter]."""
    return jax.random.randint(jax.random.fold_in(key, index), (2,), -jitter, jitter + 1)
