"""Gradients in tiles: what the whole picture's gradient would be, in bounded memory.

Only the pass through the network is in tiles, not the objective: the activations of all tiles are
put together, the objective is computed of the whole, and its gradient goes back through each tile.
So guides, styles, masks and neurons mean the same, and no seam can show. A tile overlaps its
neighbours by what the layers see, and only its inner part counts.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from dreamvid.models import AnyModel, LayerInfo
from dreamvid.models.network import LOGITS
from dreamvid.objectives import Sum
from dreamvid.types import IMAGE, MASKS, Activations, Image, Objective


@partial(jax.tree_util.register_dataclass, data_fields=["start", "inner"], meta_fields=[])
@dataclass(frozen=True)
class Tile:
    """A part of a picture, and the part of that which counts, in pixels of the picture."""

    start: tuple[int, int]
    """Its first row and column."""
    inner: tuple[tuple[int, int], tuple[int, int]]
    """The (first, stop) rows and columns that are taken from it."""


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut. All tiles are of one size, so that they share a program."""

    size: tuple[int, int]
    """Rows and columns of a tile."""
    tiles: tuple[Tile, ...]
    """They cover the picture, and their inner parts do without overlapping."""


def can_tile(layers: Sequence[LayerInfo]) -> bool:
    """Whether layers can be seen in tiles: no classifier's, and none whose field is unknown."""
    return all(info.name != LOGITS and min(info.field) > 0 for info in layers)


def least_side(layers: Sequence[LayerInfo]) -> int:
    """Pixels of the side of the smallest tile that makes sense: most of it is overlap."""
    return max(2 * max(info.field) + 4 * info.stride for info in layers)


def side_for(model: AnyModel, layers: Sequence[LayerInfo], free: int) -> int:
    """Pixels of the side of a square that can be dreamed of at once.

    Args:
      model: The network.
      layers: Those that are read.
      free: Bytes of memory for it.
    """
    last = max((model.layers.index(info.name) for info in layers), default=-1)
    names = (name for name in model.layers[: last + 1] if not name.endswith("_pre_relu"))
    computed = map(model.layer, names)
    # What is computed forwards stays until it is needed backwards, where about as much is added.
    floats = 2 * sum(info.channels / info.stride**2 for info in computed) + 30
    return math.isqrt(int(free / (4 * floats)))


def cut(height: int, width: int, layers: Sequence[LayerInfo], side: int) -> Tiling | None:
    """Cuts a picture into tiles.

    Each begins at a multiple of the layers' strides and is as much larger than such a multiple as
    the picture is, so that every window of the network lies where it does in the whole picture.

    Args:
      height: Of the picture, in pixels.
      width: Likewise.
      layers: Those that are read, at least one.
      side: Pixels of a tile's side at most; more where that is below `least_side`.

    Returns:
      The tiles; None where the picture is no larger than one.
    """
    stride = max(info.stride for info in layers)
    ways = []
    for axis, size in enumerate((height, width)):
        overlap = 2 * max(info.field[axis] for info in layers)
        ways.append(_along(size, max(side, least_side(layers)), overlap, stride))
    (tall, rows), (wide, columns) = ways
    if len(rows) * len(columns) == 1:
        return None
    tiles = [
        Tile((y, x), (inner_y, inner_x)) for (y, inner_y), (x, inner_x) in product(rows, columns)
    ]
    return Tiling((tall, wide), tuple(tiles))


