"""What the ascent makes grow: functions of what the network sees in a picture.

Objectives add, scale and negate: `Channel("mixed4c", 61) - 0.1 * TotalVariation()`. Each is a mean
over positions, so that its size depends neither on the picture's nor on the layer's.
Source of the idea that they add up: lucid, `optvis/objectives.py`, 2018.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp

from dreamvid.models.network import LOGITS
from dreamvid.registry import Registry
from dreamvid.types import IMAGE, MASKS, Activations, Objective

VARIANTS = "variants"
"""The axis of `jax.vmap` along which pictures are dreamed together and may know of each other."""
LARGEST_MATCH = 1 << 24
"""Pairs of positions that are compared at a time: 64 MiB."""

Number: TypeAlias = jax.Array | float
"""What a schedule may move."""


class Summand:
    """What all objectives can do: add, scale and negate."""

    together: ClassVar[bool] = False
    """Whether it compares pictures that are dreamed together, along VARIANTS."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose activations it reads: its own `layer`, where it says nothing else."""
        return (self.layer,)  # type: ignore[attr-defined]

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        raise NotImplementedError

    def __add__(self, other: "Summand") -> "Sum":
        if not isinstance(other, Summand):
            return NotImplemented
        (mine, by), (theirs, its) = self._parts(), other._parts()
        return Sum((*mine, *theirs), jnp.concatenate([by, its]))

    def __mul__(self, factor: Number) -> "Sum":
        terms, weights = self._parts()
        return Sum(terms, factor * weights)

    def __neg__(self) -> "Sum":
        return self * -1.0

    def __sub__(self, other: "Summand") -> "Sum":
        return self + -other

    __rmul__ = __mul__

    def _parts(self) -> tuple[tuple["Summand", ...], jax.Array]:
        return (self,), jnp.ones(1)


@partial(jax.tree_util.register_dataclass, data_fields=["terms", "weights"], meta_fields=[])
@dataclass(frozen=True)
class Sum(Summand):
    """Several objectives, each by its weight, which may animate."""

    terms: tuple[Summand, ...]
    weights: jax.Array
    """float32 (terms,), of any sign."""

    @property
    def together(self) -> bool:  # type: ignore[override]
        """See `Summand`."""
        return any(term.together for term in self.terms)

    @property
    def layers(self) -> tuple[str, ...]:
        """Those of all terms."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.layers))

    def __call__(self, activations: Activations) -> jax.Array:
        """The weighted sum."""
        return jnp.sum(self.weights * self.each(activations))

    def each(self, activations: Activations) -> jax.Array:
        """The terms' values, without their weights: float32 (terms,)."""
        return jnp.stack([term(activations) for term in self.terms])

    def _parts(self) -> tuple[tuple[Summand, ...], jax.Array]:
        return self.terms, self.weights


@partial(jax.tree_util.register_dataclass, data_fields=["term"], meta_fields=["index"])
@dataclass(frozen=True)
class Masked(Summand):
    """An objective that counts where a mask of the picture is white."""

    term: Summand
    index: int
    """Which of the masks that are dreamed with."""

    @property
    def together(self) -> bool:  # type: ignore[override]
        """See `Summand`."""
        return self.term.together

    @property
    def layers(self) -> tuple[str, ...]:
        """The term's."""
        return self.term.layers

    def __call__(self, activations: Activations) -> jax.Array:
        """The term's value of activations that the mask has dimmed."""
        mask = activations[MASKS][..., self.index, None]
        dimmed = {
            name: activations[name]
            * jax.image.resize(mask, (*activations[name].shape[:2], 1), "linear")
            for name in self.term.layers
        }
        return self.term(dimmed)


# --- The registry: an objective's fields are the arguments of its name in a text ---

OBJECTIVES: Registry[type[Summand]] = Registry("objective")
"""Name in a text -> dataclass."""

S = TypeVar("S", bound=type[Summand])


def picture() -> Any:
    """A field that holds what a layer sees in a picture: float32 (h', w', c). A text names it."""
    return field(metadata={"kind": "picture"})


def table() -> Any:
    """A field that holds numbers from a file: float32 (c,)."""
    return field(metadata={"kind": "table"})


def label() -> Any:
    """A field that holds the number of a class. A text may name the class."""
    return field(metadata={"kind": "label"})


def number(*, default: Any = MISSING, low: float | None = None, high: float | None = None) -> Any:
    """A field that holds a number, which may animate, with the bounds of its value."""
    return field(default=default, metadata={"kind": "number", "low": low, "high": high})


