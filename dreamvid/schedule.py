"""Values that change over time, written as text: "0:(1.0), 30:(1.02+0.01*sin(t/10))".

The grammar is Deforum's, which animators know. Moments are counted in ticks, the frames of the
schedule's own clock: 30 a second unless the scope says otherwise, whatever the clip's frame rate.

  key     a tick, `2.5s`, `50%` of the clip (100% is the moment after its last frame), `max_f/2`
  value   in parentheses, an expression of t (the tick), s (seed), max_f (length - 1), pi and e;
          one that uses t, audio("low") or csv("file.csv", "column") holds until the next key,
          any other is interpolated to the next key's value
  easing  a word behind an interpolated value, shaping the way to the next key

An expression alone, without keys, holds always. Source: the animation settings of Deforum for
Stable Diffusion; the easings are those of CSS Easing Functions Level 1.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dreamvid.expressions import NUMBER, QUOTED, Expression, Part
from dreamvid.registry import unknown_name
from dreamvid.scope import Scope, short

# --- Keys, and the way from one to the next ---

_FARTHEST = 1e15  # ticks; beyond it they are no longer told apart
_ALWAYS = -_FARTHEST  # not infinite, lest the share of the way be inf / inf
_Easing = tuple[np.ndarray, np.ndarray]
"""Shares of the time, and the shares of the way done by then."""
_LINEAR: _Easing = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))


@functools.lru_cache(maxsize=64)
def _bezier(x1: float, y1: float, x2: float, y2: float) -> _Easing:
    s = np.linspace(0.0, 1.0, 1025)  # as a table it costs no equation to solve at each moment
    x, y = (3 * (1 - s) * s * ((1 - s) * a + s * b) + s**3 for a, b in ((x1, x2), (y1, y2)))
    return np.maximum.accumulate(x), y


_EASINGS: dict[str, _Easing] = {
    "linear": _LINEAR,
    "ease_in": _bezier(0.42, 0.0, 1.0, 1.0),
    "ease_out": _bezier(0.0, 0.0, 0.58, 1.0),
    "ease_in_out": _bezier(0.42, 0.0, 0.58, 1.0),
    "hold": (np.array([0.0, 1.0]), np.array([0.0, 0.0])),
}


@dataclass(frozen=True)
class _Key:
    """A value from a moment on, and the easing from it to the next key's."""

    time: Expression
    unit: str
    value: Expression
    easing: _Easing

    def tick(self, scope: Scope) -> float:
        """The key's moment."""
        number = float(self.time(0.0, scope))
        if self.unit == "%":
            if math.isinf(scope.length):
                message = f"{number:g}% needs a clip that ends: give its length, or use seconds"
                raise self.time.part.error(message)
            return number / 100.0 * scope.length
        return number * scope.fps if self.unit == "s" else number


def _in_order(keys: Sequence[_Key], ticks: Sequence[float]) -> list[tuple[float, _Key]]:
    for tick, key in zip(ticks, keys, strict=True):
        if not abs(tick) <= _FARTHEST:  # nor is nan
            raise key.time.part.error(f"this key is at tick {tick:g}, beyond any clip")
    ordered = sorted(zip(ticks, keys, strict=True), key=lambda pair: pair[0])
    for (before, _), (tick, key) in itertools.pairwise(ordered):
        if before == tick:
            raise key.time.part.error(f"two keys are at tick {tick:g}: take one of them out")
    return ordered


