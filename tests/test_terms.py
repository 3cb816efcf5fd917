"""The language of objectives: what a text means, and where its mistakes are."""

import time
from pathlib import Path

import numpy as np
import pytest

from dreamvid.errors import ScheduleError
from dreamvid.scope import Scope
from dreamvid.terms import Argument, Call, Terms

SCOPE = Scope(length=31.0)
Told = list[tuple[float, str, list[tuple[str, str | float]]]]


def arguments(call: Call, tick: float) -> list[tuple[str, str | float]]:
    """Each as (the field that it names, its value)."""
    return [
        (str(a.to) if a.to else "", a.value.at(tick, SCOPE) if a.value else str(a.part))
        for a in call.arguments
    ]


def told(text: str, tick: float = 0.0) -> Told:
    """Each term as (weight, name, arguments)."""
    return [
        (term.weight_at(tick, SCOPE), str(term.call.name), arguments(term.call, tick))
        for term in Terms.parse(text).terms
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mixed4c", [(1.0, "mixed4c", [])]),
        (" - mixed4c ", [(-1.0, "mixed4c", [])]),
        ("mixed4c:61", [(1.0, "mixed4c", [("", 61.0)])]),
        ("inception_4c/5x5:3", [(1.0, "inception_4c/5x5", [("", 3.0)])]),
        (
            "mixed4c:61 + 0.3*mixed3b - 0.1*tv",
            [(1.0, "mixed4c", [("", 61.0)]), (0.3, "mixed3b", []), (-0.1, "tv", [])],
        ),
        ("class:water_lilly", [(1.0, "class", [("", "water_lilly")])]),
        ("tv()", [(1.0, "tv", [])]),
        (
            "neuron(mixed4a, 12, y=.25, x=-1)",
            [(1.0, "neuron", [("", "mixed4a"), ("", 12.0), ("y", 0.25), ("x", -1.0)])],
        ),
        ("guide:mixed3b('a b.jpg')", [(1.0, "guide", [("", "mixed3b"), ("", "a b.jpg")])]),
        ('2e1*style(mixed4a,"x(y).png")', [(20.0, "style", [("", "mixed4a"), ("", "x(y).png")])]),
        ("(1+2)*a - (t/10)*b", [(3.0, "a", []), (-0.5, "b", [])]),
        ("(0:(1) ease_in, 10:(2))*a", [(1.0 + 0.3154, "a", [])]),
        ("(where(t > 4, min(2, 3), 7))*a", [(2.0, "a", [])]),
    ],
)
def test_a_text_means(text: str, meant: Told):
    for (weight, *rest), (expected, *others) in zip(told(text, 5.0), meant, strict=True):
        assert weight == pytest.approx(expected, abs=1e-3)
        assert rest == others
    assert str(Terms(text)) == text
    assert Terms(text) == Terms.parse(text)
    assert hash(Terms(text)) == hash(Terms.parse(text))


def test_numbers_may_move():
    text = "mixed4c:(0:(10), 10:(20)) + (0:(1), 10:(0))*mixed3b"
    assert told(text, 5.0) == [(1.0, "mixed4c", [("", 15.0)]), (0.5, "mixed3b", [])]
    assert [value.fixed for value in Terms(text).values] == [False, False]
    assert [value.fixed for value in Terms("0.5*mixed4c:61").values] == [True, True]
    text = "(0:(1), 50%:(3))*a:(t) @ circle(0.5, y=(2*t)) - guide(b, 'c', picture=7)"
    assert [value.at(15.5, SCOPE) for value in Terms(text).values] == [3.0, 15.5, 0.5, 31.0, 7.0]


def test_a_mask_is_a_shape_or_a_file():
    shape, file, none = (t.mask for t in Terms('a @ circle((t/10), y=0.2) + b @ "m.png" - c').terms)
    assert isinstance(shape, Call)
    assert (str(shape.name), arguments(shape, 5.0)) == ("circle", [("", 0.5), ("y", 0.2)])
    assert isinstance(file, Argument)
    assert str(file.part) == "m.png"
    assert none is None


def test_a_mask_takes_expressions_in_parentheses_only():
    with pytest.raises(ScheduleError):
        Terms("a @ circle(1/2, 0.2, 0.1)")