@dataclass_transform(frozen_default=True, field_specifiers=(picture, table, label, number))
def objective(name: str) -> Callable[[S], S]:
    """A decorator that makes a class of fields an objective, known in texts by `name`.

    Fields that are text are static, and name layers; all others are traced: they may change from
    frame to frame without a compile.

        @objective("contrast")
        class Contrast(Summand):
            layer: str
            def __call__(self, activations):
                return activations[self.layer].std()
    """

    def decorate(made: S) -> S:
        frozen: Any = made if is_dataclass(made) else dataclass(frozen=True)(made)
        static = [f.name for f in fields(frozen) if f.type in (str, "str")]
        traced = [f.name for f in fields(frozen) if f.name not in static]
        jax.tree_util.register_dataclass(frozen, traced, static)
        return OBJECTIVES.register(name)(frozen)

    return decorate


@objective("layer")
class Layer(Summand):
    """Half the mean square of a layer: whatever it sees already, it shall see more of.

    But for a factor its gradient at the layer is the activation itself. Source: google/deepdream,
    2015.
    """

    layer: str

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        return 0.5 * jnp.mean(activations[self.layer] ** 2)


@objective("mean")
class Mean(Summand):
    """The mean activation of a layer, as TensorFlow's DeepDream tutorial has it."""

    layer: str

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        return jnp.mean(activations[self.layer])


@objective("channel")
class Channel(Summand):
    """The mean activation of one channel of a layer."""

    layer: str
    channel: Number = number(low=0)
    """From 0 on; a fraction lies between two channels."""

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        return jnp.mean(_between(activations[self.layer], self.channel, axis=2))


@objective("neuron")
class Neuron(Summand):
    """One channel at one place of a layer; the middle where none is named."""

    layer: str
    channel: Number = number(low=0)
    """From 0 on; a fraction lies between two channels."""
    x: Number = number(default=0.5, low=0, high=1)
    """From the left, as a share of the width."""
    y: Number = number(default=0.5, low=0, high=1)
    """From above, as a share of the height."""

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        seen = _between(activations[self.layer], self.channel, axis=2)
        height, width = seen.shape
        row = _between(seen, self.y * (height - 1), axis=0)
        return _between(row, self.x * (width - 1), axis=0)


@objective("direction")
class Direction(Summand):
    """The mean activation of a layer along a direction in the space of its channels."""

    layer: str
    vector: jax.Array = table()
    """A number for each channel, of which only the direction counts."""

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        unit = self.vector / jnp.maximum(jnp.sqrt(jnp.sum(self.vector**2)), 1e-12)
        return jnp.mean(jnp.einsum("hwc,c->hw", activations[self.layer], unit, precision="highest"))


@objective("class")
class Class(Summand):
    """What the classifier of a network says for one of its classes, before the softmax."""

    index: Number = label()

    @property
    def layers(self) -> tuple[str, ...]:
        """The classifier's."""
        return (LOGITS,)

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        return jnp.mean(_between(activations[LOGITS], self.index, axis=2))


@objective("guide")
class Guide(Summand):
    """At each position, the likeness to that place of a guide which is most like it.

    Likeness is the dot product over the channels. Source: google/deepdream, `dream.ipynb`,
    `objective_guide`, 2015: the gradient at a position is the guide's activation at its match.
    """

    layer: str
    guide: jax.Array = picture()

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        seen, known = (_positions(x) for x in (activations[self.layer], self.guide))
        matched = known[most_alike(jax.lax.stop_gradient(seen), known)]
        return jnp.mean(jnp.sum(seen * matched, axis=-1))


@objective("style")
class Style(Summand):
    """The likeness of which channels go together, wherever they do, to a guide's: up to 1.

    It is the cosine between the Gram matrices of the channels. Source of the matrices: Gatys et al.
    2015, "A Neural Algorithm of Artistic Style", equation 3.
    """

    layer: str
    guide: jax.Array = picture()

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        return jnp.sum(_gram(activations[self.layer]) * _gram(self.guide))


@objective("diversity")
class Diversity(Summand):
    """How unlike each other pictures are that are dreamed together: from -1 (alike) to 0.

    Likeness is the cosine between Gram matrices of the channels. Source: lucid,
    `objectives.diversity`, with the sign turned round.
    """

    together: ClassVar[bool] = True
    layer: str

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        mine = _gram(activations[self.layer])
        all_of_them = jax.lax.all_gather(mine, VARIANTS)
        likeness = jnp.einsum("ij,nij->n", mine, all_of_them, precision="highest")
        others = jnp.arange(len(all_of_them)) != jax.lax.axis_index(VARIANTS)
        return -jnp.sum(others * likeness) / max(len(all_of_them) - 1, 1)


