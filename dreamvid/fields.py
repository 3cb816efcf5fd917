"""What an option is: a field of a frozen dataclass that knows its kind, bounds and help.

Flags, recipes and --help are derived from such fields. Nothing here needs JAX, so that --help stays
quick. An option that cannot be used is refused when its dataclass is made.
"""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, Self, get_args

import numpy as np

from dreamvid.errors import OptionError, ScheduleError
from dreamvid.registry import unknown_name
from dreamvid.schedule import Fade, Schedule, Scope
from dreamvid.terms import Terms


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    unset: str = "",
    choices: tuple[str, ...] = (),
    animates: bool = False,
) -> Any:
    """A dataclass field with what a user needs to know about it.

    Args:
      default: The value where the user says nothing.
      help: What it does, with its unit.
      low: The least value, itself allowed.
      above: A bound that the value must exceed.
      high: The greatest value, itself allowed.
      unset: What None stands for, where None is allowed; one word can be written for it.
      choices: The only values, where there are few.
      animates: Whether it may be a schedule: the field then holds a `Schedule` (a `Fade`, where it
        is a name) until `Options.at` puts the value of a moment in its place.
    """
    metadata = {
        "help": help,
        "low": low,
        "above": above,
        "high": high,
        "unset": unset,
        "choices": choices,
        "animates": animates,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Size:
    """Pixels of a picture."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Reads "640x360".

        Raises:
          ValueError: It is no such text.
        """
        width, height = text.lower().split("x")
        return cls(int(width), int(height))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def read_rate(text: str) -> Fraction:
    """Reads "30", "29.97" or "30000/1001".

    Raises:
      ValueError: It is no such text, or longer than a rate has any reason to be.
    """
    if len(text) > 24 or "e" in text.lower():  # a Fraction of "1e999999999" takes for ever
        raise ValueError
    return Fraction(text)


def _read_switch(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


@dataclass(frozen=True)
class Kind:
    """A kind of value."""

    read: Callable[[str], Any]
    """From text; raises ValueError, LookupError or ZeroDivisionError."""
    accepts: type
    words: str
    """What it is called in an error."""


KINDS: dict[Any, Kind] = {
    bool: Kind(_read_switch, bool, "true or false"),
    int: Kind(int, Integral, "a whole number"),
    float: Kind(float, Real, "a number"),
    str: Kind(str, str, "a name"),
    Size: Kind(Size.parse, Size, "a size such as 640x360"),
    Terms: Kind(Terms.parse, Terms, "an objective such as mixed4c:61"),
    Fraction: Kind(read_rate, Real, "a number such as 30 or 30000/1001"),
}


class Options:
    """Base of the groups of options: checks every field against its kind and bounds.

    Text is read where another kind of value is needed.

    Raises:
      OptionError: A value is of another kind, out of its bounds, or not finite.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value: Any = getattr(self, field.name)
            object.__setattr__(self, field.name, read_option(field, value))

    def animated(self) -> dict[dataclasses.Field, Schedule | Fade | Terms]:
        """The options that are schedules, or hold some."""
        values = ((f, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return {f: value for f, value in values if isinstance(value, Schedule | Fade | Terms)}

    def at(self, time: float, scope: Scope) -> Self:
        """The same with every schedule's value at a moment.

        Args:
          time: In ticks.
          scope: What the schedules may refer to.

        Raises:
          OptionError: A value is out of its bounds.
        """
        moving = {f: s for f, s in self.animated().items() if isinstance(s, Schedule)}
        if not moving:
            return self
        values = {}
        for field, schedule in moving.items():
            try:
                value = schedule.at(time, scope)
            except ScheduleError as error:
                raise _misread(field, error) from None
            values[field.name] = round(value) if kind_of(field) is int else value
        return dataclasses.replace(self, **values)  # type: ignore[type-var]

    def check_over(
        self,
        times: np.ndarray,
        scope: Scope,
        shown: Callable[[dataclasses.Field], str] | None = None,
    ) -> None:
        """Samples every schedule over a clip.

        Args:
          times: float64 (n,), in ticks.
          scope: What the schedules may refer to.
          shown: How an option is called in errors; by its flag where None.

        Raises:
          OptionError: A value is not finite or out of its bounds somewhere.
        """
        name = shown or flag
        for field, schedule in self.animated().items():
            try:
                if isinstance(schedule, Terms):
                    for value in schedule.values:
                        value.over(times, scope)
                    continue
                if isinstance(schedule, Fade):
                    schedule.at(0.0, scope)
                    continue
                values = schedule.over(times, scope)
            except ScheduleError as error:
                mistake = _misread(field, error)
                raise OptionError(name(field), mistake.problem, mistake.excerpt) from None
            if kind_of(field) is int:
                values = np.round(values)
            wrong = np.flatnonzero(_out_of_bounds(field, values))
            if wrong.size:
                place, value = times[wrong[0]], values[wrong[0]]
                raise OptionError(
                    name(field), f"is {value:g} at tick {place:.10g}: it must be {_needed(field)}"
                )


def kind_of(field: dataclasses.Field) -> Any:
    """The type of an option's value: a key of KINDS."""
    return next(k for k in (*get_args(field.type), field.type) if k in KINDS)


def flag(field: dataclasses.Field) -> str:
    """An option's name on the command line."""
    return "--" + field.name.replace("_", "-")


def read_option(field: dataclasses.Field, value: Any) -> Any:
    """An option's value, from text or from any value of its kind.

    Raises:
      OptionError: It is neither, or out of its bounds.
    """
    kind, facts = kind_of(field), field.metadata
    if facts["unset"] and (value is None or value == facts["unset"]):
        return None
    if isinstance(value, str) and (kind is not str or facts["animates"]):
        value = _read(field, value)
    if isinstance(value, Schedule | Fade):
        if facts["animates"]:
            return value
        raise OptionError(flag(field), f"is '{value}': it cannot be a schedule")
    if not isinstance(value, KINDS[kind].accepts) or (isinstance(value, bool) and kind is not bool):
        raise _refusal(field, value)
    if facts["choices"] and value not in facts["choices"]:
        see = f"Known: {', '.join(facts['choices'])}"
        problem = unknown_name(field.name, str(value), facts["choices"], see)
        raise OptionError(flag(field), f"is {value!r}: {problem}")
    numbers = (value.width, value.height) if isinstance(value, Size) else (value,)
    if kind not in (str, bool, Terms) and any(_out_of_bounds(field, number) for number in numbers):
        raise _refusal(field, value)
    # NumPy's numbers too; an int for a float would compile once more.
    whole: dict[Any, Callable[[Any], Any]] = {int: int, float: float, Fraction: _fraction}
    return whole[kind](value) if kind in whole else value


def _fraction(number: Any) -> Fraction:
    rate = Fraction(str(number))  # 29.97 is meant, not the nearest binary fraction
    # 29.97002997 is meant to be 30000/1001; video files have no room for longer numbers.
    return rate if rate.denominator < 10**6 else rate.limit_denominator(1001)


def _read(field: dataclasses.Field, text: str) -> Any:
    kind, animates = kind_of(field), field.metadata["animates"]
    try:
        if kind is str:
            fade = Fade.parse(text)
            return fade.names[0] if len(fade.names) == 1 else fade
        return KINDS[kind].read(text)
    except ScheduleError as error:
        raise _misread(field, error) from None
    except (ValueError, LookupError, ZeroDivisionError):
        # A single word or number is no schedule, but for the word t.
        if not animates or (re.fullmatch(r"[\w.-]*", text) and "t" not in re.split(r"\W", text)):
            raise _refusal(field, text) from None
    try:
        schedule = Schedule.parse(text)
        return schedule if schedule.constant is None else schedule.constant
    except ScheduleError as error:
        raise _misread(field, error) from None


def _misread(field: dataclasses.Field, error: ScheduleError) -> OptionError:
    where = "" if kind_of(field) is Terms else " in its schedule"
    return OptionError(flag(field), f"has a mistake{where}: {error}", error.excerpt())


def _out_of_bounds(field: dataclasses.Field, number: Any) -> Any:
    """Whether a number, or each number of an array, is none or lies beyond the bounds."""
    low, above, high = (field.metadata[name] for name in ("low", "above", "high"))
    wrong = number != number  # not a number
    if low is not None:
        wrong = wrong | (number < low)
    if above is not None:
        wrong = wrong | (number <= above)
    if high is not None:
        wrong = wrong | (number > high)
    return wrong


def _needed(field: dataclasses.Field) -> str:
    kind = kind_of(field)
    needed = KINDS[kind].words + (", each side" if kind is Size else "")
    low, above, high = (field.metadata[name] for name in ("low", "above", "high"))
    if low is not None and high is not None:
        needed += f" from {low} to {high}"
    elif low is not None:
        needed += f" of at least {low}"
    elif above is not None:
        needed += f" above {above}" + (f" and up to {high}" if high is not None else "")
    unset = field.metadata["unset"]
    needed += f", or {unset}" if unset.isalpha() else ""
    return needed + (", or a schedule" if field.metadata["animates"] else "")


def _refusal(field: dataclasses.Field, value: Any) -> OptionError:
    try:
        written = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # Python writes no number of thousands of digits
        written = "a number of thousands of digits"
    if len(written) > 60:
        written = written[:59] + "…"
    return OptionError(flag(field), f"is {written}: it must be {_needed(field)}")