def test_files_can_be_given_other_names():
    text = "guide(mixed3b, 'a.jpg') @ \"b.png\" + (csv(\"c.csv\"))*style(mixed4a, 'a.jpg')"
    terms = Terms(text)
    assert terms.files == ("a.jpg", "b.png")
    moved = terms.with_files(lambda name: f"../there/{name}")
    assert moved.files == ("../there/a.jpg", "../there/b.png")
    assert str(moved) == text.replace("a.jpg", "../there/a.jpg").replace("b.png", "../there/b.png")


def test_files_with_quotes_in_their_new_names_can_be_read_again():
    terms = Terms("guide(a, 'b.jpg') @ \"c.png\" + d")
    for folder in ("O'Brien", 'the "best"'):
        moved = terms.with_files(lambda name, folder=folder: f"../{folder}/{name}")
        assert moved.files == (f"../{folder}/b.jpg", f"../{folder}/c.png")
        assert moved.with_files(lambda name: Path(name).name).files == terms.files
    with pytest.raises(ScheduleError, match="quotes of both kinds"):
        terms.with_files(lambda name: "'\"" + name)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "the objective is empty"),
        ("   ", 3, "the objective is empty"),
        ("+", 1, "breaks off here"),
        ("mixed4c:", 8, "breaks off here"),
        ("mixed4c 61", 8, "'61' cannot stand here"),
        ("mixed4c mixed3b", 8, "between terms"),
        ("3mixed4c", 1, "write \\*"),
        ("0.3*", 4, "breaks off here"),
        ("0.3*0.2*a", 4, "'0.2' cannot stand here"),
        ("a + ?", 4, "'\\?' cannot be used"),
        ("a(b", 3, "write a comma"),
        ("a(b c)", 4, "write a comma"),
        ("a(b,,c)", 4, "',' cannot stand here"),
        ("a @ 3", 4, "write a mask"),
        ('guide(a, "b.jpg)', 9, "never closed"),
        ('guide(a, "")', 10, "name of a file is missing"),
        ("(1*a", 0, "never closed"),
        ("2*a + (0:(1), 5:(x))*b", 17, "unknown name 'x'"),
        ("2*a + (0:(1), 5:(2) eas_in)*b", 20, "Did you mean 'ease_in'"),
        ("a:(0:(1), 0:(2))", 10, "two keys"),
    ],
)
def test_a_mistake_has_its_place_in_the_whole_text(text: str, position: int, message: str):
    with pytest.raises(ScheduleError, match=message) as caught:
        Terms.parse(text)
    assert (caught.value.text, caught.value.position) == (text, position)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_none_has_its_place_too():
    (term,) = Terms("(1/(t-3))*a").terms
    with pytest.raises(ScheduleError, match="not a finite number") as caught:
        term.weight_at(3.0, SCOPE)
    assert caught.value.text == "(1/(t-3))*a"
    assert caught.value.position == 1


def test_no_text_is_a_crash():
    rng = np.random.default_rng(0)
    seeds = [
        'mixed4c:61 + 0.3*mixed3b @ circle(x=0.5) - (0:(1), 2s:(0.2) ease_in)*guide(a, "b.jpg")',
        "neuron(mixed4a, (sin(t)), y=.25) - class:dog + 2e3*tv",
    ]
    alphabet = list("()*+-:,@=\"' .0123456789abtexy?²\n\\%")
    kinds = set()
    for _ in range(600):
        text = str(rng.choice(seeds))
        for _ in range(rng.integers(1, 4)):
            at, cut = rng.integers(0, len(text)), rng.integers(0, 4)
            text = text[:at] + str(rng.choice(alphabet)) + text[at + cut :]
        if (error := refusal(text)) is None:
            kinds.add("read")
        else:
            kinds.add("refused")
            assert 0 <= error.position <= len(text)
            assert error.text == text
    assert kinds == {"read", "refused"}


def refusal(text: str) -> ScheduleError | None:
    try:
        Terms.parse(text)
    except ScheduleError as error:
        return error
    return None


@pytest.mark.parametrize(
    "text", ["(" * 5000, "a+" * 5000, "a(" * 5000, "a:" * 5000, "(" * 500 + "1" + ")" * 500 + "*a"]
)
def test_long_texts_end_soon(text: str):
    begun = time.thread_time()
    with pytest.raises(ScheduleError):
        Terms.parse(text)
    assert time.thread_time() - begun < 2
