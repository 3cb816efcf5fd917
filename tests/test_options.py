import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dreamvid.errors import OptionError
from dreamvid.options import Ascent, Camera, Clip, Size, flag, parse
from dreamvid.recipe import CLASSIC, ZOOM


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        *(
            (Ascent, name, value)
            for name in ("steps", "octaves")
            for value in (0, -1, 1.5, math.nan)
        ),
        *((Ascent, "rate", value) for value in (0, -1.5, math.nan, math.inf)),
        *((Ascent, "octave_scale", value) for value in (1, 0, -2, math.nan)),
        *((Ascent, "jitter", value) for value in (-1, 0.5, 2**31)),
        *((Ascent, "layer", value) for value in (4, None)),
        *((Camera, "zoom", value) for value in (0, -1, math.nan, math.inf)),
        *((Camera, "angle", value) for value in (math.nan, math.inf, 1e308)),
        *((Clip, "frames", value) for value in (0, -90, True)),
        *((Clip, "fps", value) for value in (Fraction(0), Fraction(-30))),
        *((Clip, "size", value) for value in (Size(0, 360), Size(640, -2), Size(10**9, 16))),
    ],
)
def test_what_cannot_be_used_is_refused_with_flag_and_value(group: Any, name: str, value: Any):
    with pytest.raises(OptionError) as refusal:
        group(**{name: value})
    message = str(refusal.value)
    assert message.startswith(f"{flag(field_of(group, name))} is {value}: it must be ")


@pytest.mark.parametrize(
    ("group", "name", "text", "value"),
    [
        (Ascent, "steps", "12", 12),
        (Ascent, "rate", "1e-1", 0.1),
        (Clip, "fps", "30000/1001", Fraction(30000, 1001)),
        (Clip, "fps", "29.97", Fraction(2997, 100)),
        (Clip, "size", "640x360", Size(640, 360)),
    ],
)
def test_text_is_read(group: Any, name: str, text: str, value: Any):
    assert parse(field_of(group, name), text) == value


@pytest.mark.parametrize(
    ("group", "name", "text"),
    [
        (Ascent, "steps", "many"),
        (Ascent, "steps", "1.5"),
        (Ascent, "rate", ""),
        (Clip, "fps", "30/0"),
        (Clip, "fps", "nan"),
        (Clip, "fps", "1e999999999"),
        (Clip, "size", "640"),
        (Clip, "size", "axb"),
    ],
)
def test_text_of_another_kind_is_refused(group: Any, name: str, text: str):
    with pytest.raises(OptionError, match="must be"):
        parse(field_of(group, name), text)


def test_a_whole_number_is_a_number_too():
    assert isinstance(Ascent(rate=2).rate, float)
    assert type(Ascent(steps=np.int64(3)).steps) is int  # type: ignore[arg-type]
    assert Clip(fps=30).fps == Fraction(30)  # type: ignore[arg-type]
    assert Clip(fps=29.97).fps == Fraction(2997, 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", [CLASSIC, ZOOM])
def test_every_default_can_be_written_and_read_again(preset: Any):
    for group in vars(preset).values():
        for field in dataclasses.fields(group):
            value = getattr(group, field.name)
            assert value is None or parse(field, str(value)) == value


def field_of(group: Any, name: str) -> dataclasses.Field:
    return next(f for f in dataclasses.fields(group) if f.name == name)
