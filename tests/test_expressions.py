"""Arithmetic in text means what it says, and nothing else can be smuggled into it."""

from pathlib import Path

import numpy as np
import pytest

from dreamvid.errors import ScheduleError
from dreamvid.schedule import Schedule, Scope
from small import assert_refused, least_seconds


def short(value: object) -> str:
    """A test's name, where its text would be too long for one."""
    return repr(value)[:30]


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # values at ticks 0, 15, 30, 45 and 120
        ("1.02", [1.02] * 5),
        ("-1/3", [-1 / 3] * 5),
        (" \n1e-2\t", [0.01] * 5),
        ("t", [0, 15, 30, 45, 120]),
        ("1+0.1*sin(t)", 1 + 0.1 * np.sin([0, 15, 30, 45, 120])),
        ("7 // 2 + 7 % 4 - 2 ** 3 ** 0", [4] * 5),
        ("-7 % 4 + +1", [2] * 5),
        ("10 - 4 - 3 + 2 * 3 / 4", [4.5] * 5),
        ("-2 ** 2", [-4] * 5),
        ("t > 15", [0, 0, 1, 1, 1]),
        ("15 <= t < 45", [0, 1, 1, 0, 0]),
        ("t == 15 or t != 15 and not t", [1, 1, 0, 0, 0]),
        ("(t > 0) & ~(t > 30) | (t == 120)", [0, 1, 1, 0, 1]),
        ("(t > 0) - (t > 30)", [0, 1, 1, 0, 0]),
        ("where(t < 30, 1/(t-30), 5)", [-1 / 30, -1 / 15, 5, 5, 5]),
        ("1 if t < 20 else 2 if t < 40 else 3", [1, 1, 2, 3, 3]),
        ("min(t, 40, 60) + max(3, 1)", [3, 18, 33, 43, 43]),
        ("sin(pi/2) + cos(0) + tan(0) + log(e) + exp(0) + sqrt(4) + abs(-1)", [7] * 5),
        ("asin(1)-arcsin(1) + acos(.5)-arccos(.5) + atan(2)-arctan(2)", [0] * 5),
        ("floor(-0.5) + ceil(0.5)", [0] * 5),
        ("exp(-9**9**9)", [0] * 5),
        ('audio("low")', [0, 0.5, 1, 1, 1]),
    ],
)
def test_an_expression_means(text: str, expected: list[float]):
    low = np.minimum(np.arange(31) / 30, 1.0)
    scope = Scope(length=120, seed=7, signals={"low": low})
    values = Schedule.parse(text).over(np.array([0.0, 15, 30, 45, 120]), scope)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, atol=1e-12)


HOSTILE = [  # a text, where it goes wrong, and what is said
    ("__import__('os')", 0, "unknown name '__import__'"),
    ("0:(1), 30:(__import__('os').system('ls'))", 11, "unknown name '__import__'"),
    ("1 + t.real", 5, "'.' cannot be used"),
    ("sin(t)[0]", 6, r"'\[' cannot be used"),
    ("0:(lambda: t)", 3, "unknown name 'lambda'"),
    ("1 + (t for t in t)", 7, "an operator is missing before 'for'"),
    ("[t]", 0, r"'\[' cannot be used"),
    ("(t := 1)", 3, "':' cannot be used"),
    ("1 if True else 2", 5, "unknown name 'True'"),
    ("f'{t}'", 0, "unknown name 'f'"),
    ("'t' + 1 'x'", 8, "an operator is missing"),
    ("sin(*t)", 4, "cannot be used in a schedule"),
    ("sin(**t)", 0, "cannot be used in a schedule"),
    ("sin(x=1)", 4, "unknown name 'x'"),
    ("9**9**9", 0, "is inf, not a finite number"),
    ("0:(1), 1:(1/0)", 10, "is inf, not a finite number"),
    ("9" * 5000, 0, "is inf, not a finite number"),
    ("t + " + "9" * 5000, 4, "is too large"),
    ("1 + sinn(t)", 4, r"unknown name 'sinn'. Did you mean 'sin'\?"),
    ("z" * 9000, 0, "unknown name 'z+…'"),
    ("2 * sin(1, 2)", 4, r"sin\(\) takes 1 argument, not 2"),
    ("where(t, 1)", 0, r"where\(\) takes 3 arguments, not 2"),
    ("min()", 0, r"min\(\) takes an argument or more, not 0"),
    ("csv('a', 'b', 'c')", 0, r"csv\(\) takes 1 or 2 arguments, not 3"),
    ("1 + sin", 4, r"sin is a function: write sin\(…\)"),
    ("pi(2)", 0, "pi is a number, not a function"),
    ("audio(low)", 6, "unknown name 'low'"),
    ("audio(t)", 6, "takes names in quotes"),
    ("t + 'low' ", 4, "text in quotes belongs in"),
    ("(" * 5000 + "1" + ")" * 5000, 50, "nested more than 50 deep"),
    ("-" * 10000 + "1", 0, "too long or nested too deeply"),
    ("~" * 60 + "1", 51, "nested more than 50 deep"),
    ("2" + "**2" * 3000, 0, "too long or nested too deeply"),
    ("1+\0", 2, r"'\\x00' cannot be used"),
    ("1 + é", 4, "'é' cannot be used"),
    ("0:(1),\xa030:(2)", 6, r"'\\xa0' cannot be used"),
    ("audio('é') + \ud800", 13, "cannot be used"),
    ("audio('é') + * 2", 13, r"'\*' cannot stand here"),
    ("audio('a\nb')", 8, "cannot be in a name"),
    ("csv('a\\b')", 6, "cannot be in a name: paths take /"),
    ("2^3", 1, r"write \*\* for a power"),
    ("t = 3", 2, "write == to compare"),
    ("1 << 2", 2, "'<' cannot be used"),
    ("1 2", 2, "an operator is missing before '2'"),
    ("0x10", 1, "an operator is missing before 'x10'"),
    ("1 +", 3, "breaks off here"),
    ("0:(1 +), 3:(1)", 6, "breaks off here"),
    ("1 + * 2", 4, r"'\*' cannot stand here"),
    ("1 if t", 0, "an if needs its else"),
    ("3 * ()", 5, "a value is missing in these parentheses"),
    ("1,02", 1, "a comma cannot stand here"),
    ("0:(1,02)", 4, "a comma cannot stand here"),
    ("0:()", 3, "a value is missing here"),
]


