"""Schedules mean what Deforum's users expect, and refuse all else at the place where it stands."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from dreamvid.errors import ScheduleError
from dreamvid.schedule import Fade, Schedule, Scope
from small import assert_refused, least_seconds

CLIP = Scope(length=120, seed=7)
ENDLESS = Scope()


def short(value: object) -> str:
    """A test's name, where its text would be too long for one."""
    return repr(value)[:30]


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # values at ticks 0, 15, 30, 45 and 120
        ("0:(2)", [2] * 5),
        ("0:(1), 30:(2)", [1, 1.5, 2, 2, 2]),
        ("30:(2), 0:(1)", [1, 1.5, 2, 2, 2]),
        (" 0 : ( 1 ) ,\n\t30 : ( 2 ) , \n", [1, 1.5, 2, 2, 2]),
        ("15:(1), 45:(4)", [1, 1, 2.5, 4, 4]),
        ("0:('1'), 30:(\"1+1\")", [1, 1.5, 2, 2, 2]),
        ("0:(1), 1s:(2)", [1, 1.5, 2, 2, 2]),
        ("0:(1), 0.5 s:(2)", [1, 2, 2, 2, 2]),
        ("0:(0), 100%:(120)", [0, 15, 30, 45, 120]),
        ("0:(0), 12.5%:(1)", [0, 1, 1, 1, 1]),
        ("0:(0), max_f:(119)", [0, 15, 30, 45, 119]),
        ("0:(0), (max_f+1)/2:(60)", [0, 15, 30, 45, 60]),
        ("-15:(0), 15:(2)", [1, 2, 2, 2, 2]),
        # An expression of t is followed until the next key; numbers lead up to its first value.
        ("0:(t), 30:(2*t)", [0, 15, 60, 90, 240]),
        ("0:(0), 30:(t)", [0, 15, 30, 45, 120]),
        ("0:(t), 30:(1), 60:(2)", [0, 15, 1, 1.5, 2]),
        ("15:(t)", [15, 15, 30, 45, 120]),
        # What does not move is interpolated, whatever it is made of.
        ("0:(s), 30:(max_f)", [7, 63, 119, 119, 119]),
        ("0:(sin(0)), 30:(2**3)", [0, 4, 8, 8, 8]),
        ("0:(1+audio('low')), 45:(3)", [1, 1.5, 2, 3, 3]),
    ],
)
def test_a_text_means(text: str, expected: list[float]):
    low = np.minimum(np.arange(31) / 30, 1.0)
    scope = Scope(length=120, seed=7, signals={"low": low})
    values = Schedule.parse(text).over(np.array([0.0, 15, 30, 45, 120]), scope)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, atol=1e-12)


