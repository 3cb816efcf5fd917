"""From the words of an objective to what they stand for: classes, layers, files and numbers."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.errors import DreamError
from dreamvid.expressions import Part
from dreamvid.fields import Size
from dreamvid.media.gallery import Gallery, open_gallery
from dreamvid.media.stills import fit
from dreamvid.models import Model
from dreamvid.models.model import SMALLEST_SIDE
from dreamvid.models.network import LOGITS
from dreamvid.objectives import OBJECTIVES, Summand
from dreamvid.paths import check_is_file, seen_from_here, sha256_of
from dreamvid.registry import unknown_name
from dreamvid.scope import Scope, read_column, short
from dreamvid.shapes import SHAPES, Shape
from dreamvid.terms import Argument, Call, Term, Value
from dreamvid.types import IMAGE

GUIDE_SIDE = 640
"""Pixels of a guide's longer side at most: in more of it a network sees hardly more."""
_TICKS_EACH = 90.0
"""How long an endless clip shows each picture of a folder."""
_KEPT = 2
"""Pictures of a guide whose activations are remembered."""


@dataclass(frozen=True)
class Moment:
    """A moment of a clip, in ticks, and what schedules may refer to."""

    tick: float
    scope: Scope


class Thing(Protocol):
    """What a word stands for."""

    @property
    def values(self) -> Iterator["Number"]:
        """The numbers in it."""
        ...

    def at(self, moment: Moment) -> Any:
        """What it is at a moment."""
        ...

    def digest(self) -> str:
        """The sha256 of its file; empty where it has none."""
        ...


@dataclass(frozen=True)
class Number:
    """A number within bounds."""

    value: Value
    low: float | None = None
    high: float | None = None

    @property
    def values(self) -> Iterator["Number"]:
        """See `Thing`."""
        yield self

    def at(self, moment: Moment) -> float:
        """See `Thing`."""
        return self.value.at(moment.tick, moment.scope)

    def digest(self) -> str:
        """See `Thing`."""
        return ""

    def check(self, times: np.ndarray, scope: Scope) -> None:
        """Refuses values out of bounds at moments, float64 (n,) in ticks.

        Raises:
          ScheduleError: There is one.
        """
        found = self.value.over(times, scope)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        wrong = np.flatnonzero((found < low) | (found > high))
        if wrong.size:
            at = "" if self.value.fixed else f" at tick {times[wrong[0]]:.10g}"
            bounds = f"from {low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
            raise self.value.part.error(f"{found[wrong[0]]:g}{at} is out of bounds: write {bounds}")


@dataclass(frozen=True)
class _Fixed:
    """What does not move: a name, the number of a class, a vector."""

    content: Any
    path: Path | None = None

    @property
    def values(self) -> Iterator[Number]:
        yield from ()

    def at(self, moment: Moment) -> Any:
        return self.content

    def digest(self) -> str:
        return "" if self.path is None else sha256_of(self.path)


@dataclass(frozen=True)
class _Shown:
    """One of the pictures of a file or a folder, chosen by the moment."""

    gallery: Gallery
    which: Number | None

    @property
    def values(self) -> Iterator[Number]:
        if self.which is not None:
            yield self.which

    def at(self, moment: Moment) -> int:
        """The number of the picture."""
        count, fps, scope = self.gallery.count, self.gallery.fps, moment.scope
        if self.which is not None:
            return math.floor(self.which.at(moment) + 1e-9)
        if fps is not None:  # a film has its own speed, and begins anew at its end
            return math.floor(moment.tick / scope.fps * float(fps) + 1e-6) % count
        length = scope.length if math.isfinite(scope.length) else _TICKS_EACH * count
        return math.floor(moment.tick / length * count + 1e-9) % count

    def digest(self) -> str:
        return self.gallery.digest()


@dataclass(frozen=True)
class _Seen:
    """What a layer sees in a guide."""

    shown: _Shown
    model: Model
    layer: str
    _known: dict[int, jax.Array] = field(default_factory=dict)

    @property
    def values(self) -> Iterator[Number]:
        yield from self.shown.values

    def at(self, moment: Moment) -> jax.Array:
        number = self.shown.at(moment)
        if number not in self._known:
            picture = fit(self.shown.gallery.at(number), self._size)
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            seen = self.model.activations(jnp.asarray(picture), [self.layer])
            self._known[number] = seen[self.layer]
        return self._known[number]

    def digest(self) -> str:
        return self.shown.digest()

    @cached_property
    def _size(self) -> Size:
        """Of all its pictures, so that they share a program: the first one's, within reason."""
        height, width = self.shown.gallery.at(0).shape[:2]
        scale = min(GUIDE_SIDE / max(height, width), 1.0)
        least = max(self.model.layer(self.layer).smallest, 4 * SMALLEST_SIDE)
        return Size(*(max(round(side * scale), least) for side in (width, height)))


