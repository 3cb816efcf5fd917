"""Figures of dreamed footage beside its source: does the dream stick to what moves, or boil?"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from dreamvid.errors import MediaError
from dreamvid.flow import dis_medium, farneback, grey, seen, warp
from dreamvid.measure import NOTHING, Score, high_frequency
from dreamvid.media.colours import LUMA, to_depth

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two grey pictures, uint8 (h, w) -> float32 (h, w, 2), from the first's pixels to the second's."""

FLOWS: dict[str, Flow] = {"dis": dis_medium, "farneback": farneback}
"""Of neither is a dream made, so that none is measured by its own mistakes."""
LEAST = 0.05
"""Share of a picture: where less of it is followed there was a cut, and less says nothing."""
STILL = 0.25
"""Pixels a frame: what moves less holds still."""
STEADY = 6
"""Levels: what changes by less, softened by STEADY_BLUR, is the camera's noise."""
STEADY_BLUR = 1.5
"""Pixels: the deviation of that blur."""


@dataclass(frozen=True)
class Reading:
    """What is measured of one clip, at a frame or on average. Levels are 8-bit ones, 0 to 255."""

    warp_error: float | None
    """E_warp between the frame before and this one, of RGB in [0, 1]; None across a cut."""
    objective: float | None
    """Half the mean square of the activations; None where no network was asked."""
    high_frequency: float | None
    """Variance of luma from waves above measure.CUTOFF, in levels squared."""
    flicker: float | None
    """By how much more than the source's do values change where it holds still, in levels; None
    where nothing does."""
    difference: float | None
    """Mean distance of the values from the source's, in levels."""
    brightness: float | None
    """Mean luma above the source's, in levels."""


@dataclass(frozen=True)
class FrameFigures:
    """What is measured of one frame."""

    index: int
    """Counted from 0."""
    followed: float | None
    """Share of the frame before that can be followed into this one; None where a shot begins."""
    still: float | None
    """Share of it in which the source holds still, likewise."""
    output: Reading
    source: Reading
    ceiling: Reading | None

    @property
    def gain(self) -> float | None:
        """The objective over the source's."""
        return _ratio(self.output.objective, self.source.objective)


@dataclass(frozen=True)
class Summary:
    """What a clip does on average, and how near its ceiling that is; None where it has none."""

    frames: int
    followed: int
    """Frames that were compared with the one before."""
    reference: int
    """The number of the frame from which the brightness drifts."""
    output: Reading
    source: Reading
    ceiling: Reading | None
    warp_ratio: float | None
    """How far E_warp is on the way from the source's, 0, to the ceiling's, 1."""
    objective_gain: float | None
    """The objective over the source's."""
    objective_ratio: float | None
    """The objective over the ceiling's."""
    high_frequency_ratio: float | None
    """High-frequency energy over the ceiling's."""
    flicker_ratio: float | None
    """Flicker over the ceiling's."""
    brightness_drift: float
    """Largest change of the brightness above the source's from the reference on, in levels."""


@dataclass(frozen=True)
class _Motion:
    """How the source came from one frame to the next; all on the grid of the former."""

    forth: np.ndarray
    """float32 (h, w, 2), in pixels."""
    seen: np.ndarray
    """bool (h, w): seen in both, and not where motions meet."""
    still: np.ndarray
    """bool (h, w)."""


def coherence(
    output: Iterable[np.ndarray],
    source: Iterable[np.ndarray],
    ceiling: Iterable[np.ndarray] | None = None,
    flow: Flow = dis_medium,
    cuts: Collection[int] = (),
    score: Score | None = None,
) -> Iterator[FrameFigures]:
    """Measures a clip beside its source, frame by frame; holds two of each in memory.

    E_warp is the mean squared difference of a frame from the next one, led back along the motion of
    the source: where that can be followed, over all channels. Blur lowers it, as does dreaming
    less; so read it beside the objective and the high-frequency energy.

    Args:
      output: uint8 or uint16 (h, w, 3) RGB, likewise the others.
      source: What it was dreamed from, picture by picture.
      ceiling: The same source dreamed with each frame by itself.
      flow: Follows the source, one of FLOWS.
      cuts: Numbers of the frames that begin a new shot.
      score: Gives a frame's objective, for example from `measure.layer_score`.

    Yields:
      The figures of each frame, in order.

    Raises:
      MediaError: The clips differ in size or length.

    Source: Lai et al. 2018, "Learning Blind Video Temporal Consistency", section 4.2, averaged over
      channels as their program does; what can be followed: Ruder et al. 2016, equations 4 to 6.
    """
    clips = {"output": output, "source": source}
    if ceiling is not None:
        clips["ceiling"] = ceiling
    before: dict[str, np.ndarray] = {}
    for index, frames in enumerate(_together(clips)):
        motion = None
        if before and index not in cuts:
            motion = _follow(before["source"], frames["source"], flow)
        readings = _readings(before, frames, motion, score)
        yield FrameFigures(
            index=index,
            followed=None if motion is None else float(motion.seen.mean()),
            still=None if motion is None else float(motion.still.mean()),
            output=readings["output"],
            source=readings["source"],
            ceiling=readings.get("ceiling"),
        )
        before = frames