TEXTS = [
    "1.02",
    "1+0.1*sin(t)",
    "0:(1.0), 30:(1.02+0.01*sin(t/10)), max_f:(1)",
    "0:(1) ease_in, 20:(3) hold, 50:(2) cubic_bezier(0.1, -1, 1/3, 2), 90:(t**1.5), 95:(0)",
    "10:(t < 30 & t > 3), 50%:(s)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_many_moments_at_once_are_each_as_alone(text: str):
    schedule = Schedule.parse(text)
    times = np.linspace(-10, 140, 302).reshape(2, 151)
    values = schedule.over(times, CLIP)
    assert values.shape == times.shape
    alone = [[schedule.at(moment, CLIP) for moment in row] for row in times.tolist()]
    np.testing.assert_allclose(values, alone, rtol=1e-13)
    assert schedule.over(np.zeros((0, 3)), CLIP).shape == (0, 3)


@pytest.mark.parametrize(
    "easing",
    ["linear", "ease_in", "ease_out", "ease_in_out", "cubic_bezier(0.7, 0, 0.1, 1)", "hold", ""],
)
def test_an_easing_leads_from_key_to_key_without_turning_back(easing: str):
    schedule = Schedule.parse(f"0:(1) {easing}, 60:(3), 90:(3)")
    values = schedule.over(np.linspace(0, 60, 601), CLIP)
    assert (values[0], values[-1]) == (1, 3)
    assert np.all(np.diff(values) >= 0)
    before_next = schedule.at(59.999, CLIP)
    assert before_next == pytest.approx(1 if easing == "hold" else 3, abs=1e-3)


@pytest.mark.parametrize(
    ("easing", "curve"),
    [
        ("ease_in", (0.42, 0, 1, 1)),
        ("ease_out", (0, 0, 0.58, 1)),
        ("ease_in_out", (0.42, 0, 0.58, 1)),
        ("cubic_bezier(0.2, -0.5, 0.8, 1.5)", (0.2, -0.5, 0.8, 1.5)),
    ],
)
def test_easings_are_those_of_css(easing: str, curve: tuple[float, float, float, float]):
    s = np.linspace(0, 1, 33)  # points of the curve, which the schedule must run through
    x1, y1, x2, y2 = curve
    x = 3 * (1 - s) ** 2 * s * x1 + 3 * (1 - s) * s**2 * x2 + s**3
    y = 3 * (1 - s) ** 2 * s * y1 + 3 * (1 - s) * s**2 * y2 + s**3
    values = Schedule.parse(f"0:(0) {easing}, 60:(1)").over(60 * x, CLIP)
    np.testing.assert_allclose(values, y, atol=1e-5)


def test_ease_in_is_ease_out_backwards():
    times = np.linspace(0, 60, 61)
    there = Schedule.parse("0:(0) ease_in, 60:(1)").over(times, CLIP)
    back = Schedule.parse("0:(1) ease_out, 60:(0)").over(60 - times, CLIP)
    np.testing.assert_allclose(there, back, atol=1e-9)
    assert np.all(there[1:-1] < times[1:-1] / 60)


def test_the_text_is_the_identity():
    text = TEXTS[3]
    schedule = Schedule.parse(text)
    assert (str(schedule), schedule.text) == (text, text)
    assert schedule == Schedule.parse(text) != Schedule.parse(text + " ")
    assert len({schedule, Schedule.parse(text), Fade.parse("a")}) == 2
    assert schedule != text
    assert len(repr(Schedule.parse("1+" * 100 + "1"))) < 60
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert twin.at(10, CLIP) == schedule.at(10, CLIP)


@pytest.mark.parametrize(
    ("text", "constant"),
    [("1.5", 1.5), ("-1/4", -0.25), ("t", None), ("0:(1), 9:(2)", None), ("s", None)],
)
def test_a_constant_is_known_without_a_scope(text: str, constant: float | None):
    assert Schedule.parse(text).constant == constant


def test_a_schedule_says_which_signals_it_uses():
    text = "0:(audio('low') + audio(\"onset\")), 9:(sin(audio('low')))"
    assert Schedule.parse(text).uses == {"low", "onset"}
    assert Schedule.parse("1").uses == frozenset()


def test_each_scope_gives_its_own_values():
    schedule = Schedule.parse("0:(s), 100%:(max_f)")
    one, other = Scope(length=10, seed=1), Scope(length=20, seed=2)
    assert [schedule.at(10, scope) for scope in (one, other, one)] == [9, 10.5, 9]
    loud, soft = (Scope(signals={"low": np.full(9, level)}) for level in (1.0, 0.25))
    heard = Schedule.parse("audio('low')")
    assert [heard.at(3, scope) for scope in (loud, soft)] == [1, 0.25]


HOSTILE = [  # a text, where it goes wrong, and what is said
    ("", 0, "the schedule is empty"),
    (" \n ", 0, "the schedule is empty"),
    ("1 + (2", 4, "this parenthesis is never closed"),
    ("0:(1.0, 30:(2)", 2, "this parenthesis is never closed"),
    ("1)", 1, "this parenthesis was never opened"),
    ("0:(1)), 3:(1)", 5, "this parenthesis was never opened"),
    ("0:('1)", 3, "this quote is never closed"),
    ("(" * 10000, 0, "this parenthesis is never closed"),
    ("0:1", 2, "a value in parentheses is missing"),
    ("0:", 2, "a value in parentheses is missing"),
    (":(1)", 0, "a key is missing before the colon"),
    ("0:(1),,3:(2)", 6, "a key is missing here"),
    ("0:(1), 5", 7, "this value has no key"),
    ("0:(1) 30:(2)", 6, "is neither a comma nor"),
    ("0:(1):(2)", 5, "neither a comma nor an easing"),
    ("0:(1)*2", 5, "neither a comma nor an easing"),
    ("0:(1) easein, 9:(2)", 6, r"unknown easing 'easein'. Did you mean 'ease_in'\?"),
    ("0:(t) ease_in, 9:(2)", 6, "an easing leads from a constant value"),
    ("0:(1) cubic_bezier(0, 1), 9:(2)", 6, "takes four numbers"),
    ("0:(1) cubic_bezier(0, 1, 2, 1), 9:(2)", 25, "x is from 0 to 1"),
    ("0:(1) cubic_bezier(0, 1e300, 1, 1)", 22, "y is from -100 to 100"),
    ("0:(1), 0:(2)", 7, "two keys are at tick 0"),
    ("30:(1), 0:(2), 60/2:(3)", 15, "two keys are at tick 30"),
    ("t:(1)", 0, "a key's moment cannot change"),
    ("0:(1), 1/0:(2)", 7, "is inf, not a finite number"),
    ("0:(1), 1e200:(2)", 7, "beyond any clip"),
    ("0:(1), tt:(2)", 7, "unknown name 'tt'"),
]


@pytest.mark.parametrize(("text", "position", "message"), HOSTILE, ids=short)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, position: int, message: str):
    assert_refused(text, position, message)


