"""A first look at the pictures of a film: which there are, and what is wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.cuts import CutFinder
from dreamvid.media.decode import BreaksOffError
from dreamvid.media.rates import count_holes
from dreamvid.media.sources import Source
from dreamvid.media.video import Shown
from dreamvid.options import Footage

ENOUGH = 0.9
"""Share of a film that is dreamed though the file breaks off; AVI with holes seems to, too."""


@dataclass
class Seen:
    """What is remembered of the pictures that were looked at, at least one."""

    size: Size
    """Of the first, upright."""
    times: list[Fraction] = field(default_factory=list)
    """When each is shown, in seconds of the source's clock."""
    digests: list[int] = field(default_factory=list)
    """Of each one's pixels."""
    end: Fraction = Fraction(0)
    """When the last has been shown, as `times`."""
    depth: int = 8
    """Most bits of any."""
    lost: int = 0
    """How many others could not be decoded."""
    damaged: int = 0
    """How many are not whole."""
    holes: int = 0
    """How many others there should be, by the distances of those that are."""
    interlaced: bool = False
    """Whether any of them are."""
    resized: bool = False
    """Whether any are of another size than the first."""
    short: str = ""
    """How the file ends too early, if it does."""
    cuts: tuple[int, ...] = ()
    """Numbers of those that begin a shot."""

    @property
    def missing(self) -> int:
        """How many others there were, by all that is known."""
        return max(self.lost, self.holes)

    @property
    def is_broken(self) -> bool:
        """Whether less than half could be decoded; holes alone may be meant."""
        if not (self.lost or self.damaged):
            return False
        return self.missing + self.damaged > len(self.times) - self.damaged

    def add(self, shown: Shown) -> None:
        """Remembers the next picture."""
        self.times.append(shown.time)
        self.digests.append(shown.digest)
        self.end = shown.time + shown.span
        self.depth = max(self.depth, shown.depth)
        self.damaged += shown.damaged
        self.interlaced |= shown.interlaced
        self.resized |= shown.size != self.size


def look(source: Source, wanted: Footage, watch: Callable[[int], None] | None = None) -> Seen:
    """Decodes what is wanted of a source; a few pictures are in memory at a time.

    Args:
      source: The source.
      wanted: Where it is to begin and end, and whether cuts are to be found.
      watch: Told after each picture how many have been looked at; may raise to end it all.

    Raises:
      MediaError: Nothing is wanted, the source breaks off before, or most of it is damaged.
    """
    # As it was written: 0.1 is a tenth.
    begin = source.begin + Fraction(str(wanted.start))
    end = None if wanted.end is None else source.begin + Fraction(str(wanted.end))
    finder = CutFinder() if wanted.cuts == "find" else None
    seen = last = until = None
    lost = 0
    try:
        for shown in source.shown(begin if wanted.start else None):
            if shown is None:
                lost += seen is not None or not wanted.start
                continue
            if end is not None and shown.time >= end:
                until = min(shown.time, end)
                break
            last = shown
            if shown.time < begin:
                continue
            seen = seen or Seen(shown.size)
            seen.add(shown)
            if finder:
                finder.look(shown.small())
            if watch:
                watch(len(seen.times))
    except BreaksOffError as error:
        if seen is None or error.share < ENOUGH:
            raise MediaError(f"{error}, or add --end {error.second:g}") from None
        seen.short = error.reason
    if seen is None:
        raise _nothing(source, wanted, last, until is not None)
    if until is not None:
        seen.end = until
    elif seen.end == seen.times[-1]:
        seen.end += _usual_span(source, seen)
    seen.cuts = finder.finish() if finder else ()
    seen.lost = lost
    seen.holes = count_holes(seen.times, source.tick, source.rates)
    if seen.is_broken:
        whole = len(seen.times) - seen.damaged
        raise MediaError(
            f"only {whole} of {whole + seen.damaged + seen.missing} pictures of {source.path} "
            "can be decoded: make or copy it anew"
        )
    return seen


def _usual_span(source: Source, seen: Seen) -> Fraction:
    if len(seen.times) > 1:
        return (seen.times[-1] - seen.times[0]) / (len(seen.times) - 1)
    return 1 / source.rates[0] if source.rates else Fraction(1, 25)


def _nothing(source: Source, wanted: Footage, last: Shown | None, more: bool) -> MediaError:
    """What is said where no picture is wanted.

    Args:
      source: The source.
      wanted: What was wanted of it.
      last: The last picture before, if any.
      more: Whether there are others after.
    """
    if last is None and not more:
        return MediaError(f"{source.path} has no picture that can be decoded: make or copy it anew")
    if last is None or more:
        between = f"from second {wanted.start:g} to before {wanted.end:g}"
        return MediaError(f"{source.path} shows no picture {between}: choose a later --end")
    length = float(last.time + last.span - source.begin)
    return MediaError(
        f"{source.path} is {length:.2f} seconds long: --start {wanted.start:g} is not in it"
    )
