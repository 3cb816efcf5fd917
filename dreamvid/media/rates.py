"""The rate of pictures whose times a file has rounded."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

SURE = 5
"""Pictures at equal distances whose rate is no accident of rounding."""
HOLES = 0.25
"""Of the steps between pictures of a film with holes, at most so many are more than one long."""


def constant_rate(
    times: Sequence[Fraction], tick: Fraction, told: Sequence[Fraction]
) -> Fraction | None:
    """The rate at which pictures follow one another.

    Args:
      times: When each is shown, in seconds, rising.
      tick: What times are rounded to, in seconds.
      told: Rates that the file tells, the most likely in front.

    Returns:
      Pictures a second; None where no rate puts each picture within a tick of its time.
    """
    if len(times) == 1:
        return told[0] if told else None
    steps = {after - before for before, after in pairwise(times)}
    if len(steps) == 1 and len(times) >= SURE:
        return 1 / steps.pop()
    average = (len(times) - 1) / (times[-1] - times[0])
    common = (Fraction(round(average)), Fraction(round(average * 1001 / 1000) * 1000, 1001))
    shown, numbers = _floats(times), np.arange(len(times))
    candidates = (*told, *(1 / step for step in steps if len(steps) == 1), *common)
    return next((r for r in candidates if r and _fits(shown, numbers, r, tick)), None)


def count_holes(times: Sequence[Fraction], tick: Fraction, told: Sequence[Fraction]) -> int:
    """How many pictures are missing from a film that else has a constant rate.

    Args:
      times: As `constant_rate` has them.
      tick: Likewise.
      told: Likewise.

    Returns:
      0 too where pictures come at times of their own.
    """
    shown = _floats(times)
    for rate in told:
        numbers = np.round(shown * float(rate)).astype(int)
        steps = np.diff(numbers)
        if _fits(shown, numbers, rate, tick) and (steps > 1).sum() <= HOLES * len(steps):
            return int((steps - 1).sum())
    return 0


def _fits(shown: np.ndarray, numbers: np.ndarray, rate: Fraction, tick: Fraction) -> bool:
    off = shown - numbers / float(rate)
    return bool(np.ptp(off) <= 1.001 * float(tick) + 1e-9)


def _floats(times: Sequence[Fraction]) -> np.ndarray:
    return np.array([float(time - times[0]) for time in times])
