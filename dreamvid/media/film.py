"""A film: what of it will be dreamed is known to the picture before any work begins."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.colours import to_depth
from dreamvid.media.hdr import CURVES
from dreamvid.media.rates import constant_rate
from dreamvid.media.seen import Seen, look
from dreamvid.media.shape import Shape, choose_shape
from dreamvid.media.sources import STILLS_A_SECOND, Source, open_source
from dreamvid.media.video import Shown, Video
from dreamvid.options import Footage
from dreamvid.paths import sha256_of, sha256_of_all

SMALLEST = 16
"""Pixels of the shortest side of a film."""


@dataclass(frozen=True)
class Film:
    """A film that has been looked through, and can be read again and again.

    Its pictures are (size.height, size.width, 3) RGB, uint8 where `depth` is 8 and uint16 where it
    is 16; upright, and deinterlaced and tone-mapped where the file's are not.
    """

    path: Path
    size: Size
    """Of its pictures."""
    times: tuple[Fraction, ...]
    """When each picture is shown, in seconds from the first; rising."""
    duration: Fraction
    """Seconds from the beginning of the first picture to the end of the last."""
    fps: Fraction
    """Pictures a second: exact where the rate is constant, else the average."""
    constant: bool
    """Whether the rate is constant: times[k] == k / fps."""
    depth: int
    """Bits of a channel: 8 or 16."""
    aspect: Fraction
    """Width of a pixel over its height; 1 is square."""
    start: Fraction
    """When the first picture is shown by the file's own clock, in seconds; its sound keeps to that
    clock too."""
    cuts: tuple[int, ...]
    """Numbers of the pictures that begin a shot; 0 is not among them."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""
    shape: Shape
    """How its pictures come to their size."""
    _source: Source = field(repr=False)
    _seen: Seen = field(repr=False)
    _picks: Sequence[int] = field(repr=False)
    """The number, in `_seen`, of each picture; rising, where `fps` repeats some not strictly."""

    @property
    def count(self) -> int:
        """The number of its pictures."""
        return len(self.times)

    def digest(self) -> str:
        """The sha256 of its file, or of those of its stills."""
        digests = [sha256_of(file) for file in self._source.files]
        if len(digests) == 1:
            return digests[0]
        return sha256_of_all(digests)

    def pictures(self, first: int = 0) -> Iterator[np.ndarray]:
        """The pictures from number `first` on, each the same whatever that is.

        A few are in memory at a time.

        Raises:
          MediaError: While they are drawn: the film is not what it was when it was looked through.
        """
        picks = self._picks[first:]
        number, pixels = -1, np.empty(0)
        with closing(self._again(picks[0] if picks else 0)) as again:
            for pick in picks:
                if pick != number:
                    number, shown = next(pair for pair in again if pair[0] == pick)
                    pixels = self.shape.apply(to_depth(shown.pixels(), self.depth))
                yield pixels

    def _again(self, first: int) -> Generator[tuple[int, Shown], None, None]:
        """What was seen from number `first` on, with its numbers."""
        times = self._seen.times
        for start in (times[first], None):
            for shown in self._source.shown(start):
                if shown is None or shown.time < times[first]:
                    continue
                # Not every file that is entered in the midst gives the same times and pictures.
                same = start is None or shown.digest == self._seen.digests[first]
                if shown.time != times[first] or not same:
                    break
                yield first, shown
                first += 1
                if first == len(times):
                    return
        raise MediaError(
            f"{self.path} has changed since it was looked through: give the same command again"
        )


def survey(
    path: Path | str,
    wanted: Footage,
    square: bool = False,
    even: bool = True,
    watch: Callable[[int], None] | None = None,
) -> Film:
    """Looks a film through.

    Args:
      path: A video, a GIF or another animation, or stills: a printf pattern such as
        `frame-%05d.png`, or a wildcard such as `frames/*.png`.
      wanted: What of it is wanted, and in what shape.
      square: Whether pixels have to be square. A size or largest side makes them so in any case.
      even: Whether sides have to be even where the user names no size.
      watch: Told after each picture how many have been looked at; may raise to end it all.

    Raises:
      MediaError: There is no such film, it cannot be read, or nothing of it is wanted.
    """
    path = Path(path)
    source = open_source(path, wanted.fps or STILLS_A_SECOND)
    if source.still:
        raise MediaError(f"{path} is a still: dream it with dreamvid image")
    seen = look(source, wanted, watch)
    if isinstance(source, Video):
        if seen.lost or seen.damaged:
            source = replace(source, careful=True)
            seen = look(source, wanted, watch)
        source = replace(source, deinterlaced=seen.interlaced)
    shape = choose_shape(seen.size, source.aspect, wanted, square, even)
    if min(shape.size.width, shape.size.height) < SMALLEST:
        raise MediaError(
            f"{path} would have {shape.size} pixels, at least {SMALLEST} on a side are needed: "
            f"choose a larger {'--max-side' if wanted.max_side else '--size'}"
        )
    picks, times, rate, duration = _choose(source, seen, wanted)
    return Film(
        path=path,
        size=shape.size,
        times=times,
        duration=duration,
        fps=rate or (len(times) / duration).limit_denominator(10**5),
        constant=rate is not None,
        depth=seen.depth,
        aspect=shape.aspect,
        start=seen.times[0],
        # Of a shot of which no picture was chosen, nothing is left.
        cuts=tuple(sorted({bisect_left(picks, cut) for cut in seen.cuts} - {0, len(picks)})),
        notes=tuple(_notes(source, seen, shape)),
        shape=shape,
        _source=source,
        _seen=seen,
        _picks=picks,
    )


def _choose(
    source: Source, seen: Seen, wanted: Footage
) -> tuple[Sequence[int], tuple[Fraction, ...], Fraction | None, Fraction]:
    """The pictures that are wanted: their numbers, times, rate if it is constant, and duration."""
    every, fps = wanted.every, wanted.fps
    picks: Sequence[int] = range(0, len(seen.times), every)
    rate = constant_rate(seen.times, source.tick, source.rates)
    if len(seen.times) == 1:
        rate = rate or 1 / (seen.end - seen.times[0])
    if rate:
        rate /= every
        times = [number / rate for number in range(len(picks))]
        duration = len(picks) / rate
    else:
        times = [time - seen.times[0] for time in seen.times[::every]]
        duration = seen.end - seen.times[0]
    if fps and fps != rate:
        moments = [number / fps for number in range(max(ceil(duration * fps), 1))]
        # The last picture that is shown at or before each moment.
        picks = [picks[bisect_right(times, moment) - 1] for moment in moments]
        rate, times, duration = fps, moments, len(moments) / fps
    return picks, tuple(times), rate, duration


def _notes(source: Source, seen: Seen, shape: Shape) -> Iterator[str]:
    if seen.interlaced:
        yield "interlaced pictures are deinterlaced"
    if isinstance(source, Video) and source.curve in CURVES:
        yield f"HDR ({CURVES[source.curve]}) is tone-mapped to BT.709"
    if seen.missing:
        those = f"{seen.missing} of {len(seen.times) + seen.missing} pictures"
        fate = "could not be decoded" if seen.lost else "are missing by its rate"
        yield f"{those} {fate}: the ones before them are shown longer"
    if seen.damaged:
        yield f"damaged: {seen.damaged} of {len(seen.times)} pictures"
    if seen.short:
        yield f"the file is not whole: {seen.short}"
    if seen.resized:
        yield f"pictures change their size: all are scaled to the first one's, {seen.size}"
    if shape.is_trimmed:
        yield f"{seen.size} is odd: pictures are cut to {shape.size}"
