"""Gradient ascent on a picture: one step, the steps of an octave, and the octaves of a dream.

Source: google/deepdream, `dream.ipynb`, 2015, whose arithmetic this is by default.
"""

from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from dreamvid.ahead import ahead
from dreamvid.errors import DreamError
from dreamvid.gradients import GRADIENTS, OPTIMIZERS, State
from dreamvid.models import AnyModel, LayerInfo
from dreamvid.models.model import SMALLEST_SIDE, check_size
from dreamvid.objectives import Sum
from dreamvid.ops import resize_bilinear, roll
from dreamvid.options import Ascent
from dreamvid.room import Room
from dreamvid.tiles import Tiling, slopes
from dreamvid.types import IMAGE, MASKS, Activations, Image, Objective


def dream(
    model: AnyModel,
    image: Image,
    objective: Objective,
    ascent: Ascent,
    key: jax.Array,
    weight: jax.Array | None = None,
    masks: jax.Array | None = None,
) -> Image:
    """Dreams one picture: the ascent at several scales, smallest first.

    Each octave dreams the source at its size plus the detail that the octaves below have found;
    only that detail is enlarged, so the source stays sharp. With `octave_carry` "image" the dreamed
    picture itself is enlarged.

    Args:
      model: The network.
      image: float (h, w, 3), RGB in [0, 1], at least 16 pixels high and wide, and as large as the
        layers need.
      objective: What to make grow.
      ascent: Steps, octaves, rate, jitter. Octaves change what is compiled through the sizes they
        give, `gradient`, `optimizer` and `balance` by what they are; all else is traced.
      key: Randomness of the jitter; the same key gives the same dream.
      weight: float32 (h, w, 1), at least 0: by what the rate is multiplied at each place; None is 1
        everywhere.
      masks: float32 (h, w, masks) in [0, 1]: where the objective's `Masked` terms count.

    Returns:
      float32 (h, w, 3) in [0, 1].

    Raises:
      DreamError: The image is too small or does not hold floats, the objective reads a layer that
        does not exist, or compares pictures that are dreamed together.
    """
    if image.dtype.kind != "f":
        raise DreamError(f"image holds {image.dtype} values: convert it to floats in [0, 1]")
    if getattr(objective, "together", False):
        raise DreamError(
            "diversity and alignment compare pictures that are dreamed together: this is one"
        )
    image = jnp.asarray(image, jnp.float32)
    height, width = image.shape[:2]
    infos = [model.layer(name) for name in network_layers(objective)]
    check_size(width, height, smallest=max((info.smallest for info in infos), default=0))
    sizes = octave_sizes(height, width, ascent, smallest_octave(infos))
    bases = _pyramid(image, tuple(sizes))
    room = Room(model, infos, ascent.tile)
    whole = ascent.octave_carry == "image"
    climbs: list[tuple[Image, _Rest]] = []
    for octave, base in enumerate(reversed(bases)):
        local, masked = (
            None if places is None else _resized(places, *base.shape[:2])
            for places in (weight, masks)
        )
        rest = (objective, ascent, jax.random.fold_in(key, octave), local, masked)
        climbs.append((base, rest))
    dreamed = below = None
    with closing(_compiled_ahead(model, room, climbs)) as ready:
        for base, rest in ready:
            begin = partial(_begun, base, dreamed, below, whole)
            dreamed = room.use(base, lambda tiling: ascend(model, begin(), *rest, tiling))  # noqa: B023
            below = base
    return jnp.clip(_begun(image, dreamed, below, whole), 0.0, 1.0)


_Rest: TypeAlias = tuple[Objective, Ascent, jax.Array, jax.Array | None, jax.Array | None]
"""What `ascend` takes after the picture, but for the tiles."""


def _compiled_ahead(
    model: AnyModel, room: Room, climbs: list[tuple[Image, _Rest]]
) -> Generator[tuple[Image, _Rest], None, None]:
    """Each octave's picture and the rest, once a thread has compiled its program.

    It does so while the octaves before are climbed: of a program that is compiled already, tracing
    and fetching it takes as long as its first ten steps (measured on two cores, 640x360).
    """

    def compiled(climb: tuple[Image, _Rest]) -> tuple[Image, _Rest]:
        image, rest = climb
        if room.is_new(image):
            with suppress(Exception):  # it will fail again where it is climbed
                _compile(model, image, *rest)
        return climb

    if sum(room.is_new(image) for image, _ in climbs) < 2:
        yield from climbs
    else:
        yield from ahead(climbs, compiled, threads=1, depth=len(climbs))


def _compile(
    model: AnyModel,
    image: Image,
    objective: Objective,
    ascent: Ascent,
    key: jax.Array,
    weight: jax.Array | None,
    masks: jax.Array | None,
) -> None:
    """Compiles what `ascend` will call, which it then finds among JAX's programs."""
    climb = Climb.of(ascent)
    if jax.default_backend() != "cpu":
        steps.lower(model, image, objective, climb, key, weight, masks).compile()
        return
    state = jax.eval_shape(climb.begin, image)
    step.lower(model, image, state, objective, climb, key, 0, weight, masks).compile()


