"""Every option, as frozen dataclasses; flags, recipes and --help are derived from their fields.

Nothing here needs JAX, so that --help stays quick. An option that cannot be used is refused when
its dataclass is made, before anything compiles.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, get_args

from dreamvid.errors import OptionError


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    unset: str = "",
) -> Any:
    """A dataclass field with what a user needs to know about it.

    Args:
      default: The value where the user says nothing.
      help: What it does, with its unit.
      low: The least value, itself allowed.
      above: A bound that the value must exceed.
      high: The greatest value, itself allowed.
      unset: What None stands for, where that is the default.
    """
    metadata = {"help": help, "low": low, "above": above, "high": high, "unset": unset}
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


# How each kind of value is read from text, and what it is called when that fails.
KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "a name"),
    Size: (Size.parse, "a size such as 640x360"),
    Fraction: (read_rate, "a number such as 30 or 30000/1001"),
}


class Options:
    """Base of the groups of options: checks every field against its kind and bounds.

    Raises:
      OptionError: A value is of another kind, out of its bounds, or not finite.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value: Any = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            _check(field, value)
            kind = kind_of(field)
            if kind in (int, float):  # NumPy's too; an int for a float would compile once more
                object.__setattr__(self, field.name, kind(value))  # type: ignore[arg-type]
            elif kind is Fraction:
                object.__setattr__(self, field.name, Fraction(str(value)))


def kind_of(field: dataclasses.Field) -> Any:
    """The type of an option's value: a key of KINDS."""
    return next(k for k in (*get_args(field.type), field.type) if k in KINDS)


def flag(field: dataclasses.Field) -> str:
    """An option's name on the command line."""
    return "--" + field.name.replace("_", "-")


def parse(field: dataclasses.Field, text: str) -> Any:
    """The value that a user wrote for an option; bounds are checked by its dataclass.

    Raises:
      OptionError: The text is no value of the option's kind.
    """
    read, _ = KINDS[kind_of(field)]
    try:
        return read(text)
    except (ValueError, ZeroDivisionError):
        raise _refusal(field, text) from None


def _check(field: dataclasses.Field, value: Any) -> None:
    kind = kind_of(field)
    accepted = {int: Integral, float: Real, Fraction: Real}.get(kind, kind)
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise _refusal(field, value)
    numbers = (value.width, value.height) if kind is Size else (value,)
    bounds = field.metadata
    for number in numbers if kind is not str else ():
        if (
            (bounds["low"] is not None and number < bounds["low"])
            or (bounds["above"] is not None and number <= bounds["above"])
            or (bounds["high"] is not None and number > bounds["high"])
            or number != number  # not a number
        ):
            raise _refusal(field, value)


def _refusal(field: dataclasses.Field, value: Any) -> OptionError:
    kind = kind_of(field)
    needed = KINDS[kind][1] + (", each side" if kind is Size else "")
    low, above, high = (field.metadata[name] for name in ("low", "above", "high"))
    if low is not None and high is not None:
        needed += f" from {low} to {high}"
    elif low is not None:
        needed += f" of at least {low}"
    elif above is not None:
        needed += f" above {above}" + (f" and up to {high}" if high is not None else "")
    written = repr(value) if isinstance(value, str) else value
    return OptionError(f"{flag(field)} is {written}: it must be {needed}")


@dataclass(frozen=True)
class General(Options):
    """What every render needs."""

    model: str = option("builtin", "Network: builtin, or a .safetensors file.")
    seed: int = option(0, "Randomness; the same seed gives the same frames.", low=0, high=2**32 - 1)


@dataclass(frozen=True)
class Ascent(Options):
    """The gradient ascent. The defaults are the 2015 program's."""

    layer: str = option("mixed4c", "Layer of the network to dream of; see: dreamvid layers.")
    steps: int = option(10, "Steps of the ascent in each octave.", low=1, high=100_000)
    rate: float = option(
        1.5, "Mean change a step makes to a pixel, in 8-bit levels.", above=0, high=255
    )
    octaves: int = option(4, "Scales to dream at, the picture's own among them.", low=1, high=100)
    octave_scale: float = option(
        1.4, "Size of each octave over the next smaller one.", above=1, high=10
    )
    jitter: int = option(
        32, "Largest random shift of the picture in a step, in pixels.", low=0, high=10_000
    )


@dataclass(frozen=True)
class Camera(Options):
    """How the picture moves from frame to frame.

    Zoom and angle are those of one thirtieth of a second, so that a clip moves the same at any
    frame rate.
    """

    zoom: float = option(
        1.02, "Growth of the picture in 1/30 s; below 1 zooms out.", low=0.5, high=2
    )
    angle: float = option(
        0.3, "Turn in 1/30 s, in degrees; positive is counter-clockwise.", low=-360, high=360
    )


@dataclass(frozen=True)
class Anchors(Options):
    """What keeps an endless zoom from running away from its source."""

    anchor_tone: float = option(
        0.2,
        "How far brightness, contrast and colour are led back to the source's in 1/30 s.",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class Clip(Options):
    """The shape of the clip."""

    frames: int = option(90, "Length of the clip, in frames.", low=1, high=10**9)
    fps: Fraction = option(Fraction(30), "Frames a second.", low=1, high=1000)
    size: Size | None = option(
        None,
        "Width x height in even pixels; the picture is scaled and cut to fill it.",
        low=16,
        high=LARGEST_SIDE,
        unset="the picture's shape, of 640x360's area",
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
