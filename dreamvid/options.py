"""Every option, as frozen dataclasses; flags, recipes and --help are derived from their fields.

Nothing here needs JAX, so that --help stays quick. An option that cannot be used is refused when
its dataclass is made, before anything compiles.
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


LARGEST_SIDE = 16384
"""Pixels of a clip's longer side; H.264 has no room for more."""


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

    def animated(self) -> dict[dataclasses.Field, Schedule | Fade]:
        """The options that are schedules."""
        values = ((f, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return {f: value for f, value in values if isinstance(value, Schedule | Fade)}

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
            value = schedule.at(time, scope)
            values[field.name] = round(value) if kind_of(field) is int else value
        return dataclasses.replace(self, **values)  # type: ignore[type-var]

    def check_over(self, times: np.ndarray, scope: Scope) -> None:
        """Samples every schedule over a clip.

        Args:
          times: float64 (n,), in ticks.
          scope: What the schedules may refer to.

        Raises:
          OptionError: A value is not finite or out of its bounds somewhere.
        """
        for field, schedule in self.animated().items():
            try:
                if isinstance(schedule, Fade):
                    schedule.at(0.0, scope)
                    continue
                values = schedule.over(times, scope)
            except ScheduleError as error:
                raise _misread(field, error) from None
            if kind_of(field) is int:
                values = np.round(values)
            wrong = np.flatnonzero(_out_of_bounds(field, values))
            if wrong.size:
                place, value = times[wrong[0]], values[wrong[0]]
                raise OptionError(
                    flag(field), f"is {value:g} at frame {place:g}: it must be {_needed(field)}"
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
    if kind not in (str, bool) and any(_out_of_bounds(field, number) for number in numbers):
        raise _refusal(field, value)
    # NumPy's numbers too; an int for a float would compile once more.
    whole: dict[Any, Callable[[Any], Any]] = {int: int, float: float, Fraction: _fraction}
    return whole[kind](value) if kind in whole else value


def _fraction(number: Any) -> Fraction:
    return Fraction(str(number))  # 29.97 is meant, not the nearest binary fraction


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
    return OptionError(flag(field), f"has a mistake in its schedule: {error}", error.excerpt())


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
    written = repr(value) if isinstance(value, str) else value
    return OptionError(flag(field), f"is {written}: it must be {_needed(field)}")


@dataclass(frozen=True)
class General(Options):
    """What every render needs."""

    model: str = option("builtin", "Network: builtin, or a .safetensors file.")
    seed: int = option(0, "Randomness; the same seed gives the same frames.", low=0, high=2**32 - 1)


@dataclass(frozen=True)
class Ascent(Options):
    """The gradient ascent. The defaults are the 2015 program's."""

    layer: str = option(
        "mixed4c",
        "Layer of the network to dream of (see: dreamvid layers), or a schedule of several.",
        animates=True,
    )
    steps: int = option(
        10, "Steps of the ascent in each octave.", low=0, high=100_000, animates=True
    )
    rate: float = option(
        1.5,
        "Mean change a step makes to a pixel, in 8-bit levels.",
        low=0,
        high=255,
        animates=True,
    )
    octaves: int = option(
        4, "Scales to dream at, the picture's own among them.", low=1, high=100, animates=True
    )
    octave_scale: float = option(
        1.4, "Size of each octave over the next smaller one.", above=1, high=10
    )
    jitter: int = option(
        32,
        "Largest random shift of the picture in a step, in pixels.",
        low=0,
        high=10_000,
        animates=True,
    )


@dataclass(frozen=True)
class Anchors(Options):
    """What keeps an endless clip near its beginning."""

    anchor_tone: float = option(
        1.0,
        "How far brightness, contrast and colourfulness are led back to the source's in 1/30 s.",
        low=0,
        high=1,
        animates=True,
    )
    anchor_sharpness: float = option(
        0.3,
        "How far fine detail is led back to what it was at the start in 1/30 s.",
        low=0,
        high=1,
        animates=True,
    )
    anchor_range: float = option(
        0.03,
        "How far from black and white values begin to be bent away from them.",
        low=0,
        high=0.5,
        animates=True,
    )
    colour: float = option(
        1.2,
        "Colourfulness that the anchor holds, as a multiple of the source's.",
        low=0,
        high=10,
        animates=True,
    )


@dataclass(frozen=True)
class Clip(Options):
    """The shape of the clip."""

    frames: int | None = option(
        90,
        "Length of the clip in frames; endless makes numbered files until it is stopped.",
        low=1,
        high=10**9,
        unset="endless",
    )
    fps: Fraction = option(Fraction(30), "Frames a second.", low=1, high=1000)
    size: Size | None = option(
        None,
        "Width x height in even pixels; the picture is scaled and cut to fill it.",
        low=16,
        high=LARGEST_SIDE,
        unset="the picture's shape, of 640x360's area",
    )
    loop: str = option(
        "none",
        "How the end meets the beginning: none, closed (without a seam), or pingpong (back again).",
        choices=("none", "closed", "pingpong"),
    )
    overlap: int = option(
        30, "Frames over which a closed loop returns to its beginning.", low=2, high=10_000
    )
    strength: str = option(
        "frame",
        "What the dream's rate goes by: each frame, or the camera's clock of 1/30 s.",
        choices=("frame", "clock"),
    )
    draft: bool = option(
        False, "Dream key frames only and zoom between them: much quicker, less alive."
    )
    part: int = option(900, "Frames in each file of an endless clip.", low=1, high=10**6)
    audio: str | None = option(
        None, "A sound that schedules can follow, muxed into the clip.", unset="silence"
    )


@dataclass(frozen=True)
class Output(Options):
    """How the finished clip is encoded; what is unset, the format of the file decides."""

    codec: str | None = option(
        None, "Codec, one of those of the file's format.", unset="the format's first"
    )
    crf: int | None = option(
        None, "Quality of the codec, lower is better.", low=0, high=63, unset="the codec's own"
    )
    preset: str | None = option(
        None, "Speed preset of the encoder, in its own words.", unset="the codec's own"
    )
    pix_fmt: str | None = option(None, "Pixel format, in ffmpeg's words.", unset="the codec's own")