class _Track:
    """The keys in order, as they stand in one scope."""

    def __init__(self, keys: Sequence[_Key], scope: Scope):
        self.scope = scope
        with np.errstate(all="ignore"):
            ordered = _in_order(keys, [key.tick(scope) for key in keys])
            levels = [float(key.value(np.float64(tick), scope)) for tick, key in ordered]
            self.levels = np.array(levels)
            self.steps = np.append(np.diff(self.levels), 0.0)
        self.keys = [key for _, key in ordered]
        self.starts = np.array([tick for tick, _ in ordered])
        self.moving = np.array([key.value.moving for key in self.keys])
        self._spans = np.append(np.diff(self.starts), np.inf)
        tables = {id(key.easing): key.easing for key in self.keys}
        numbers = {name: number for number, name in enumerate(tables)}
        self._tables = list(tables.values())
        self._eased = np.array([numbers[id(key.easing)] for key in self.keys])

    def locate(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For moments (n,) in ticks: the key each follows, and its share of the way to the next."""
        index = np.maximum(np.searchsorted(self.starts, times, side="right") - 1, 0)
        share = np.clip((times - self.starts[index]) / self._spans[index], 0.0, 1.0)
        eased = self._eased[index]
        for number in set(eased.tolist()):
            if self._tables[number] is not _LINEAR:
                here = eased == number
                share[here] = np.interp(share[here], *self._tables[number])
        return index, share


# --- Keys from text ---


def _split(text: str, read: Callable[[Part], Expression]) -> list[_Key]:
    """The keys of a text, in the order they are written."""
    whole = Part(text, 0, 0).cut(0, len(text))
    if not str(whole):
        raise whole.error("the schedule is empty: write a number, or keys such as 0:(1), 30:(2)")
    top = _marks(text)
    if ":" not in [mark for mark, _ in top]:
        always = Expression(Part(text, whole.start, whole.start), _ALWAYS)
        return [_Key(always, "always", _value(whole, read), _LINEAR)]
    keys, start, marks = [], 0, []
    for mark, at in [*top, (",", len(text))]:
        if mark != ",":
            marks.append((mark, at))
            continue
        part = whole.cut(start, at)
        if str(part):
            keys.append(_key(part, marks, read))
        elif at < len(text):
            raise part.error("a key is missing here: take out the comma")
        start, marks = at + 1, []
    return keys


def _marks(text: str) -> list[tuple[str, int]]:
    """The commas, colons and outermost parentheses, each with its place."""
    whole = Part(text, 0, len(text))
    top: list[tuple[str, int]] = []
    opened: list[int] = []
    for found in re.finditer(rf"{QUOTED}|[():,'\"]", text):
        mark, at = found[0], found.start()
        if mark in ("'", '"'):
            raise whole.error("this quote is never closed", at)
        if mark == ")":
            if not opened:
                raise whole.error("this parenthesis was never opened", at)
            opened.pop()
        if not opened and len(mark) == 1:
            top.append((mark, at))
        if mark == "(":
            opened.append(at)
    if opened:
        raise whole.error("this parenthesis is never closed", opened[0])
    return top


def _key(part: Part, marks: list[tuple[str, int]], read: Callable[..., Expression]) -> _Key:
    kinds, places = [mark for mark, _ in marks], [at for _, at in marks]
    if ":" not in kinds:
        raise part.error("this value has no key: write one before it, such as 0:(1.0)")
    colon = kinds.index(":")
    time = part.cut(part.start, places[colon])
    if not str(time):
        raise time.error("a key is missing before the colon: write a tick, such as 0:(1.0)")
    united = re.fullmatch(rf"([-+]?{NUMBER})\s*([s%])", str(time), re.ASCII)
    unit = united[2] if united else ""
    moment = Expression(part.cut(time.start, time.start + united.end(1)) if united else time)
    if moment.moving:
        raise time.error("a key's moment cannot change: write it without t, audio() and csv()")
    value = part.cut(places[colon] + 1, part.stop)
    if kinds[colon + 1 : colon + 3] != ["(", ")"] or value.start != places[colon + 1]:
        message = "a value in parentheses is missing here: write it like 0:(1.0)"
        raise value.error(message)
    closing = places[colon + 2]
    expression = _value(part.cut(value.start + 1, closing), read)
    easing = _easing(part.cut(closing + 1, part.stop))
    if easing is not None and expression.moving:
        message = "an easing leads from a constant value, and this one changes by itself"
        raise part.cut(closing + 1, part.stop).error(message)
    return _Key(moment, unit, expression, easing or _LINEAR)


def _value(part: Part, read: Callable[[Part], Expression]) -> Expression:
    quoted = re.fullmatch(QUOTED, str(part))  # Deforum allows values in quotes
    return read(part.cut(part.start + 1, part.stop - 1) if quoted else part)


def _easing(part: Part) -> _Easing | None:
    word = str(part)
    if not word or word in _EASINGS:
        return _EASINGS.get(word)
    curve = re.fullmatch(r"cubic_bezier\s*\(([^()]*)\)", word, re.ASCII)
    if curve is None:
        known = f"Easings: {', '.join(_EASINGS)}, cubic_bezier(x1, y1, x2, y2)"
        name = re.match(r"\w+", word, re.ASCII)
        if name is None or name[0] in ("cubic_bezier", *_EASINGS) or name[0][0].isdigit():
            raise part.error(f"{short(word)!r} is neither a comma nor an easing. {known}")
        raise part.error(str(unknown_name("easing", short(name[0]), _EASINGS, known)))
    at, numbers = part.start + curve.start(1), []
    for cell in curve[1].split(","):
        numbers.append(Expression(part.cut(at, at + len(cell))))
        at += len(cell) + 1
    constants = [number.constant for number in numbers if number.constant is not None]
    if len(constants) != 4 or len(numbers) != 4:
        raise part.error("cubic_bezier takes four numbers: x1, y1, x2, y2")
    for k, (number, constant) in enumerate(zip(numbers, constants, strict=True)):
        low, high = (-100, 100) if k % 2 else (0, 1)
        if not low <= constant <= high:
            message = f"{constant:g} is out of bounds: {'xyxy'[k]} is from {low} to {high}"
            raise number.part.error(message)
    return _bezier(*constants)


# --- What the text is worth at a moment ---


class _Keyed:
    """What schedules and fades share: a text, which is their identity, and its keys."""

    def __init__(self, text: str):
        self.text = text
        self._keys = _split(text, self._read)
        fixed = [key for key in self._keys if key.time.constant is not None and not key.unit]
        _in_order(fixed, [key.time.constant or 0.0 for key in fixed])
        self._last: _Track | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a text.

        Raises:
          ScheduleError: It cannot be read; the error knows where.
        """
        return cls(text)

    def _read(self, part: Part) -> Expression:
        return Expression(part)

    def _track(self, scope: Scope) -> _Track:
        track = self._last
        if track is None or track.scope is not scope:
            self._last = track = _Track(self._keys, scope)
        return track

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short(self.text)!r})"

    def __reduce__(self) -> tuple[Any, ...]:  # copied and sent to other processes as text
        return type(self), (self.text,)