@objective("alignment")
class Alignment(Summand):
    """How alike neighbours are, place by place, among pictures dreamed together: up to 0.

    Minus the mean square difference, each step further away counting half as much. Source: lucid,
    `objectives.alignment`, with the sign turned round.
    """

    together: ClassVar[bool] = True
    layer: str

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise."""
        mine = activations[self.layer]
        all_of_them = jax.lax.all_gather(mine, VARIANTS)
        apart = jnp.abs(jnp.arange(len(all_of_them)) - jax.lax.axis_index(VARIANTS))
        weights = jnp.where((apart > 0) & (apart <= 4), 0.5**apart, 0.0)
        return -jnp.sum(weights * jnp.mean((all_of_them - mine) ** 2, axis=(1, 2, 3)))


@objective("tv")
class TotalVariation(Summand):
    """The mean length of the step from a pixel to its neighbours, in 8-bit levels: roughness.

    Source: Rudin, Osher and Fatemi 1992, "Nonlinear total variation based noise removal".
    """

    @property
    def layers(self) -> tuple[str, ...]:
        """The picture itself."""
        return (IMAGE,)

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise; mostly it is subtracted."""
        image = 255.0 * activations[IMAGE]
        down, right = image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]
        # A hundredth of a level makes it smooth where the picture is flat.
        return jnp.mean(jnp.sqrt(down**2 + right**2 + 1e-4))


@objective("l2")
class L2(Summand):
    """The root mean square distance from middle grey, in 8-bit levels: contrast."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The picture itself."""
        return (IMAGE,)

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise; mostly it is subtracted."""
        return jnp.sqrt(jnp.mean((255.0 * activations[IMAGE] - 127.5) ** 2) + 1e-4)


# --- What they are made of ---


def _between(values: jax.Array, place: Number, axis: int) -> jax.Array:
    """The values at a place along an axis, between two where it is a fraction."""
    share = jnp.clip(1.0 - jnp.abs(jnp.arange(values.shape[axis]) - place), 0.0, 1.0)
    return jnp.tensordot(values, share, axes=(axis, 0), precision="highest")


def _positions(activations: jax.Array) -> jax.Array:
    """(h, w, c) -> (positions, c)."""
    return activations.reshape(-1, activations.shape[-1])


def _gram(activations: jax.Array) -> jax.Array:
    """Which channels go together: (h, w, c) -> (c, c), of length 1."""
    seen = _positions(activations)
    # The scale first, lest fourth powers of what is seen leave the range of float32.
    seen /= jnp.sqrt(jnp.mean(seen**2) + 1e-20)
    gram = jnp.einsum("pi,pj->ij", seen, seen, precision="highest") / len(seen)
    return gram / jnp.sqrt(jnp.sum(gram**2) + 1e-12)


def most_alike(seen: jax.Array, known: jax.Array) -> jax.Array:
    """For each position, the one of a guide with the largest dot product.

    A few are compared at a time where there are many, so that a large picture needs no more memory.

    Args:
      seen: float32 (n, c).
      known: float32 (m, c), the guide's.

    Returns:
      int32 (n,), each in [0, m).
    """

    def match(some: jax.Array) -> jax.Array:
        return jnp.argmax(jnp.einsum("nc,mc->nm", some, known, precision="highest"), axis=1)

    count, rows = len(seen), max(LARGEST_MATCH // len(known), 1)
    if count <= rows:
        return match(seen)
    padded = jnp.pad(seen, ((0, -count % rows), (0, 0)))
    return jax.lax.map(match, padded.reshape(-1, rows, seen.shape[1])).reshape(-1)[:count]


# --- Layers that cross-fade ---


@partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=["layers"])
@dataclass(frozen=True)
class Mix:
    """Several layers at once, each by its weight, which may animate.

    Each layer's energy is half its squared L2 norm; the weighted sum of their logarithms grows. So
    what counts is how many times over each grows, and a layer of many channels does not drown one
    of few. With all weight on one layer the gradient is `Layer`'s, but for its length.
    """

    layers: tuple[str, ...]
    """The names of the layers."""
    weights: jax.Array
    """float32 (layers,), at least 0."""

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise: the weighted sum of logarithms."""
        energies = [0.5 * jnp.sum(activations[name] ** 2) for name in self.layers]
        # A layer that sees nothing at all has no direction to grow in.
        return jnp.sum(self.weights * jnp.log(jnp.stack(energies) + 1e-12))


def of_layers(layers: tuple[str, ...], weights: Mapping[str, float]) -> Objective:
    """The objective of one layer, or of several by their weights.

    Args:
      layers: All that are dreamed of in a clip, so that its frames share one compiled program.
      weights: Those of a moment; a layer that is not there has none.
    """
    if len(layers) == 1:
        return Layer(layers[0])
    return Mix(layers, jnp.array([weights.get(name, 0.0) for name in layers], jnp.float32))