_resized = jax.jit(resize_bilinear, static_argnums=(1, 2))


@partial(jax.jit, static_argnums=1)
def _pyramid(image: Image, sizes: tuple[tuple[int, int], ...]) -> list[Image]:
    """The picture at each octave's size; each from the one before, as the original does."""
    bases = [resize_bilinear(image, *sizes[0])]
    for size in sizes[1:]:
        bases.append(resize_bilinear(bases[-1], *size))
    return bases


@partial(jax.jit, static_argnums=3)
def _begun(base: Image, dreamed: Image | None, below: Image | None, whole: bool) -> Image:
    """What an octave begins with, in memory of its own.

    Args:
      base: float32 (h, w, 3), the source at this octave's size.
      dreamed: What the octave below made; None at the first.
      below: What that one began from without its detail.
      whole: Whether the dreamed picture is handed on, not only its detail.
    """
    if dreamed is None or below is None:
        return base
    if whole:
        return resize_bilinear(dreamed, *base.shape[:2])
    return base + resize_bilinear(dreamed - below, *base.shape[:2])


def network_layers(objective: Objective) -> list[str]:
    """The layers of a network that an objective reads."""
    return [name for name in objective.layers if name != IMAGE]


def see(
    model: AnyModel, image: Image, objective: Objective, masks: jax.Array | None = None
) -> Activations:
    """All that an objective reads of a picture; for use within a compiled function.

    Args:
      model: The network.
      image: float32 (h, w, 3), RGB in [0, 1].
      objective: Says which layers.
      masks: float32 (h, w, masks), where it has masks.
    """
    seen = {IMAGE: image, **model.traced(image, network_layers(objective))}
    return seen if masks is None else seen | {MASKS: masks}


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
    return max((max(layer.stride, layer.smallest) for layer in layers), default=SMALLEST_SIDE)


def octave_sizes(
    height: int, width: int, ascent: Ascent, smallest: int = SMALLEST_SIDE
) -> list[tuple[int, int]]:
    """The (height, width) of each octave, largest first: the picture's own but for `octaves_above`.

    Each is the one before divided by the octave scale and rounded. No side falls below `smallest`
    pixels, from `smallest_octave`, or below SMALLEST_SIDE; where that leaves nothing to shrink, the
    octaves end.
    """
    enlarged = ascent.octave_scale ** min(ascent.octaves_above, ascent.octaves - 1)
    sizes = [(round(height * enlarged), round(width * enlarged))]
    floor = max(smallest, SMALLEST_SIDE)
    for _ in range(ascent.octaves - 1):
        rows, columns = (
            min(side, max(round(side / ascent.octave_scale), floor)) for side in sizes[-1]
        )
        if (rows, columns) == sizes[-1]:
            break
        sizes.append((rows, columns))
    return sizes


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["count", "rate", "jitter"],
    meta_fields=["gradient", "optimizer", "balance"],
)
@dataclass(frozen=True)
class Climb:
    """How an octave is climbed: numbers that may animate, and rules that shape the program."""

    count: jax.Array | int
    """Steps."""
    rate: jax.Array | float
    """Mean absolute change of a value in a step, in 8-bit levels."""
    jitter: jax.Array | int
    """The shift is drawn from [-jitter, jitter] pixels in x and y, and wraps around."""
    gradient: str = "mean"
    """How the gradient is normalised, one of GRADIENTS."""
    optimizer: str = "plain"
    """What is made of it, one of OPTIMIZERS."""
    balance: bool = False
    """Whether each term of a sum is normalised by itself before it is weighted."""

    @classmethod
    def of(cls, ascent: Ascent) -> "Climb":
        """The climb of a moment's options."""
        return cls(
            ascent.steps,
            ascent.rate,
            ascent.jitter,
            ascent.gradient,
            ascent.optimizer,
            ascent.balance,
        )

    def begin(self, image: Image) -> State:
        """What the optimizer remembers before the first step."""
        return OPTIMIZERS[self.optimizer].begin(image)


def ascend(
    model: AnyModel,
    image: Image,
    objective: Objective,
    ascent: Ascent,
    key: jax.Array,
    weight: jax.Array | None = None,
    masks: jax.Array | None = None,
    tiling: Tiling | None = None,
) -> Image:
    """All steps of one octave; step i draws its jitter from fold_in(key, i). Gives up `image`.

    In tiles, where they are given.

    The loop is in the compiled program on an accelerator, where every call costs, and outside it on
    a CPU, where XLA runs a loop's body on fewer threads (at less than half the speed, measured).
    """
    climb = Climb.of(ascent)
    if jax.default_backend() != "cpu" and tiling is None:
        return steps(model, image, objective, climb, key, weight, masks)
    state = climb.begin(image)
    take = step if tiling is None else partial(step_in_tiles, tiling)
    for index in range(ascent.steps):
        image, state = take(model, image, state, objective, climb, key, index, weight, masks)
    return image


