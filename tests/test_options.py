import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dreamvid.camera import Zoom as Camera
from dreamvid.errors import OptionError
from dreamvid.fields import Options, Size, flag, read_option
from dreamvid.options import Anchors, Ascent, Clip
from dreamvid.recipe import CLASSIC, ZOOM
from dreamvid.schedule import Fade, Schedule, Scope


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        *((Ascent, name, value) for name in ("steps", "octaves") for value in (-1, 1.5, math.nan)),
        (Ascent, "octaves", 0),
        *((Ascent, "rate", value) for value in (-1.5, math.nan, math.inf)),
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
    assert read_option(field_of(group, name), text) == value


@pytest.mark.parametrize(
    ("group", "name", "text"),
    [
        (Ascent, "steps", "many"),
        (Ascent, "rate", "--1"),
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
        read_option(field_of(group, name), text)


def test_a_whole_number_is_a_number_too():
    assert isinstance(Ascent(rate=2).rate, float)
    assert type(Ascent(steps=np.int64(3)).steps) is int  # type: ignore[arg-type]
    assert Clip(fps=30).fps == Fraction(30)  # type: ignore[arg-type]
    assert Clip(fps=29.97).fps == Fraction(2997, 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", [CLASSIC, ZOOM])
def test_every_default_can_be_written_and_read_again(preset: Any):
    for group in preset.groups.values():
        for field in dataclasses.fields(group):
            value = getattr(group, field.name)
            text = field.metadata["unset"] if value is None else str(value)
            assert read_option(field, text) == value


def test_endless_is_a_length():
    assert Clip(frames="endless").frames is None  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="from 1 to 1000000000, or endless"):
        Clip(frames="for ever")  # type: ignore[arg-type]


def test_a_choice_is_one_of_few():
    with pytest.raises(OptionError, match=r"--loop is 'close'.*Did you mean 'closed'"):
        Clip(loop="close")


def test_what_animates_takes_a_schedule_and_what_does_not_refuses_it():
    assert isinstance(Ascent(rate="1+t/30").rate, Schedule)  # type: ignore[arg-type]
    assert isinstance(Ascent("0:(mixed4c), 30:(mixed3b)").layer, Fade)
    assert Ascent("0:(mixed4c)").layer == "mixed4c"
    assert Ascent(rate="3/2").rate == 1.5  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"--octave-scale is '1\.4\+t'"):
        Ascent(octave_scale="1.4+t")  # type: ignore[arg-type]


def test_a_moment_has_numbers_in_place_of_schedules():
    ascent = Ascent(rate="0:(1), 10:(3)", steps="2+t/4")  # type: ignore[arg-type]
    moment = ascent.at(5.0, Scope())
    assert (moment.rate, moment.steps) == (2.0, 3)
    assert type(moment.steps) is int
    plain = Ascent()
    assert plain.at(5.0, Scope()) is plain


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Anchors(anchor_tone="t/10"), "--anchor-tone is 1.1 at tick 11: it must be"),  # type: ignore[arg-type]
        (Ascent(steps="3-t"), "--steps is -1 at tick 4: it must be"),  # type: ignore[arg-type]
        (Ascent(rate="log(t-3)"), "not a finite number"),  # type: ignore[arg-type]
        (Ascent(rate="audio('low')"), "audio"),  # type: ignore[arg-type]
    ],
)
def test_a_schedule_that_leaves_its_bounds_is_refused_beforehand(options: Options, complaint: str):
    with pytest.raises(OptionError) as refusal:
        options.check_over(np.arange(30.0), Scope(30.0))
    assert complaint in str(refusal.value)


def test_a_mistake_in_a_schedule_shows_its_place():
    with pytest.raises(OptionError) as refusal:
        Ascent(rate="1 + 2*sinn(t)")  # type: ignore[arg-type]
    assert str(refusal.value).startswith("--rate has a mistake in its schedule: ")
    text, caret = refusal.value.excerpt.split("\n")
    assert text[caret.index("^") :].startswith("sinn")


def field_of(group: Any, name: str) -> dataclasses.Field:
    return next(f for f in dataclasses.fields(group) if f.name == name)
