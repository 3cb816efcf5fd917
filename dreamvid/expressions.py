"""Arithmetic written as text, such as "1.02+0.01*sin(t/10)": read by Python's parser, then checked.

Nothing of a text runs as Python: what is computed is built from the operators, functions and names
that this module lists, and all else is refused at the place where it stands.
"""

import ast
import functools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamvid.errors import ScheduleError
from dreamvid.registry import unknown_name
from dreamvid.scope import Scope, short

_BLANK = " \t\r\n\f\v"


@dataclass(frozen=True)
class Part:
    """A stretch of a text."""

    text: str
    start: int
    stop: int

    def __str__(self) -> str:
        return self.text[self.start : self.stop]

    def cut(self, start: int, stop: int) -> "Part":
        """What lies between two places of the text, without the white space around it."""
        kept = self.text[start:stop].rstrip(_BLANK)
        return Part(self.text, start + len(kept) - len(kept.lstrip(_BLANK)), start + len(kept))

    def error(self, message: str, offset: int = 0) -> ScheduleError:
        """A mistake, `offset` characters into the part."""
        return ScheduleError(message, self.text, self.start + offset)


# --- What is known, by its name or sign ---


def _truth(function: Callable[..., Any]) -> Callable[..., Any]:
    # As numbers, since NumPy's truth values cannot be subtracted.
    return lambda *values: function(*values).astype(np.float64)


def _fold(function: np.ufunc) -> Callable[..., Any]:
    return lambda *values: functools.reduce(function, values)


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    return np.where(np.not_equal(condition, 0.0), then, otherwise)