@pytest.mark.parametrize(
    ("text", "scope", "position", "message"),
    [
        ("max_f", ENDLESS, 0, "max_f needs a clip that ends"),
        ("0:(1), max_f/2:(2)", ENDLESS, 7, "max_f needs a clip that ends"),
        ("0:(1), 50%:(2)", ENDLESS, 7, "50% needs a clip that ends"),
        ("0:(1), 4s:(2), 100%:(3)", CLIP, 15, "two keys are at tick 120"),
        ("0:(1), 1/(s-7):(3)", CLIP, 7, "beyond any clip"),
        ("1+audio('low')", CLIP, 8, "needs a sound: give one with --audio"),
        ("audio('lo')", Scope(signals={"low": np.ones(1)}), 6, r"'lo'. Did you mean 'low'\?"),
        ("0:(1), 5:(1/(t-10))", CLIP, 10, "the value at tick 10 is inf, not a finite number"),
        ("log(t-11)", CLIP, 0, "the value at tick 10 is nan, not a finite number"),
        ("csv('none.csv')", CLIP, 4, "there is no file at none.csv"),
    ],
)
def test_what_a_scope_lacks_is_refused(text: str, scope: Scope, position: int, message: str):
    schedule = Schedule.parse(text)
    for value in (lambda: schedule.at(10, scope), lambda: schedule.over(np.array([10.0]), scope)):
        with pytest.raises(ScheduleError, match=message) as caught:
            value()
        assert (caught.value.text, caught.value.position) == (text, position)


def test_keys_in_seconds_need_no_end():
    assert Schedule.parse("0:(1), 2s:(3)").at(30, ENDLESS) == 2
    assert Schedule.parse("0:(1), 2s:(3)").at(30, Scope(fps=60.0)) == 1.5