def _along(
    size: int, side: int, overlap: int, stride: int
) -> tuple[int, list[tuple[int, tuple[int, int]]]]:
    """The size of tiles along an axis; of each its start, and its inner part's start and stop."""
    if size <= side:
        return size, [(0, (0, size))]
    side -= (side - size) % stride
    apart = (side - overlap) // stride * stride
    # As many as are needed, evenly, and the last one at the end.
    count = -(-(size - side) // apart) + 1
    units = (size - side) // stride
    starts = [units * index // (count - 1) * stride for index in range(count)]
    edges = [(after + before + side) // 2 for before, after in pairwise(starts)]
    return side, list(zip(starts, zip([0, *edges], [*edges, size], strict=True), strict=True))


def slopes(
    model: AnyModel,
    image: Image,
    objective: Objective,
    masks: jax.Array | None,
    tiling: Tiling,
    terms: int | None = None,
) -> list[Image]:
    """The gradient of an objective, in tiles; called from Python, a program for a tile at a time.

    Args:
      model: The network.
      image: float32 (h, w, 3), RGB in [0, 1].
      objective: What to make grow.
      masks: float32 (h, w, masks) in [0, 1], where it has masks.
      tiling: From `cut`, for a picture of this size and the layers of the objective.
      terms: How many terms the objective has, whose gradients are wanted one by one; None for that
        of the whole.

    Returns:
      float32 (h, w, 3) each: one for each term, or one. They differ from the whole picture's by
      rounding only.
    """
    strides = {name: model.layer(name).stride for name in objective.layers if name != IMAGE}
    plan = (tiling.size, tuple(strides.items()))
    shapes = jax.eval_shape(lambda picture: model.traced(picture, strides), image)

    def see_in(tiles: Iterable[Tile], model: AnyModel, image: Image) -> Activations:
        seen = {name: jnp.zeros_like(shape) for name, shape in shapes.items()}
        for tile in tiles:
            seen = _see_tile(model, image, seen, tile, *plan)
        return seen

    def lead_back(tiles: Iterable[Tile], model: AnyModel, image: Image, pull: Activations) -> Image:
        slope = jnp.zeros_like(image)
        for tile in tiles:
            slope = _slope_of_tile(model, image, pull, slope, tile, *plan)
        return slope

    seen = _shared(see_in, tiling.tiles, model, image)
    found = []
    for term in [None] if terms is None else range(terms):
        pull = _pull(objective, seen | {IMAGE: image}, masks, term)
        own = pull.pop(IMAGE)
        found.append(own + _shared(lead_back, tiling.tiles, model, image, pull))
    return found


def _shared(work: Callable[..., Any], tiles: tuple[Tile, ...], *taken: Any) -> Any:
    """Work on tiles, shared among all devices, and what they found added up.

    Each device has zeros where others have been at work, so that any number of them finds the same
    to the last bit.
    """
    devices = jax.local_devices()[: len(tiles)]
    if len(devices) == 1:
        return work(tiles, *taken)
    found = [
        work(tiles[index :: len(devices)], *jax.device_put(taken, device))
        for index, device in enumerate(devices)
    ]
    found = [jax.device_put(one, devices[0]) for one in found]
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *found)


Strides: TypeAlias = tuple[tuple[str, int], ...]
"""Layer -> its stride, as a static argument."""


@partial(jax.jit, static_argnums=(4, 5), donate_argnums=2)
def _see_tile(
    model: AnyModel,
    image: Image,
    seen: Activations,
    tile: Tile,
    size: tuple[int, int],
    strides: Strides,
) -> Activations:
    """The activations of a picture, with those of one more tile."""
    part = jax.lax.dynamic_slice(image, (*tile.start, 0), (*size, 3))
    found = model.traced(part, [name for name, _ in strides])
    for name, stride in strides:
        now = _taken(seen[name], tile, found[name].shape, stride)
        inner = _inside(tile, now.shape, stride)
        seen[name] = _put(seen[name], tile, jnp.where(inner, found[name], now), stride)
    return seen


@partial(jax.jit, static_argnums=3)
def _pull(
    objective: Objective, seen: Activations, masks: jax.Array | None, term: int | None
) -> Activations:
    """The gradient of an objective, or of one term of a sum, by what it reads of a picture."""

    def value(seen: Activations) -> jax.Array:
        known = seen if masks is None else seen | {MASKS: masks}
        if term is None:
            return objective(known)
        assert isinstance(objective, Sum)
        return objective.each(known)[term]

    return jax.grad(value)(seen)


@partial(jax.jit, static_argnums=(5, 6), donate_argnums=3)
def _slope_of_tile(
    model: AnyModel,
    image: Image,
    pull: Activations,
    slope: Image,
    tile: Tile,
    size: tuple[int, int],
    strides: Strides,
) -> Image:
    """The gradient of a picture, with that of one more tile added in its inner part."""
    part = jax.lax.dynamic_slice(image, (*tile.start, 0), (*size, 3))
    found, back = jax.vjp(lambda part: model.traced(part, [name for name, _ in strides]), part)
    (own,) = back({name: _taken(pull[name], tile, found[name].shape, s) for name, s in strides})
    now = _taken(slope, tile, own.shape, 1)
    return _put(slope, tile, now + jnp.where(_inside(tile, own.shape, 1), own, 0.0), 1)


def _taken(whole: jax.Array, tile: Tile, shape: tuple[int, ...], stride: int) -> jax.Array:
    """A tile's part of a map, one position of which is `stride` pixels."""
    return jax.lax.dynamic_slice(whole, (*(at // stride for at in tile.start), 0), shape)


def _put(whole: jax.Array, tile: Tile, part: jax.Array, stride: int) -> jax.Array:
    """A map with a tile's part of it replaced."""
    return jax.lax.dynamic_update_slice(whole, part, (*(at // stride for at in tile.start), 0))


def _inside(tile: Tile, shape: tuple[int, ...], stride: int) -> jax.Array:
    """Which positions of a tile's map lie in its inner part: (h, w, 1)."""
    rows, columns = (
        ((at := (start // stride + jnp.arange(count)) * stride) >= first) & (at < stop)
        for start, count, (first, stop) in zip(tile.start, shape[:2], tile.inner, strict=True)
    )
    return (rows[:, None] & columns)[..., None]