def take_step(
    model: AnyModel,
    image: Image,
    state: State,
    objective: Objective,
    climb: Climb,
    key: jax.Array,
    index: jax.Array | int,
    weight: jax.Array | None = None,
    masks: jax.Array | None = None,
) -> tuple[Image, State]:
    """One step up the normalised gradient, seen through a random shift of the picture.

    Args:
      model: The network.
      image: float32 (h, w, 3), RGB in [0, 1].
      state: What the optimizer remembers, from `Climb.begin` or the step before.
      objective: What to make grow.
      climb: How.
      key: The octave's randomness.
      index: The step's number in its octave.
      weight: float32 (h, w, 1): by what the rate is multiplied at each place; None is 1.
      masks: float32 (h, w, masks) in [0, 1], where the objective has masks.

    Returns:
      float32 (h, w, 3) in [0, 1], the image itself, clipped, where the gradient is zero or is not
      finite; and what the optimizer remembers.
    """
    seen = _shifted(image, masks, climb, key, index)
    gradient = _gradient(model, seen[0], objective, climb, seen[1])
    return _moved(image, gradient, state, climb, key, index, weight)


def _shifted(
    image: Image, masks: jax.Array | None, climb: Climb, key: jax.Array, index: jax.Array | int
) -> tuple[Image, jax.Array | None]:
    """The picture and the masks as a step sees them."""
    shift = draw_shift(key, index, climb.jitter)
    through = None if masks is None else roll(masks, shift)
    return roll(image, shift), through


def _moved(
    image: Image,
    gradient: Image,
    state: State,
    climb: Climb,
    key: jax.Array,
    index: jax.Array | int,
    weight: jax.Array | None,
) -> tuple[Image, State]:
    """The picture, moved up the gradient of what a step has seen, and the optimizer's memory."""
    gradient = roll(gradient, -draw_shift(key, index, climb.jitter))
    direction = GRADIENTS[climb.gradient](gradient, index, climb.count)
    direction, state = OPTIMIZERS[climb.optimizer].update(direction, state)
    change = climb.rate / 255.0 * direction
    if weight is not None:
        change = weight * change
    return jnp.clip(image + change, 0.0, 1.0), state


def _gradient(
    model: AnyModel, image: Image, objective: Objective, climb: Climb, masks: jax.Array | None
) -> Image:
    if not (climb.balance and isinstance(objective, Sum)):
        return jax.grad(lambda picture: objective(see(model, picture, objective, masks)))(image)
    values, back = jax.vjp(
        lambda picture: objective.each(see(model, picture, objective, masks)), image
    )
    return _balanced(objective.weights, [back(one)[0] for one in jnp.eye(len(values))])


def _balanced(weights: Iterable[jax.Array | float], gradients: list[Image]) -> Image:
    """The sum of several terms' gradients, each of which is made even before it is weighted."""
    total = jnp.zeros_like(gradients[0])
    for weight, own in zip(weights, gradients, strict=True):
        total += weight * GRADIENTS["mean"](own, 0, 1)
    return total


def step_in_tiles(
    tiling: Tiling,
    model: AnyModel,
    image: Image,
    state: State,
    objective: Objective,
    climb: Climb,
    key: jax.Array,
    index: jax.Array | int,
    weight: jax.Array | None = None,
    masks: jax.Array | None = None,
) -> tuple[Image, State]:
    """`step` in bounded memory: several programs, called from here, one for each tile.

    Args and Returns: as `take_step`; `tiling` is from `dreamvid.tiles.cut`.
    """
    shifted, through = _compiled_shifted(image, masks, climb, key, index)
    if climb.balance and isinstance(objective, Sum):
        terms = slopes(model, shifted, objective, through, tiling, len(objective.terms))
        gradient = _balanced(objective.weights, terms)
    else:
        (gradient,) = slopes(model, shifted, objective, through, tiling)
    return _compiled_moved(image, gradient, state, climb, key, index, weight)


_compiled_shifted = jax.jit(_shifted)
_compiled_moved = jax.jit(_moved, donate_argnums=(0, 2))
step = jax.jit(take_step, donate_argnames=("image", "state"))
"""`take_step`, compiled once a size; what animates is an argument. Gives up `image`'s memory."""


@partial(jax.jit, donate_argnames="image")
def steps(
    model: AnyModel,
    image: Image,
    objective: Objective,
    climb: Climb,
    key: jax.Array,
    weight: jax.Array | None = None,
    masks: jax.Array | None = None,
) -> Image:
    """All steps in one compiled program. Gives up `image`'s memory."""

    def body(index: jax.Array, now: tuple[Image, State]) -> tuple[Image, State]:
        return take_step(model, *now, objective, climb, key, index, weight, masks)

    return jax.lax.fori_loop(0, climb.count, body, (image, climb.begin(image)))[0]


def draw_shift(key: jax.Array, index: jax.Array | int, jitter: jax.Array | int) -> jax.Array:
    """The shift (rows, columns) of a step: int32 (2,), each in [-jitter, jitter]."""
    return jax.random.randint(jax.random.fold_in(key, index), (2,), -jitter, jitter + 1)
