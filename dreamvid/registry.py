"""A small table: name -> thing, with "did you mean"."""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar, cast

from dreamvid.errors import UnknownNameError


def unknown_name(
    kind: str, name: str, known: Iterable[str], see: str, of: str = ""
) -> UnknownNameError:
    """The error for a name that is not in `known`, with the nearest one that is.

    Args:
      kind: What the name stands for, for example "layer".
      name: What the user wrote.
      known: The names that would have done.
      see: Where the user finds them all, closing the message.
      of: What the name should belong to.
    """
    nearest = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    place = f" of {of}" if of else ""
    return UnknownNameError(f"unknown {kind} {name!r}{place}.{hint} {see}")


T = TypeVar("T")
U = TypeVar("U")


class Registry(Generic[T]):
    """Named things of one kind, for example output formats."""

    def __init__(self, kind: str):
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[U], U]:
        """A decorator that files what it decorates, which keeps its own type, under `name`."""

        def decorate(thing: U) -> U:
            if name in self._things:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._things[name] = cast(T, thing)
            return thing

        return decorate

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            see = f"Known: {', '.join(self._things)}"
            raise unknown_name(self.kind, name, self._things, see)
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)
