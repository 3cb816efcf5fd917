"""What a recipe asks for frame by frame: the moment's options and the camera's step. No JAX."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from dreamvid.camera import Velocity, between, beyond, in_pixels
from dreamvid.errors import OptionError
from dreamvid.fields import Size
from dreamvid.recipe import FORESEEN, Recipe
from dreamvid.schedule import Fade, Scope

MARGIN = 0.125
"""How much wider than the frame, on each side, the dream is where the camera looks past the border:
what comes in was dreamed for a while before it is seen."""
LEAD = 60
"""Ticks that a closed loop dreams before what its end will return to, which is not to look like the
source."""
_KEY_SCALE = 1.25
"""How far a draft zooms on one key frame."""
_DRAFT_STRENGTH = 2
"""How many times the steps, and the rate of each, a draft's key frames get."""
_LONGEST_DRAFT = 30
"""Ticks that a draft goes on one key frame at most."""
_LOOKED_AT = 6000
"""Ticks of the camera's path, evenly over the clip, that decide whether there is a margin."""


@dataclass(frozen=True)
class Timeline:
    """A recipe laid out over the frames of a clip of one size.

    Frames are numbered as they are dreamed. A closed loop begins before frame 0, with frames that
    only lead up to it.
    """

    recipe: Recipe
    scope: Scope
    size: Size
    times: tuple[Fraction, ...] | None = None
    """When each frame is shown, in seconds; None where they follow at the clip's rate."""

    @property
    def first(self) -> int:
        """The number of the first frame to be dreamed; below 0 where a closed loop warms up."""
        if not self.closed:
            return 0
        return -self.recipe.clip.overlap - math.ceil(LEAD / self.recipe.tick)

    @property
    def closed(self) -> bool:
        """Whether the last frame leads into the first."""
        return self.recipe.clip.loop == "closed"

    @property
    def last(self) -> int | None:
        """The number of the last frame to be dreamed; None where there is none."""
        count = self.recipe.dreamed_frames
        return None if count is None else count - 1

    @property
    def order(self) -> tuple[range, ...]:
        """The dreamed frames as the clip shows them: ranges, one after the other."""
        frames, last = self.recipe.clip.frames, self.last
        assert frames is not None
        assert last is not None
        if self.recipe.clip.loop == "pingpong":
            return range(last + 1), range(last - 1, 2 * last - frames, -1)
        return range(frames - self._cut, frames), range(frames - self._cut)

    def number(self, index: int) -> int:
        """The place in the clip of a frame, by when it is dreamed.

        A closed loop is cut open where it is smoothest, half a turn from where its end returns to
        its beginning, so its first frame is dreamed half-way; those before it are at its end.
        """
        frames = self.recipe.clip.frames
        return (index + self._cut) % frames if self.closed and frames else index

    @property
    def _cut(self) -> int:
        return (self.recipe.clip.frames or 0) // 2 if self.closed else 0

    def moment(self, index: int) -> Recipe:
        """The recipe as it is at a frame, with numbers in place of schedules."""
        moment = self.recipe.at(self.time(index), self.scope)
        clip, ascent = self.recipe.clip, moment.ascent
        rate, steps = ascent.rate, ascent.steps
        if clip.strength == "clock":
            rate *= self.recipe.tick
        if clip.draft:  # a key frame stands for many
            rate, steps = _DRAFT_STRENGTH * rate, min(_DRAFT_STRENGTH * steps, 100_000)
        return replace(moment, ascent=replace(ascent, rate=min(rate, 255.0), steps=steps))

    def weights(self, index: int) -> dict[str, float]:
        """How much of each layer is dreamed at a frame; they add up to 1."""
        layer = self.recipe.ascent.layer
        return layer.at(self.time(index), self.scope) if isinstance(layer, Fade) else {layer: 1.0}

    def share(self, strength: float, frames: int = 1) -> float:
        """What is to be done in some frames of something of which a tick does `strength`."""
        return 1.0 - (1.0 - strength) ** (self.recipe.tick * frames)

    def returned(self, index: int) -> float:
        """How far the end of a closed loop has returned to its beginning at a frame, in [0, 1]."""
        if not self.closed or index < 0 or self.last is None:
            return 0.0
        overlap = self.recipe.clip.overlap
        share = max(index - self.last + overlap, 0) / overlap
        return share * share * (3.0 - 2.0 * share)

    def matrix(self, start: int, end: int) -> np.ndarray:
        """The camera's motion from one frame to a later one.

        Returns:
          float64 (3, 3): a place in frame `end` -> the same in frame `start`, in pixels from the
          centre.
        """
        return in_pixels(self._matrix(start, end), self.size.height)

    @cached_property
    def margin(self) -> Size:
        """Pixels on each side by which the dream is larger than the frame."""
        if self.recipe.kind != "zoom":
            return Size(0, 0)
        tick = self.recipe.tick
        last = self.last if self.last is not None else int(FORESEEN / tick)
        count = min(last, math.ceil(_LOOKED_AT / max(tick, 1.0)))
        furthest = 0.0
        for index in np.linspace(0, max(last - 1, 0), count).astype(int):
            matrix = self._matrix(int(index), int(index) + 1)
            if math.isinf(beyond(matrix, self._aspect, 1.0 + 2.0 * MARGIN)):
                raise OptionError("camera", f"looks behind itself at frame {index}: tilt it less")
            furthest = max(furthest, beyond(matrix, self._aspect))
        if furthest < 1e-6:
            return Size(0, 0)
        return Size(math.ceil(MARGIN * self.size.width), math.ceil(MARGIN * self.size.height))

    def next_key(self, index: int) -> int:
        """The frame after `index` that a draft dreams, as far off as the camera lets it be."""
        assert self.last is not None
        matrix = np.eye(3)
        for end in range(index + 1, self.last + 1):
            matrix = matrix @ self._matrix(end - 1, end)
            matrix /= matrix[2, 2]
            scale = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
            back = np.linalg.inv(matrix)
            # One of the two shows what the other lacks, but for a strip within the margin.
            lacks = min(beyond(matrix, self._aspect), beyond(back / back[2, 2], self._aspect))
            long = (end - index) * self.recipe.tick > _LONGEST_DRAFT
            if long or abs(math.log(scale)) > math.log(_KEY_SCALE) or lacks > MARGIN:
                return max(end - 1, index + 1)
        return self.last

    @property
    def _aspect(self) -> float:
        return self.size.width / self.size.height

    def time(self, index: int) -> float:
        """When a frame is shown, in ticks."""
        if self.times is not None:
            return float(self.times[index] * self.recipe.clip.schedule_fps)
        return self.number(index) * self.recipe.tick

    def _matrix(self, start: int, end: int) -> np.ndarray:
        tick = self.recipe.tick
        begin = self.number(start) * tick
        return between(self._velocity, begin, begin + (end - start) * tick)

    def _velocity(self, tick: float) -> Velocity:
        seconds = tick / float(self.recipe.clip.schedule_fps)
        return self.recipe.camera.at(tick, self.scope).velocity(seconds, self._aspect)