@pytest.mark.parametrize(("text", "position", "message"), HOSTILE, ids=short)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, position: int, message: str):
    assert_refused(text, position, message)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("csv('curve.csv', 'zoom')", [1, 1.5, 2, 4, 4]),
        ("csv('curve.csv', 2)", [1, 1.5, 2, 4, 4]),
        ("csv('curve.csv')", [1, 1.5, 2, 4, 4]),
        ("csv('curve.csv', 'größe')", [5, 5.5, 6, 7, 7]),
        ("csv('bare.txt')", [3, 3.5, 4, 4, 4]),
        ("csv('semicolons.csv', 'b')", [2, 3, 4, 4, 4]),
    ],
)
def test_a_table_gives_a_value_a_tick(tmp_path: Path, call: str, expected: list[float]):
    table = "\ufeffname, zoom, größe\nx,1,5\n\ny,2,6\nz,4,7\n"
    (tmp_path / "curve.csv").write_text(table, encoding="utf-8")
    (tmp_path / "bare.txt").write_text("3\n4")
    (tmp_path / "semicolons.csv").write_text("a;b\r\n1;2\r\n3;4\r\n")
    scope = Scope(folder=tmp_path)
    schedule = Schedule.parse(call)
    times = np.array([0, 0.5, 1, 2, 99])
    np.testing.assert_allclose(schedule.over(times, scope), expected)
    for path in tmp_path.iterdir():  # read once for a scope, anew for another
        path.unlink()
    np.testing.assert_allclose(schedule.over(times, scope), expected)
    with pytest.raises(ScheduleError, match="there is no file"):
        schedule.over(times, Scope(folder=tmp_path))


@pytest.mark.parametrize(
    ("content", "call", "message"),
    [
        ("", "csv('x.csv')", "holds no numbers"),
        ("a,b\n", "csv('x.csv')", "holds no numbers"),
        ("a,b\nc,d\n", "csv('x.csv', 'a')", "holds no numbers"),
        ("zoom,b\n1,2\n", "csv('x.csv', 'zom')", r"Did you mean 'zoom'\?"),
        ("1,2\n", "csv('x.csv', 'zoom')", "without names"),
        ("1,2\n", "csv('x.csv', 3)", "has columns 1 to 2, not 3"),
        ("1,2\n", "csv('x.csv', 0)", "has columns 1 to 2, not 0"),
        ("1\n2\nx\n", "csv('x.csv')", "row 3: 'x' is not a finite number"),
        ("a\n1\nnan\n", "csv('x.csv')", "row 3: 'nan' is not a finite number"),
        ("1,2\n3\n", "csv('x.csv', 2)", "row 2: '' is not a finite number"),
        ("\0\1", "csv('x.csv')", "holds no numbers|cannot be read"),
        ("1\n" + "9" * 200_000, "csv('x.csv')", "cannot be read"),
        ("1\n" * 9_000_000, "csv('x.csv')", "larger than 16 MiB"),
        ("1", "csv('.')", "there is no file"),
        ("1", "csv('/dev/zero')", "there is no file"),
        ("1", f"csv('{'x' * 5000}')", "cannot be read"),
    ],
    ids=short,
)
def test_a_table_that_will_not_do_is_refused(tmp_path: Path, content: str, call: str, message: str):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(ScheduleError, match=message) as caught:
        Schedule.parse(call).at(0, Scope(folder=tmp_path))
    assert caught.value.position == 4
    assert "\n" not in str(caught.value)


def test_a_comparison_of_comparisons_is_quick():
    text = "t"
    for _ in range(40):
        text = f"0<({text})<2"
    assert Schedule.parse(text).at(1, Scope()) == 1
    assert least_seconds(lambda: Schedule.parse(text).at(1, Scope())) < 0.5