class Schedule(_Keyed):
    """A number that changes over time."""

    constant: float | None
    """The value of a text without keys, where it is the same at all times and in all scopes."""
    uses: frozenset[str]
    """The names of the audio signals in the text."""

    def __init__(self, text: str):
        super().__init__(text)
        first = self._keys[0]
        self.constant = first.value.constant if first.unit == "always" else None
        self.uses = frozenset(name for key in self._keys for name in key.value.signals)

    def over(self, times: np.ndarray, scope: Scope) -> np.ndarray:
        """The values at many moments.

        Args:
          times: Ticks, of any shape.
          scope: What the text refers to.

        Returns:
          float64, of the times' shape.

        Raises:
          ScheduleError: A value is not finite, or the scope lacks what the text refers to.
        """
        times = np.asarray(times, np.float64)
        track, moments = self._track(scope), times.ravel()
        with np.errstate(all="ignore"):
            index, share = track.locate(moments)
            values = track.levels[index] + share * track.steps[index]
            followed = track.moving[index]
            for k in set(index[followed].tolist()):
                here = index == k
                # The first key's value holds before it.
                t = np.maximum(moments[here], track.starts[0])
                values[here] = track.keys[k].value(t, scope)
        finite = np.isfinite(values)
        if not finite.all():
            bad = int(np.argmin(finite))
            message = f"the value at tick {moments[bad]:.10g} is {values[bad]}, not a finite number"
            raise track.keys[index[bad]].value.part.error(message)
        return values.reshape(times.shape)

    def at(self, time: float, scope: Scope) -> float:
        """The value at one moment, in ticks; it raises what `over` does."""
        if self.constant is not None:
            return self.constant
        return float(self.over(np.array([time]), scope)[0])


class Fade(_Keyed):
    """Names that follow each other, cross-fading: "0:(mixed4c) ease_in_out, 60:(mixed3b)"."""

    names: tuple[str, ...]
    """Each once, in order of appearance."""

    def __init__(self, text: str):
        self._places: dict[str, int] = {}
        super().__init__(text)
        self.names = tuple(self._places)

    def _read(self, part: Part) -> Expression:
        name = str(part)
        if not re.fullmatch(r"[A-Za-z_][\w/.-]*", name, re.ASCII):
            raise part.error(f"{short(name)!r} is not a name: write one, such as mixed4c")
        self._places.setdefault(name, part.start)
        return Expression(part, float(list(self._places).index(name)))

    def at(self, time: float, scope: Scope) -> dict[str, float]:
        """The weights of the names at one moment, in ticks: they add to 1, zeros left out.

        Raises:
          ScheduleError: The scope lacks what the keys refer to.
        """
        track = self._track(scope)
        (k,), (share,) = (row.tolist() for row in track.locate(np.array([time], np.float64)))
        now, then = (
            self.names[int(level)] for level in (*track.levels, track.levels[-1])[k : k + 2]
        )
        share = min(max(share, 0.0), 1.0)  # an easing may overshoot
        weights = {now: 1.0} if now == then else {now: 1.0 - share, then: share}
        return {name: weight for name, weight in weights.items() if weight}

    def position_of(self, name: str) -> int:
        """Where in the text a name first stands, counted from 0."""
        return self._places[name]
