"""From the words of an objective to what they stand for: its class, layers, files and numbers."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dreamvid.errors import DreamError
from dreamvid.expressions import Part
from dreamvid.media.gallery import open_gallery
from dreamvid.models import AnyModel, LayerInfo
from dreamvid.models.network import LOGITS
from dreamvid.objectives import OBJECTIVES, Summand
from dreamvid.paths import check_is_file, seen_from_here
from dreamvid.registry import unknown_name
from dreamvid.scope import read_column, short
from dreamvid.shapes import SHAPES
from dreamvid.terms import Argument, Call, Term, Value
from dreamvid.things import Fixed, MaskOf, Moment, Number, Seen, Shown, Thing
from dreamvid.types import IMAGE

_HEAVIEST = 1e9
"""A weight, of either sign: well within float32, and so is its product with a gradient."""


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
        fixed = {k: t.content for k, t in self.things.items() if isinstance(t, Fixed)}
        rest = {k: 0.0 for k in self.things if k not in fixed}
        return self.kind(**fixed, **rest).layers

    @property
    def values(self) -> Iterator[Number]:
        """The numbers in it, its weight among them."""
        if self.term.weight is not None:
            yield Number(self.term.weight, -_HEAVIEST, _HEAVIEST)
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


def resolve(term: Term, model: AnyModel, folder: Path) -> Resolved:
    """What a term stands for.

    Args:
      term: From a text.
      model: The network whose layers and classes it names.
      folder: What names of files in it start from.

    Raises:
      ScheduleError: It names what does not exist, or what does not fit; the error knows where.
    """
    call, name = term.call, str(term.call.name)
    if name not in OBJECTIVES:  # then it is a layer: short for one of two objectives
        _check_layer(call.name, model, tuple(OBJECTIVES))
        name = "channel" if call.arguments else "layer"
        call = Call(call.name, (Argument("name", call.name), *call.arguments))
    kind = OBJECTIVES[name]
    things = _Things(call, model, folder).of(kind)
    resolved = Resolved(term, kind, things, None)
    if term.mask is None:
        return resolved
    if IMAGE in resolved.layers:
        raise term.part.error(f"{call.name} is of the whole picture: take its mask away")
    return dataclasses.replace(resolved, mask=_mask(term.mask, folder))


@dataclass(frozen=True)
class _Things:
    """Makes what the arguments of a call stand for."""

    call: Call
    model: AnyModel
    folder: Path

    def of(self, kind: type[Summand]) -> dict[str, Thing]:
        """By the names of an objective's fields."""
        fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
        kinds = {
            f.name: f.metadata.get("kind", "layer" if f.type in _TEXT else "number") for f in fields
        }
        extra = ["picture"] if "picture" in kinds.values() else []
        given = _bound(self.call, [*kinds, *extra])
        things: dict[str, Thing] = {}
        layer = ""
        for f in fields:
            wanted = kinds[f.name]
            if f.name not in given:
                if f.default is dataclasses.MISSING:
                    raise self.call.name.error(
                        f"{self.call.name} needs its {f.name}{_EXAMPLES[wanted]}"
                    )
                continue
            argument = given[f.name]
            match wanted:
                case "layer":
                    layer = _check_layer(_word(argument), self.model)
                    things[f.name] = Fixed(layer)
                case "label":
                    things[f.name] = _class(argument, self.model)
                case "table":
                    things[f.name] = _vector(argument, self.folder, self.model.layer(layer))
                case "picture":
                    shown = _shown(argument, given.get("picture"), self.folder)
                    things[f.name] = Seen(shown, self.model, layer)
                case _:
                    high = f.metadata.get("high")
                    if f.name == "channel" and layer:
                        high = self.model.layer(layer).channels - 1
                    things[f.name] = Number(_number(argument), f.metadata.get("low"), high)
        return things


_TEXT = (str, "str")
_EXAMPLES = {
    "layer": ": write a layer's name, such as mixed4c",
    "number": ": write a number",
    "label": ": write a class, such as class:sunflower (see: dreamvid layers --classes)",
    "picture": ': write a file in quotes, such as "flowers.jpg"',
    "table": ': write a file of numbers in quotes, such as "direction.npy"',
}


def _bound(call: Call, known: list[str]) -> dict[str, Argument]:
    """The arguments by what they are for."""
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
            most = len(known) - (call.arguments[0].part is call.name)  # which nobody has written
            takes = f"{most} argument{'s' * (most != 1)}" if most else "no arguments"
            raise argument.part.error(f"{call.name} takes {takes}: take this one away")
        if name in given:
            raise argument.part.error(f"{call.name} has its {name} twice: take one away")
        given[name] = argument
    return given


def _check_layer(name: Part, model: AnyModel, others: tuple[str, ...] = ()) -> str:
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


def _class(argument: Argument, model: AnyModel) -> Thing:
    labels = model.labels
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
    return Fixed(float(plain[name]))


def _plain(label: str) -> str:
    """A class as it is written in an objective: "jack-o'-lantern" is jack_o_lantern."""
    return "_".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def _vector(argument: Argument, folder: Path, layer: LayerInfo) -> Thing:
    path = _file(argument, folder)
    try:
        check_is_file(path, "table of numbers", DreamError)
        vector = _array(path) if path.suffix.lower() == ".npy" else read_column(path, None)
    except (DreamError, ValueError) as error:
        raise argument.part.error(str(error)) from None
    if vector.shape != (layer.channels,):
        needs = f"{layer.name} needs {layer.channels}, one for each channel"
        raise argument.part.error(f"{path} has numbers of the shape {vector.shape}: {needs}")
    longest = np.abs(vector).max()
    if not 0 < longest < np.inf:
        raise argument.part.error(f"{path} gives no direction: write finite numbers, not all 0")
    # Only the direction counts, and its squares stay within float32.
    return Fixed(jnp.asarray(vector / longest, jnp.float32), path)


def _array(path: Path) -> np.ndarray:
    """The numbers in an .npy file: float64.

    Raises:
      ValueError: It holds something else.
    """
    try:
        # Mapped, since a damaged header promises more than memory holds.
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # of nearly every kind, where a header is none
        raise ValueError(f"{path} is no NumPy array: write one with numpy.save") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {array.dtype}: write real numbers")
    return np.array(array, np.float64)


def _shown(argument: Argument, which: Argument | None, folder: Path) -> Shown:
    path = _file(argument, folder)
    try:
        gallery = open_gallery(path)
    except DreamError as error:
        raise argument.part.error(str(error)) from None
    chosen = None if which is None else Number(_number(which), 0, gallery.count - 1e-6)
    return Shown(gallery, chosen)


def _mask(mask: Call | Argument, folder: Path) -> MaskOf:
    if isinstance(mask, Argument):
        return MaskOf(None, {}, _shown(mask, None, folder))
    name = str(mask.name)
    if name not in SHAPES:
        see = f"Known: {', '.join(SHAPES)}, and files in quotes"
        raise mask.name.error(str(unknown_name("mask", short(name), SHAPES, see)))
    fields = {f.name: f for f in dataclasses.fields(SHAPES[name])}  # type: ignore[arg-type]
    given = _bound(mask, list(fields))
    bounds = {key: fields[key].metadata for key in given}
    numbers = {
        key: Number(_number(argument), bounds[key]["low"], bounds[key]["high"])
        for key, argument in given.items()
    }
    return MaskOf(SHAPES[name], numbers)