@pytest.mark.parametrize(
    "text",
    [
        ", ".join(f"{i}:({i % 7}.5)" for i in range(800)),
        ", ".join(f"{i}:(sin(t/{i + 1}))" for i in range(500)),
        ", ".join(f"{i}:(1) cubic_bezier(0,0,1,{i}/300)" for i in range(280)),
        "+".join(["sin(t/10)*2"] * 850),
        "0:(" + "1 " + " " * 10000 + ")",
        ", ".join(f"{i}:({i})" for i in range(5000)),
    ],
    ids=short,
)
def test_long_texts_are_quick(text: str):
    assert least_seconds(lambda: Schedule.parse(text)) < 0.5
    assert least_seconds(lambda: Schedule.parse(text).over(np.arange(3000.0), CLIP)) < 1.5


@pytest.mark.parametrize(
    "text",
    ["('" * 5000, "\"'" * 5000, ":," * 5000, "1" * 5000 + "e" * 5000, "1 " * 5000, "0:(" * 3333],
    ids=short,
)
def test_long_nonsense_is_refused_quickly(text: str):
    def refused() -> None:
        with pytest.raises(ScheduleError):
            Schedule.parse(text)

    assert least_seconds(refused) < 0.5


def test_schedules_import_without_jax():
    code = "import sys, dreamvid.schedule; sys.exit('jax' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        "mixed4c",
        "0:(mixed4c), 60:(mixed3b) ease_in_out, 120:(mixed4c)",
        "0:(a/b.c-d) cubic_bezier(0.5, -2, 0.5, 3), 50%:('_x'), 100%:(a/b.c-d)",
        "10:(a) hold, 20:(b), 20.5:(c)",
    ],
)
def test_a_fade_is_always_whole(text: str):
    fade = Fade.parse(text)
    assert str(fade) == text
    for moment in np.linspace(-10, 140, 61):
        weights = fade.at(moment, CLIP)
        assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
        assert all(0 < weight <= 1 for weight in weights.values())
        assert set(weights) <= set(fade.names)


def test_a_fade_leads_from_name_to_name():
    fade = Fade.parse("0:(mixed4c), 60:(mixed3b) hold, 120:(mixed4c), 150:(mixed4c)")
    assert fade.names == ("mixed4c", "mixed3b")
    assert [fade.position_of(name) for name in fade.names] == [3, 17]
    assert fade.at(-1, CLIP) == fade.at(0, CLIP) == {"mixed4c": 1}
    assert fade.at(15, CLIP) == {"mixed4c": 0.75, "mixed3b": 0.25}
    assert fade.at(60, CLIP) == fade.at(119, CLIP) == {"mixed3b": 1}
    assert fade.at(120, CLIP) == fade.at(135, CLIP) == fade.at(999, CLIP) == {"mixed4c": 1}
    assert Fade.parse("mixed4c").at(5, ENDLESS) == {"mixed4c": 1}


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "the schedule is empty"),
        ("mixed 4c", 0, "is not a name"),
        ("0:(a), 5:(4c)", 10, "'4c' is not a name"),
        ("0:(a), 5:()", 10, "'' is not a name"),
        ("0:(a), 0:(b)", 7, "two keys are at tick 0"),
        ("0:(a) eased, 3:(b)", 6, "unknown easing 'eased'"),
        ("a, b", 0, "is not a name"),
        ("0:(a\0)", 3, "is not a name"),
    ],
)
def test_a_fade_that_cannot_be_read_is_refused(text: str, position: int, message: str):
    with pytest.raises(ScheduleError, match=message) as caught:
        Fade.parse(text)
    assert (caught.value.text, caught.value.position) == (text, position)


def test_values_stay_finite_or_are_refused():
    assert math.isfinite(Schedule.parse("0:(1e308), 9:(-1e307)").at(4, CLIP))
    with pytest.raises(ScheduleError, match="the value at tick 4 is"):
        Schedule.parse("0:(1e308), 9:(-1e308)").at(4, CLIP)