@dataclass(frozen=True)
class MaskOf:
    """Where a term counts: a shape, or a picture of a file or a folder."""

    drawn: type[Shape] | None
    things: Mapping[str, Number]
    shown: _Shown | None = None

    @property
    def values(self) -> Iterator[Number]:
        """See `Thing`."""
        yield from self.things.values()
        if self.shown is not None:
            yield from self.shown.values

    def draw(self, moment: Moment, size: Size) -> np.ndarray:
        """float32 (h, w) in [0, 1]."""
        if self.shown is not None:
            grey = self.shown.gallery.mask(self.shown.at(moment))
            return fit(grey[..., None], size).reshape(size.height, size.width)
        assert self.drawn is not None
        return self.drawn(**{k: number.at(moment) for k, number in self.things.items()}).draw(size)

    def digest(self) -> str:
        """See `Thing`."""
        return "" if self.shown is None else self.shown.digest()


@dataclass(frozen=True)
class Resolved:
    """A term whose words have been understood."""

    term: Term
    kind: type[Summand]
    things: Mapping[str, Thing]
    mask: MaskOf | None

    @property
    def layers(self) -> tuple[str, ...]:
        """Those that it reads."""
        fixed = {k: t.content for k, t in self.things.items() if isinstance(t, _Fixed)}
        rest = {k: 0.0 for k in self.things if k not in fixed}
        return self.kind(**fixed, **rest).layers

    @property
    def values(self) -> Iterator[Number]:
        """The numbers in it, its weight among them."""
        if self.term.weight is not None:
            yield Number(self.term.weight)
        for thing in (*self.things.values(), *([self.mask] if self.mask else [])):
            yield from thing.values

    @property
    def digests(self) -> list[str]:
        """The sha256 of each of its files."""
        things = (*self.things.values(), *([self.mask] if self.mask else []))
        return [digest for digest in (thing.digest() for thing in things) if digest]

    def at(self, moment: Moment) -> Summand:
        """The objective that it is at a moment, without weight and mask."""
        return self.kind(**{name: thing.at(moment) for name, thing in self.things.items()})


def resolve(term: Term, model: Model, folder: Path) -> Resolved:
    """What a term stands for.

    Args:
      term: From a text.
      model: The network whose layers and classes it names.
      folder: What names of files in it start from.

    Raises:
      ScheduleError: It names what does not exist, or what does not fit; the error knows where.
    """
    call = term.call
    known = str(call.name) in OBJECTIVES
    kind = OBJECTIVES[str(call.name) if known else "channel" if call.arguments else "layer"]
    if not known:
        _check_layer(call.name, model, (*OBJECTIVES,))
        call = Call(call.name, (Argument("name", call.name), *call.arguments))
    given = _bound(call, [f.name for f in dataclasses.fields(kind)], _has_picture(kind))  # type: ignore[arg-type]
    which = given.pop("picture", None)
    things: dict[str, Thing] = {}
    for f in dataclasses.fields(kind):  # type: ignore[arg-type]
        wanted = f.metadata.get("kind", "layer" if f.type in (str, "str") else "number")
        if f.name not in given:
            if f.default is dataclasses.MISSING:
                example = _EXAMPLES.get(wanted, "")
                raise call.name.error(f"{call.name} needs its {f.name}{example}")
            continue
        argument = given[f.name]
        layer = things["layer"].content if isinstance(things.get("layer"), _Fixed) else None  # type: ignore[union-attr]
        match wanted:
            case "layer":
                things[f.name] = _Fixed(_check_layer(_word(argument), model))
            case "label":
                things[f.name] = _class(argument, model)
            case "table":
                things[f.name] = _vector(argument, folder, layer, model)
            case "picture":
                things[f.name] = _Seen(_shown(argument, which, folder), model, str(layer))
            case _:
                high = f.metadata.get("high")
                if f.name == "channel" and layer is not None:
                    high = model.layer(layer).channels - 1
                things[f.name] = Number(_number(argument), f.metadata.get("low"), high)
    resolved = Resolved(term, kind, things, None)
    if term.mask is None:
        return resolved
    if IMAGE in resolved.layers:
        raise term.part.error(f"{call.name} is of the whole picture: take its mask away")
    return dataclasses.replace(resolved, mask=_mask(term.mask, folder))


_EXAMPLES = {
    "layer": ": write a layer's name, such as mixed4c",
    "number": ": write a number",
    "label": ": write a class, such as class:daffodil (see: dreamvid layers --classes)",
    "picture": ': write a file in quotes, such as "flowers.jpg"',
    "table": ': write a file of numbers in quotes, such as "direction.npy"',
}