def summary(measured: Sequence[FrameFigures], reference: int) -> Summary:
    """Sums up the figures of all frames; the brightness drifts from number `reference` on."""
    output, source = (
        _average([getattr(f, name) for f in measured]) for name in ("output", "source")
    )
    above = [f.ceiling for f in measured if f.ceiling is not None]
    ceiling = _average(above) if above else None
    drift = [f.output.brightness for f in measured[reference:] if f.output.brightness is not None]
    floor = source.warp_error
    return Summary(
        frames=len(measured),
        followed=sum(f.followed is not None for f in measured),
        reference=reference,
        output=output,
        source=source,
        ceiling=ceiling,
        warp_ratio=ceiling
        and _ratio(_less(output.warp_error, floor), _less(ceiling.warp_error, floor)),
        objective_gain=_ratio(output.objective, source.objective),
        objective_ratio=ceiling and _ratio(output.objective, ceiling.objective),
        high_frequency_ratio=ceiling and _ratio(output.high_frequency, ceiling.high_frequency),
        flicker_ratio=ceiling and _ratio(output.flicker, ceiling.flicker),
        brightness_drift=max(abs(value - drift[0]) for value in drift),
    )


def _together(clips: dict[str, Iterable[np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """The frames of all clips, number by number."""
    for index, frames in enumerate(itertools.zip_longest(*clips.values())):
        found = {
            name: frame for name, frame in zip(clips, frames, strict=True) if frame is not None
        }
        for name in clips:
            if name not in found:
                raise MediaError(
                    f"the {name} ends after {index} frames and the {next(iter(found))} does not: "
                    "measure a clip beside the very pictures that it was dreamed from"
                )
            height, width = found[name].shape[:2]
            if (height, width) != found["output"].shape[:2]:
                ours = "x".join(map(str, found["output"].shape[1::-1]))
                raise MediaError(
                    f"the {name} has {width}x{height} pixels and the output {ours}: "
                    "measure a clip beside the very pictures that it was dreamed from"
                )
        yield {name: to_depth(frame, 8) for name, frame in found.items()}


def _follow(before: np.ndarray, now: np.ndarray, flow: Flow) -> _Motion | None:
    """The motion between two pictures; None where one does not come from the other."""
    then, here = grey(before), grey(now)
    forth = flow(then, here)
    visible = seen(forth, flow(here, then))
    if visible.mean() < LEAST:
        return None
    then, here = (
        cv2.GaussianBlur(picture.astype(np.float32), (0, 0), STEADY_BLUR)
        for picture in (then, here)
    )
    still = (np.square(forth).sum(-1) < STILL**2) & (np.abs(here - then) < STEADY)
    return _Motion(forth, visible, still)


def _readings(
    before: dict[str, np.ndarray],
    frames: dict[str, np.ndarray],
    motion: _Motion | None,
    score: Score | None,
) -> dict[str, Reading]:
    lumas = {name: frame @ LUMA for name, frame in frames.items()}
    light = float(lumas["source"].mean())
    errors: dict[str, float] = {}
    changes: dict[str, float] = {}
    if motion is not None:
        errors = {name: _warp_error(before[name], frames[name], motion) for name in frames}
    if motion is not None and motion.still.mean() >= LEAST:
        changes = {name: _change(before[name], frames[name], motion) for name in frames}
    return {
        name: Reading(
            warp_error=errors.get(name),
            objective=None if score is None else score(frame),
            high_frequency=high_frequency(lumas[name]),
            flicker=max(changes[name] - changes["source"], 0.0) if changes else None,
            difference=float(cv2.absdiff(frame, frames["source"]).mean()),
            brightness=float(lumas[name].mean()) - light,
        )
        for name, frame in frames.items()
    }


def _warp_error(before: np.ndarray, now: np.ndarray, motion: _Motion) -> float:
    back = warp(now.astype(np.float32), motion.forth)
    return float(np.square((before - back)[motion.seen] / 255).mean(dtype=np.float64))


def _change(before: np.ndarray, now: np.ndarray, motion: _Motion) -> float:
    return float(cv2.absdiff(now, before)[motion.still].mean())


def _average(readings: Sequence[Reading]) -> Reading:
    means = {}
    for field in fields(Reading):
        values = [getattr(reading, field.name) for reading in readings]
        known = [value for value in values if value is not None]
        means[field.name] = float(np.mean(known)) if known else None
    return Reading(**means)


def _less(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base


def _ratio(value: float | None, base: float | None) -> float | None:
    """None where either is unknown, or the base nothing to compare with."""
    return None if value is None or base is None or base <= NOTHING else value / base
