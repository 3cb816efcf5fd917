"""What to dream of, written as a sum: "mixed4c:61 + 0.3*mixed3b - 0.1*tv". No JAX.

  term      [weight *] name [: argument] [(arguments)] [@ mask]
  weight    a number, or a schedule in parentheses: (0:(1), 2s:(0.2) ease_in)*mixed3b
  name      a layer, or an objective: guide(mixed4c, "flowers.jpg")
  argument  a number, a schedule in parentheses, a name, a file in quotes; x=0.5 names its place
  mask      where the term counts: a file in quotes, or a shape: @ circle(0.5, 0.5, 0.2)

What the names mean is for the registry of objectives and for the network to say.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dreamvid.errors import ScheduleError
from dreamvid.expressions import NUMBER, QUOTED, Part
from dreamvid.schedule import Schedule
from dreamvid.scope import Scope, short

_TOKEN = re.compile(
    rf"(?P<blank>\s+)|(?P<number>{NUMBER})|(?P<name>[A-Za-z_][\w/.]*)|(?P<file>{QUOTED})"
    r"|(?P<sign>[-+*:(),@=])",
    re.ASCII,
)
_MOST = 64
"""Terms of an objective: each makes its program larger."""


@dataclass(frozen=True)
class Value:
    """A schedule that is part of a longer text."""

    part: Part
    schedule: Schedule

    @classmethod
    def read(cls, part: Part) -> "Value":
        """The schedule that a part of a text holds.

        Raises:
          ScheduleError: It cannot be read; the error knows where in the whole text.
        """
        try:
            return cls(part, Schedule.parse(str(part)))
        except ScheduleError as error:
            raise part.error(str(error), error.position) from None

    @property
    def fixed(self) -> bool:
        """Whether it is the same at all times."""
        return self.schedule.constant is not None

    def over(self, times: np.ndarray, scope: Scope) -> np.ndarray:
        """The values at many moments, in ticks; it raises what `Schedule.over` does."""
        try:
            return self.schedule.over(times, scope)
        except ScheduleError as error:
            raise self.part.error(str(error), error.position) from None

    def at(self, tick: float, scope: Scope) -> float:
        """The value at a moment."""
        return float(self.over(np.array([tick]), scope)[0])


@dataclass(frozen=True)
class Argument:
    """What stands in the parentheses of a name."""

    kind: str
    """"number", "name" or "file"."""
    part: Part
    """Of a file without its quotes."""
    value: Value | None = None
    """Of a number."""
    to: Part | None = None
    """The name of the field that it is for, where one is written."""


@dataclass(frozen=True)
class Call:
    """A name with its arguments."""

    name: Part
    arguments: tuple[Argument, ...] = ()
    short: bool = False
    """Whether the first argument stands behind a colon."""


@dataclass(frozen=True)
class Term:
    """One summand."""

    part: Part
    sign: float
    weight: Value | None
    """None is 1."""
    call: Call
    mask: Call | Argument | None = None
    """A shape, or a file."""

    def weight_at(self, tick: float, scope: Scope) -> float:
        """What it is multiplied with at a moment, sign and all."""
        return self.sign * (1.0 if self.weight is None else self.weight.at(tick, scope))


class Terms:
    """A sum of terms; its text is its identity."""

    terms: tuple[Term, ...]

    def __init__(self, text: str):
        self.text = text
        self.terms = tuple(_Reader(text).terms())

    @classmethod
    def parse(cls, text: str) -> "Terms":
        """Reads a text.

        Raises:
          ScheduleError: It cannot be read; the error knows where.
        """
        return cls(text)

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """All numbers and schedules in it, in order."""
        found: list[Value] = []
        for term in self.terms:
            found += [] if term.weight is None else [term.weight]
            found += [a.value for a in _arguments(term) if a.value is not None]
        return tuple(found)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of files in it, each once."""
        parts = (a.part for term in self.terms for a in _arguments(term) if a.kind == "file")
        return tuple(dict.fromkeys(map(str, parts)))

    def with_files(self, moved: Callable[[str], str]) -> "Terms":
        """The same with other names of files.

        Args:
          moved: The new name of each.

        Raises:
          ScheduleError: A new name cannot be written, since it has quotes of both kinds in it.
        """
        text = self.text
        parts = [a.part for term in self.terms for a in _arguments(term) if a.kind == "file"]
        for part in sorted(parts, key=lambda part: part.start, reverse=True):
            name, quote = moved(str(part)), text[part.stop]
            if quote in name:
                quote = "'" if quote == '"' else '"'
            if quote in name:
                message = f"{short(name)} has quotes of both kinds in it: rename a file or folder"
                raise part.error(message)
            text = text[: part.start - 1] + quote + name + quote + text[part.stop + 1 :]
        return Terms(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Terms({short(self.text)!r})"


def _arguments(term: Term) -> Iterator[Argument]:
    yield from term.call.arguments
    if isinstance(term.mask, Argument):
        yield term.mask
    elif term.mask is not None:
        yield from term.mask.arguments


@dataclass(frozen=True)
class _Token:
    kind: str
    part: Part

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and str(self.part) in signs


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = list(_tokens(text))
        self.place = 0

    def terms(self) -> Iterator[Term]:
        """All terms."""
        if self.now.kind == "end":
            raise self.now.part.error("the objective is empty: write a layer, such as mixed4c")
        count = 0
        while self.now.kind != "end":
            signed = self.now.is_sign("+", "-")
            if count and not signed:
                raise self._unexpected("write + or - between terms")
            sign = -1.0 if self.now.is_sign("-") else 1.0
            self.place += signed
            yield self._term(sign)
            count += 1
            if count > _MOST:
                raise self.now.part.error(f"these are more than {_MOST} terms")

    @property
    def now(self) -> _Token:
        """The token that is next."""
        return self.tokens[self.place]

    def _take(self) -> _Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def _skip(self, *signs: str) -> bool:
        taken = self.now.is_sign(*signs)
        self.place += taken
        return taken

    def _unexpected(self, instead: str) -> ScheduleError:
        token = self.now
        if token.kind == "end":
            return token.part.error(f"the objective breaks off here: {instead}")
        return token.part.error(f"{short(str(token.part))!r} cannot stand here: {instead}")

    def _term(self, sign: float) -> Term:
        first, weight = self.now.part.start, None
        if self.now.kind == "number" or self.now.is_sign("("):
            weight = self._number()
            if not self._skip("*"):
                raise self._unexpected("write * between a weight and its name")
        call, mask = self._call("a layer or an objective, such as mixed4c:61"), None
        if self._skip("@"):
            if self.now.kind == "file":
                mask = self._argument()
            else:
                mask = self._call('a mask: "mask.png" in quotes, or circle(0.5, 0.5, 0.2)')
        return Term(self._since(first), sign, weight, call, mask)

    def _call(self, what: str) -> Call:
        if self.now.kind != "name":
            raise self._unexpected(f"write {what}")
        name, arguments = self._take().part, []
        in_short = self._skip(":")
        if in_short:
            arguments.append(self._argument())
        if self._skip("("):
            while not self.now.is_sign(")"):
                arguments.append(self._argument(may_be_named=True))
                if not self._skip(",") and not self.now.is_sign(")"):
                    raise self._unexpected("write a comma between arguments, and ) behind the last")
            self.place += 1
        return Call(name, tuple(arguments), in_short)

    def _argument(self, may_be_named: bool = False) -> Argument:
        token, to = self.now, None
        if may_be_named and token.kind == "name" and self.tokens[self.place + 1].is_sign("="):
            to = token.part
            self.place += 2
            token = self.now
        if token.kind == "file":
            quoted = self._take().part
            inner = Part(self.text, quoted.start + 1, quoted.stop - 1)
            if not str(inner).strip():
                raise inner.error("the name of a file is missing between these quotes")
            return Argument("file", inner, to=to)
        if token.kind == "name":
            return Argument("name", self._take().part, to=to)
        value = self._number()
        return Argument("number", value.part, value, to)

    def _number(self) -> Value:
        first = self.now.part.start
        signed = self._skip("-", "+")
        if self.now.kind == "number":
            self.place += 1
            return Value.read(self._since(first))
        if signed or not self.now.is_sign("("):
            raise self._unexpected("write a number, a name, or a schedule in parentheses")
        opening, depth = self._take().part, 1
        while depth:
            if self.now.kind == "end":
                raise opening.error("this parenthesis is never closed")
            depth += self.now.is_sign("(") - self.now.is_sign(")")
            self.place += 1
        closing = self.tokens[self.place - 1].part
        return Value.read(Part(self.text, 0, 0).cut(opening.stop, closing.start))

    def _since(self, start: int) -> Part:
        return Part(self.text, start, self.tokens[self.place - 1].part.stop)


def _tokens(text: str) -> Iterator[_Token]:
    """What the text is made of, and its end."""
    at, depth = 0, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            # Within parentheses a schedule may hold more; it will be read by its own rules.
            if not depth or text[at] in "'\"":
                quote = "this quote is never closed"
                other = f"{text[at]!r} cannot be used in an objective"
                raise Part(text, at, at).error(quote if text[at] in "'\"" else other)
            yield _Token("other", Part(text, at, at + 1))
            at += 1
            continue
        depth += (found[0] == "(") - (found[0] == ")")
        if found.lastgroup != "blank":
            yield _Token(found.lastgroup or "", Part(text, found.start(), found.end()))
        at = found.end()
    yield _Token("end", Part(text, len(text), len(text)))
