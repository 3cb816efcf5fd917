"""Pictures from noise: what a network wants to see, found by an ascent on a picture's parameters.

Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", and their program, lucid.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from dreamvid import ops
from dreamvid.ascent import network_layers, see
from dreamvid.errors import DreamError
from dreamvid.gradients import OPTIMIZERS
from dreamvid.models import AnyModel
from dreamvid.models.model import check_size
from dreamvid.objectives import VARIANTS
from dreamvid.options import Visual
from dreamvid.parameters import PARAMETERS, Params
from dreamvid.types import IMAGE, Activations, Image, Objective

SCALE, ANGLE, SHIFT = 0.1, 10.0, 8.0
"""How far a view may be off: share of the size, degrees, pixels. About what lucid does in all."""
LEAK = 0.1
"""The slope of the last ReLU below zero: by it a channel is found that sees nothing in noise."""
CHUNK = 32
"""Steps in a call on an accelerator, where a call costs more than a step."""

Watch: TypeAlias = Callable[[int], None]
"""Is told how many steps have been taken."""
Moving: TypeAlias = tuple[Params, Any]
"""What a step changes: the parameters, and what Adam remembers of each."""


def visualize(
    model: AnyModel,
    objectives: Sequence[Objective],
    options: Visual,
    key: jax.Array,
    numbers: Sequence[int] | None = None,
    watch: Watch | None = None,
) -> Image:
    """Finds a picture from noise for each of some objectives, all together.

    Args:
      model: The network.
      objectives: Of one kind, differing in their numbers only; those that compare pictures compare
        these.
      options: How. Other numbers of steps and other rates need no compile.
      key: Randomness.
      numbers: Each picture's own, by which its noise is drawn; 0, 1, ... where None.
      watch: Is told how many steps have been taken.

    Returns:
      float32 (pictures, h, w, 3) in [0, 1].

    Raises:
      DreamError: The objectives are of several kinds, or read a layer that is not there or needs a
        larger picture.
    """
    height, width = options.size.height, options.size.width
    layers = [model.layer(name) for one in objectives for name in network_layers(one)]
    check_size(width, height, smallest=max((info.smallest for info in layers), default=0))
    together = _stacked(objectives)
    start, views = jax.random.split(key)
    numbers = range(len(objectives)) if numbers is None else numbers
    keys = jax.vmap(partial(jax.random.fold_in, start))(jnp.asarray(numbers, jnp.uint32))
    params = jax.vmap(lambda key: PARAMETERS[options.parameters].begin(key, height, width))(keys)
    now: Moving = params, [OPTIMIZERS["adam"].begin(leaf) for leaf in jax.tree.leaves(params)]
    shape = (options.parameters, height, width)
    # Outside the program on a CPU: see `dreamvid.ascent.ascend`.
    at_once = 1 if jax.default_backend() == "cpu" else CHUNK
    for first in range(0, options.steps, at_once):
        count = min(at_once, options.steps - first)
        run = _step if at_once == 1 else partial(_steps, count=count)
        now = run(model, now, together, views, first, options.rate, shape, options.robust)
        if watch:
            watch(first + count)
    return _pictures(now[0], shape)


def values(model: AnyModel, objectives: Sequence[Objective], pictures: Image) -> jax.Array:
    """What pictures are worth, each by its own objective: float32 (pictures,).

    Args:
      model: The network.
      objectives: As `visualize` takes them.
      pictures: float32 (pictures, h, w, 3) in [0, 1].

    Raises:
      DreamError: The objectives are of several kinds.
    """
    return _values(model, _stacked(objectives), pictures)


def view(key: jax.Array, index: jax.Array | int) -> jax.Array:
    """How a step looks at the pictures: a motion, (3, 3), as `dreamvid.ops.seen_by` takes it."""
    scale, angle, shift = jax.random.split(jax.random.fold_in(key, index), 3)
    size = 1.0 + SCALE * jax.random.uniform(scale, minval=-1.0)
    turn = math.radians(ANGLE) * jax.random.uniform(angle, minval=-1.0)
    x, y = SHIFT * jax.random.uniform(shift, (2,), minval=-1.0)
    along, across = jnp.cos(turn) / size, jnp.sin(turn) / size
    return jnp.array([[along, -across, x], [across, along, y], [0.0, 0.0, 1.0]])


def take_step(
    model: AnyModel,
    now: Moving,
    objectives: Objective,
    key: jax.Array,
    index: jax.Array | int,
    rate: jax.Array | float,
    shape: tuple[str, int, int],
    robust: bool,
) -> Moving:
    """One step of all pictures; each leaf of what is changed has them along its first axis.

    Args:
      model: The network.
      now: What the step before returned.
      objectives: One pytree, whose leaves have them along their first axis.
      key: Randomness of the views.
      index: The step's number.
      rate: What a parameter changes by, about.
      shape: Name of the parameters, height, width.
      robust: Whether it looks from a view of its own, the same for all pictures.
    """
    params, memories = now

    def total(params: Params) -> jax.Array:
        pictures = _pictures(params, shape)
        if robust:
            points = ops.seen_by(view(key, index), *shape[1:])
            pictures = jax.vmap(lambda picture: ops.warp_bilinear(picture, points))(pictures)

        def one(picture: Image, objective: Objective) -> jax.Array:
            return objective(_see(model, picture, objective))

        # Of the sum, and outside of vmap: what compares pictures moves all of them.
        return jax.vmap(one, axis_name=VARIANTS)(pictures, objectives).sum()

    slopes, kind = jax.tree.flatten(jax.grad(total)(params))
    moved = [
        OPTIMIZERS["adam"].update(slope, memory)
        for slope, memory in zip(slopes, memories, strict=True)
    ]
    changes = jax.tree.unflatten(kind, [change for change, _ in moved])
    params = jax.tree.map(lambda value, change: value + rate * change, params, changes)
    return params, [memory for _, memory in moved]


_step = jax.jit(take_step, static_argnames=("shape", "robust"), donate_argnames="now")


@partial(jax.jit, static_argnames=("shape", "robust"), donate_argnames="now")
def _steps(
    model: AnyModel,
    now: Moving,
    objectives: Objective,
    key: jax.Array,
    first: jax.Array | int,
    rate: jax.Array | float,
    shape: tuple[str, int, int],
    robust: bool,
    count: jax.Array | int,
) -> Moving:
    def body(index: jax.Array, now: Moving) -> Moving:
        return take_step(model, now, objectives, key, index, rate, shape, robust)

    return jax.lax.fori_loop(first, first + count, body, now)


@partial(jax.jit, static_argnums=1)
def _pictures(params: Params, shape: tuple[str, int, int]) -> Image:
    name, height, width = shape
    return jax.vmap(lambda one: PARAMETERS[name].picture(one, height, width))(params)


@jax.jit
def _values(model: AnyModel, objectives: Objective, pictures: Image) -> jax.Array:
    def one(picture: Image, objective: Objective) -> jax.Array:
        return objective(see(model, picture, objective))

    return jax.vmap(one, axis_name=VARIANTS)(pictures, objectives)


def _see(model: AnyModel, image: Image, objective: Objective) -> Activations:
    """As `see`, but that a layer's ReLU has a slope below zero too. Values are the same."""
    names = network_layers(objective)
    raw = {name: f"{model.layer(name).name}_pre_relu" for name in names}
    raw = {name: before for name, before in raw.items() if before in model.layers}
    seen = {IMAGE: image, **model.traced(image, [*names, *raw.values()])}
    for name, before in raw.items():
        below = jnp.minimum(seen[before], 0.0)
        seen[name] += LEAK * (below - jax.lax.stop_gradient(below))
    return seen


def _stacked(objectives: Sequence[Objective]) -> Objective:
    """Several objectives as one, with them along the first axis of its leaves.

    Raises:
      DreamError: They differ in more than numbers.
    """
    leaves = [[jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(o)] for o in objectives]
    kinds = {
        (jax.tree.structure(one), tuple(leaf.shape for leaf in its))
        for one, its in zip(objectives, leaves, strict=True)
    }
    if len(kinds) != 1:
        raise DreamError(
            f"{len(kinds)} kinds of objectives cannot be dreamed together: dream them one by one"
        )
    ((kind, _),) = kinds
    return jax.tree.unflatten(kind, [jnp.stack(same) for same in zip(*leaves, strict=True)])