def _has_picture(kind: type[Summand]) -> bool:
    return any(f.metadata.get("kind") == "picture" for f in dataclasses.fields(kind))  # type: ignore[arg-type]


def _bound(call: Call, names: list[str], has_picture: bool) -> dict[str, Argument]:
    """The arguments by what they are for."""
    known = [*names, "picture"] if has_picture else names
    given: dict[str, Argument] = {}
    for place, argument in enumerate(call.arguments):
        if argument.to is not None:
            name = str(argument.to)
            if name not in known:
                see = f"It has: {', '.join(known)}"
                error = unknown_name("argument", name, known, see, of=str(call.name))
                raise argument.to.error(str(error))
        elif place < len(known):
            name = known[place]
        else:
            takes = f"{len(known)} argument{'s' * (len(known) != 1)}" if known else "no arguments"
            raise argument.part.error(f"{call.name} takes {takes}: take this one away")
        if name in given:
            raise argument.part.error(f"{call.name} has its {name} twice: take one away")
        given[name] = argument
    return given


def _check_layer(name: Part, model: Model, others: tuple[str, ...] = ()) -> str:
    """The layer's name, if there is one."""
    try:
        model.layer(str(name))
    except DreamError as error:
        told = str(error)
        if others and str(name) != LOGITS:
            see = f"See: dreamvid layers. Objectives: {', '.join(others)}"
            names = (*model.layers, *others)
            told = str(unknown_name("layer or objective", short(str(name)), names, see))
        raise name.error(told) from None
    return str(name)


def _word(argument: Argument) -> Part:
    if argument.kind != "name":
        raise argument.part.error("a layer's name is wanted here, such as mixed4c")
    return argument.part


def _number(argument: Argument) -> Value:
    if argument.value is None:
        raise argument.part.error("a number is wanted here, or a schedule in parentheses")
    return argument.value


def _file(argument: Argument, folder: Path) -> Path:
    if argument.kind != "file":
        raise argument.part.error('the name of a file is wanted here, in quotes: "flowers.jpg"')
    return seen_from_here(folder, str(argument.part))


def _class(argument: Argument, model: Model) -> Thing:
    labels = model.spec.labels
    if not labels:
        raise argument.part.error("the network has no classifier: there are no classes")
    if argument.value is not None:
        return Number(argument.value, 0, len(labels) - 1)
    if argument.kind == "file":
        raise argument.part.error("quotes are for files: write _ between the words of a class")
    plain = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
    name = _plain(str(argument.part))
    if name not in plain:
        see = "See: dreamvid layers --classes"
        raise argument.part.error(str(unknown_name("class", short(str(argument.part)), plain, see)))
    return _Fixed(float(plain[name]))


def _plain(label: str) -> str:
    """A class as it is written in an objective: "jack-o'-lantern" is jack_o_lantern."""
    return "_".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def _vector(argument: Argument, folder: Path, layer: str | None, model: Model) -> Thing:
    path = _file(argument, folder)
    try:
        check_is_file(path, "table of numbers", DreamError)
        if path.suffix.lower() == ".npy":
            vector = np.load(path, allow_pickle=False).astype(np.float32)
        else:
            vector = read_column(path, None).astype(np.float32)
    except (DreamError, ValueError, OSError, EOFError) as error:
        raise argument.part.error(f"{path} cannot be used: {error}") from None
    channels = model.layer(str(layer)).channels
    if vector.shape != (channels,) or not np.isfinite(vector).all():
        told = f"finite numbers for its {channels} channels"
        raise argument.part.error(f"{path} has {vector.shape} numbers: {layer} needs {told}")
    return _Fixed(jnp.asarray(vector), path)


def _shown(argument: Argument, which: Argument | None, folder: Path) -> _Shown:
    path = _file(argument, folder)
    try:
        gallery = open_gallery(path)
    except DreamError as error:
        raise argument.part.error(str(error)) from None
    chosen = None if which is None else Number(_number(which), 0, gallery.count - 1e-6)
    return _Shown(gallery, chosen)


def _mask(mask: Call | Argument, folder: Path) -> MaskOf:
    if isinstance(mask, Argument):
        return MaskOf(None, {}, _shown(mask, None, folder))
    name = str(mask.name)
    if name not in SHAPES:
        see = f"Known: {', '.join(SHAPES)}, and files in quotes"
        raise mask.name.error(str(unknown_name("mask", short(name), SHAPES, see)))
    fields = {f.name: f for f in dataclasses.fields(SHAPES[name])}  # type: ignore[arg-type]
    given = _bound(mask, list(fields), has_picture=False)
    bounds = {key: fields[key].metadata for key in given}
    numbers = {
        key: Number(_number(argument), bounds[key]["low"], bounds[key]["high"])
        for key, argument in given.items()
    }
    return MaskOf(SHAPES[name], numbers)
