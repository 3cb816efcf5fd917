"""A film unrolled for dreaming: its pictures, and where each part of them was before."""

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import jax
import numpy as np

from dreamvid.ahead import ahead
from dreamvid.flow import Match, grey, match
from dreamvid.media.film import Film
from dreamvid.media.masks import Mask

_Work = tuple[int, np.ndarray, np.ndarray, dict[int, np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class View:
    """A picture of a film, with all that its dream needs to know."""

    number: int
    """Its place in the film."""
    picture: np.ndarray
    """uint8 or uint16 (h, w, 3), RGB."""
    matches: tuple[Match, ...]
    """To each of `Reel.earlier(number)`."""
    known: float
    """The share of it that can be found in one of those."""
    mask: np.ndarray | None
    """float32 (h, w) in [0, 1]: where it is dreamed; None is everywhere."""


@dataclass(frozen=True)
class Reel:
    """A film, and which of its pictures are looked back at."""

    film: Film
    mask: Mask | None = None
    memory: int = 24
    """Pictures for which a hidden place is remembered."""
    matching: bool = True
    """Whether pictures have to do with each other at all."""

    def earlier(self, number: int) -> tuple[int, ...]:
        """The pictures whose dreams go on into this one's, all of its shot, the last in front.

        One is the picture before. Two more, up to `memory` pictures back, are the same for a while,
        so that few have to be kept.
        """
        start = max(cut for cut in (0, *self.film.cuts) if cut <= number)
        if number == start or not self.matching:
            return ()
        found = [number - 1]
        if step := self.memory // 2:
            last = (number - 1 - start) // step * step + start
            found += [back for back in (last, last - step) if start <= back < number - 1]
        return tuple(found)

    def views(self, first: int = 0) -> Generator[View, None, None]:
        """The pictures from number `first` on, prepared on threads while others are dreamed.

        Raises:
          MediaError: The film cannot be read, or is not what it was.
        """
        return ahead(self._pictures(first), _look_back, *self._capacity)

    def _pictures(self, first: int) -> Iterator[_Work]:
        begin = min((first, *self.earlier(first)))
        masks = repeat(None) if self.mask is None else self.mask.masks(begin)
        seen: dict[int, np.ndarray] = {}
        for number, (picture, mask) in enumerate(
            zip(self.film.pictures(begin), masks, strict=False), begin
        ):
            now = grey(picture)
            if number >= first:
                earlier = {back: seen[back] for back in self.earlier(number)}
                yield number, picture, now, earlier, mask
            seen[number] = now
            needed = self.earlier(max(number + 1, first))
            seen = {back: seen[back] for back in needed if back in seen}

    @cached_property
    def _capacity(self) -> tuple[int, int]:
        """Threads, and pictures that are prepared at a time."""
        # On a CPU the dream wants the cores itself.
        threads = 1 if jax.default_backend() == "cpu" else min(os.cpu_count() or 1, 8)
        return threads, threads + 2


def _look_back(work: _Work) -> View:
    number, picture, now, earlier, mask = work
    matches = tuple(match(now, then) for then in earlier.values())
    unknown = np.ones(now.shape, np.float32)
    for found in matches:
        unknown *= 1.0 - found.trust
    return View(number, picture, matches, 1.0 - float(unknown.mean()), mask)
