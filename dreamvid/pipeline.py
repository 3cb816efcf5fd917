"""frames(): the one generator that makes frames, each dreamed one the seed of the next."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.ascent import dream
from dreamvid.camera import SCHEDULE_FPS, Zoom, move
from dreamvid.models import Model
from dreamvid.objectives import Layer
from dreamvid.ops import match_tone, tone
from dreamvid.recipe import Recipe
from dreamvid.types import Carry, Frame, Image


def frames(
    recipe: Recipe, model: Model, source: Image | np.ndarray, carry: Carry | None = None
) -> Iterator[tuple[Frame, Carry]]:
    """The frames of a clip, one after the other; a still is a clip of one.

    Args:
      recipe: What to make.
      model: The network.
      source: float32 (h, w, 3), RGB in [0, 1]: the picture the clip begins with.
      carry: What came with the last frame made, to go on from there; None begins.

    Yields:
      Each frame, dreamed, and what the next one needs.

    Raises:
      DreamError: The source is too small, or the network has no such layer.
    """
    objective = Layer(recipe.ascent.layer)
    root = jax.random.key(recipe.general.seed)
    source = jnp.array(source, jnp.float32)
    for index in range(carry.index + 1 if carry else 0, recipe.clip.frames):
        prior = source if carry is None else seed_of_next(recipe, carry)
        image = dream(model, prior, objective, recipe.ascent, jax.random.fold_in(root, index))
        carry = Carry(index, image, tone(source) if carry is None else carry.tone)
        yield Frame(index, image), carry


def seed_of_next(recipe: Recipe, carry: Carry) -> Image:
    """The last frame after the camera's motion, led back to the source's tone.

    Args:
      recipe: What is being made.
      carry: What came with the last frame.

    Returns:
      float32 (h, w, 3) in [0, 1].
    """
    tick = SCHEDULE_FPS / float(recipe.clip.fps)
    camera = Zoom(recipe.camera.zoom, recipe.camera.angle)
    matrix = camera.between(carry.index * tick, (carry.index + 1) * tick)
    # As with the motion, a clip of twice the frames is led back half as far in each.
    strength = 1.0 - (1.0 - recipe.anchors.anchor_tone) ** tick
    return _follow(carry.image, matrix, carry.tone, strength)


@jax.jit
def _follow(
    image: Image, matrix: jax.Array | np.ndarray, target: jax.Array, strength: jax.Array | float
) -> Image:
    return jnp.clip(match_tone(move(image, matrix), target, strength), 0.0, 1.0)