_OPERATORS: dict[type, Callable[..., Any]] = {
    **{ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide},
    **{ast.FloorDiv: np.floor_divide, ast.Mod: np.remainder, ast.Pow: np.power},
    **{ast.USub: np.negative, ast.UAdd: np.positive},
    **{ast.Not: _truth(np.logical_not), ast.Invert: _truth(np.logical_not)},
    **{ast.BitAnd: _truth(np.logical_and), ast.BitOr: _truth(np.logical_or)},
    **{ast.And: _truth(_fold(np.logical_and)), ast.Or: _truth(_fold(np.logical_or))},
    **{ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal},
    **{ast.Eq: np.equal, ast.NotEq: np.not_equal},
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{"sin": np.sin, "cos": np.cos, "tan": np.tan, "exp": np.exp, "log": np.log},
    **{"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sqrt": np.sqrt, "abs": np.abs},
    **{"arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan},
    **{"floor": np.floor, "ceil": np.ceil, "where": _where},
    **{"min": _fold(np.minimum), "max": _fold(np.maximum)},
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_OF_SCOPE = ("s", "max_f")
_OUTSIDE = ("audio", "csv")
_CALLED = (*_FUNCTIONS, *_OUTSIDE)
_NAMES = ("t", *_OF_SCOPE, *_CONSTANTS, *_CALLED)
_MOVING = {"t", *_OUTSIDE}
_COUNTS = {
    "where": (3, 3, "3 arguments"),
    "min": (1, math.inf, "an argument or more"),
    "max": (1, math.inf, "an argument or more"),
    "csv": (1, 2, "1 or 2 arguments"),
}

_Value = Callable[[Any, Scope], Any]
"""Ticks and what the text may refer to -> float64 of the ticks' shape, or a scalar."""
_Step = tuple[Callable[..., Any], _Value]
"""An operator and its right side."""


class Expression:
    """A value written in a text; called with ticks and a scope, it computes it.

    Args:
      part: Where it stands.
      constant: What it is worth, where that is not to be read from the part.

    Raises:
      ScheduleError: It is anything else than arithmetic with the names above.
    """

    constant: float | None
    """What it is worth, where that is the same at all times and in all scopes."""
    moving: bool
    """Whether it depends on the time."""
    signals: set[str]
    """The names of the audio signals in it."""

    def __init__(self, part: Part, constant: float | None = None):
        self.part = part
        self._names: set[str] = set()
        self.signals = set()
        self.constant = constant
        if constant is None:
            if re.fullmatch(f"[-+]?{NUMBER}", str(part), re.ASCII):  # most are, and this is quick
                self.constant = float(str(part))
            else:
                _check_tokens(part)
                self._value = self._build(_parsed(part), 0)
                if not self._names & {*_MOVING, *_OF_SCOPE}:
                    with np.errstate(all="ignore"):
                        self.constant = float(self._value(0.0, Scope()))
            if self.constant is not None and not math.isfinite(self.constant):
                raise part.error(f"{short(str(part))!r} is {self.constant}, not a finite number")
        self.moving = bool(self._names & _MOVING)

    def __call__(self, t: Any, scope: Scope) -> Any:
        """The value at ticks: float64 of their shape, or a scalar."""
        return self._value(t, scope) if self.constant is None else self.constant

    def _build(self, node: ast.expr, depth: int) -> _Value:
        def built(*nodes: ast.expr) -> list[_Value]:
            return [self._build(node, depth + 1) for node in nodes]

        if depth > _DEEPEST:
            raise self._error(f"operations are nested more than {_DEEPEST} deep", node)
        match node:
            case ast.Constant(value=int() | float() as number):
                constant = float(number)
                return lambda t, scope: constant
            case ast.Name(id=name) if name not in _CALLED:
                return self._variable(name, node)
            case ast.UnaryOp(op=op, operand=operand):
                return _apply(_OPERATORS[type(op)], built(operand))
            case ast.BinOp():
                steps: list[_Step] = []
                # A loop for the left side, where long sums would nest deeply.
                while isinstance(node, ast.BinOp):
                    steps.append((_OPERATORS[type(node.op)], self._build(node.right, depth + 1)))
                    node = node.left
                return _chain(self._build(node, depth + 1), steps[::-1])
            case ast.BoolOp(op=op, values=values):
                return _apply(_OPERATORS[type(op)], built(*values))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return _apply(_comparison(ops), built(left, *others))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return _apply(_where, built(test, body, orelse))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                if name not in _CALLED:
                    raise self._error(f"{name} is a number, not a function", node)
                low, high, takes = _COUNTS.get(name, (1, 1, "1 argument"))
                if not low <= len(args) <= high:
                    raise self._error(f"{name}() takes {takes}, not {len(args)}", node)
                if name in _OUTSIDE:
                    return self._outside(name, args)
                return _apply(_FUNCTIONS[name], built(*args))
            case ast.Name(id=name):
                raise self._error(f"{name} is a function: write {name}(…)", node)
            case ast.Constant():
                raise self._error("text in quotes belongs in audio(…) and csv(…) only", node)
        raise self._error("this cannot be used in a schedule: write plain arithmetic", node)

    def _variable(self, name: str, node: ast.expr) -> _Value:
        def max_f(t: Any, scope: Scope) -> float:
            if math.isinf(scope.length):
                raise self._error("max_f needs a clip that ends: give its length", node)
            return scope.length - 1.0

        self._names.add(name)
        if name == "t":
            return lambda t, scope: t
        if name == "s":
            return lambda t, scope: float(scope.seed)
        return max_f if name == "max_f" else lambda t, scope: _CONSTANTS[name]

    def _outside(self, name: str, args: Sequence[ast.expr]) -> _Value:
        """What audio("signal") and csv("file", column) stand for."""
        self._names.add(name)
        given: list[Any] = []
        for arg, kinds in zip(args, (str, (str, int)), strict=False):
            if not isinstance(arg, ast.Constant) or not isinstance(arg.value, kinds):
                raise self._error(f'{name}() takes names in quotes, such as {name}("low")', arg)
            given.append(arg.value)
        if name == "audio":
            self.signals.add(given[0])

        def value(t: Any, scope: Scope) -> Any:
            try:
                values = (scope.signal if name == "audio" else scope.column)(*given)
            except ValueError as error:
                raise self._error(str(error), args[0]) from None
            return np.interp(t, np.arange(len(values)), values)

        return value

    def _error(self, message: str, node: ast.expr) -> ScheduleError:
        before = str(self.part).encode()[: node.col_offset]  # Python counts bytes
        return self.part.error(message, len(before.decode()))


def _apply(function: Callable[..., Any], arguments: Sequence[_Value]) -> _Value:
    return lambda t, scope: function(*(argument(t, scope) for argument in arguments))


def _chain(first: _Value, steps: Sequence[_Step]) -> _Value:
    def value(t: Any, scope: Scope) -> Any:
        total = first(t, scope)
        for operator, operand in steps:
            total = operator(total, operand(t, scope))
        return total

    return value


def _comparison(ops: Sequence[ast.cmpop]) -> Callable[..., Any]:
    signs = [_OPERATORS[type(op)] for op in ops]

    def compare(*values: Any) -> Any:
        pairs = zip(signs, values, values[1:], strict=False)
        return _fold(np.logical_and)(*(sign(a, b) for sign, a, b in pairs))

    return _truth(compare)


# --- What Python's parser is given, and what it says ---

NUMBER = r"(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?"  # never backs up: linear in time
QUOTED = r"\"[^\"]*\"|'[^']*'"
_DEEPEST = 50
_TOKEN = re.compile(
    rf"(?P<blank>\s+)|(?P<number>{NUMBER})|(?P<name>[A-Za-z_]\w*)|(?P<quoted>{QUOTED})"
    r"|(?P<open>\()|(?P<close>\))|(?P<sign>\*\*|//|[<>=!]=|<(?!<)|>(?!>)|[-+*/%&|~,])",
    re.ASCII,
)
_WORDS = ("and", "or", "not", "if", "else")
_HINTS = {"^": ": write ** for a power", "=": ": write == to compare", "\\": ": write / instead"}


def _check_tokens(part: Part) -> None:
    # Before Python's parser sees the text: every mistake found here has its exact place.
    before = "sign"
    opened: list[str] = []  # what stood before each parenthesis
    if not str(part):
        raise part.error("a value is missing here: write a number, such as 0:(1.0)")
    for kind, token, at in _tokens(part):
        ended = before in ("number", "name", "quoted", "close")
        if ended and kind not in ("sign", "close", "open" if before == "name" else ""):
            raise part.error(f"an operator is missing before {short(token)!r}", at)
        _check_token(part, kind, token, at)
        if token == "," and opened[-1:] != ["name"]:
            message = "a comma cannot stand here: write 1.5 for decimals, 0:(1.5) for keys"
            raise part.error(message, at)
        if kind == "open":
            opened.append(before)
            if len(opened) > _DEEPEST:
                raise part.error(f"parentheses are nested more than {_DEEPEST} deep", at)
        if kind == "close" and opened and opened.pop() != "name" and before == "open":
            raise part.error("a value is missing in these parentheses", at)
        before = kind


def _tokens(part: Part) -> Iterator[tuple[str, str, int]]:
    """The kind, text and offset of each number, name, sign ..."""
    source, at = str(part), 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            hint = _HINTS.get(source[at], "")
            raise part.error(f"{source[at]!r} cannot be used in a schedule{hint}", at)
        if found.lastgroup != "blank":
            yield "sign" if found[0] in _WORDS else found.lastgroup or "", found[0], at
        at = found.end()


def _check_token(part: Part, kind: str, token: str, at: int) -> None:
    if kind == "name" and token not in _NAMES:
        known = f"Known: {', '.join(_NAMES)}"
        raise part.error(str(unknown_name("name", short(token), _NAMES, known)), at)
    if kind == "number" and math.isinf(float(token)):
        raise part.error(f"{short(token)!r} is too large, not a finite number", at)
    for i, letter in enumerate(token if kind == "quoted" else ""):
        if letter == "\\" or not letter.isprintable():
            raise part.error(f"{letter!r} cannot be in a name: paths take /", at + i)


def _parsed(part: Part) -> ast.expr:
    source = re.sub(r"\s", " ", str(part), flags=re.ASCII)
    try:
        return ast.parse(source, mode="eval").body
    except (RecursionError, MemoryError):
        raise part.error("this expression is too long or nested too deeply") from None
    except SyntaxError as error:
        at = (error.offset or 0) - 1
        if at < 0 or at >= len(source):  # Python's way to say: at the end
            message = "the expression breaks off here: a number or name is missing"
            raise part.error(message, len(source)) from None
        found = _TOKEN.match(source, at)
        token = short(found[0] if found else source[at])
        message = f"{token!r} cannot stand here: check the operators and parentheses"
        if "'else'" in error.msg:
            message = "an if needs its else: write 1 if t > 30 else 2"
        raise part.error(message, at) from None
