"""Zooms: each dreamed frame, moved by the camera, is the seed of the next."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid import ops
from dreamvid.aims import Aim
from dreamvid.ascent import frame_key
from dreamvid.fields import Size
from dreamvid.models import AnyModel
from dreamvid.options import Anchors
from dreamvid.timeline import Timeline
from dreamvid.together import Dreamer, Wish
from dreamvid.types import Frame, Image, ZoomCarry

SETTLING = 45
"""Ticks after which the sharpness that a clip has by then is what it is held to."""
_FEATHER = 0.15
"""Of a key frame's height: where its border fades into the other key frame of a draft."""


_NOVELTY = 0.12
"""Deviation of the random forms that fill what the camera had not seen."""


def zoom(
    timeline: Timeline,
    model: AnyModel | None,
    aim: Aim,
    source: Image | np.ndarray,
    carry: ZoomCarry | None,
) -> Generator[tuple[Frame, ZoomCarry], None, None]:
    """The frames of a zoom, or of a still; see `dreamvid.pipeline.frames`."""
    for ((_, frame, now),) in zooms([timeline], model, aim, [source], [carry]):
        yield frame, now


def zooms(
    timelines: Sequence[Timeline],
    model: AnyModel | None,
    aim: Aim,
    sources: Sequence[Image | np.ndarray],
    carries: Sequence[ZoomCarry | None],
) -> Generator[list[tuple[int, Frame, ZoomCarry]], None, None]:
    """The frames of several zooms that are dreamed at once.

    Args:
      timelines: The clip of each.
      model: The network of all.
      aim: What they all dream of.
      sources: What each begins with; see `dreamvid.pipeline.frames`.
      carries: What came with the last frame made of each; None begins.

    Yields:
      The next frame of each that has one: (which, frame, carry).
    """
    makers = [_Maker(timeline, model, aim) for timeline in timelines]
    dreamer = Dreamer(model, len(makers))
    now = [
        carry or maker.begin(jnp.array(source, jnp.float32))
        for maker, source, carry in zip(makers, sources, carries, strict=True)
    ]
    while at := [which for which, maker in enumerate(makers) if maker.goes_on(now[which])]:
        made = _granted([makers[which].next(now[which]) for which in at], dreamer)
        frames = []
        for which, (image, carry) in zip(at, made, strict=True):
            now[which], maker = carry, makers[which]
            frames.append((which, maker.frame(image, carry), carry))
        yield frames


Step: TypeAlias = Generator[Wish, Image, tuple[Image, ZoomCarry]]
"""Makes a frame: asks for pictures to be dreamed, is sent them, and returns it with its carry."""


def _granted(steps: list[Step], dreamer: Dreamer) -> list[tuple[Image, ZoomCarry]]:
    """What steps make, once each has what it wished for."""
    made: dict[int, tuple[Image, ZoomCarry]] = {}
    answers: dict[int, Image | None] = dict.fromkeys(range(len(steps)))
    while answers:
        wishes = {}
        for which, dreamed in answers.items():
            try:
                # The first answer, None, begins it.
                wishes[which] = steps[which].send(dreamed)  # type: ignore[arg-type]
            except StopIteration as done:
                made[which] = done.value
        answers = dict(zip(wishes, dreamer.dream(list(wishes.values())), strict=True))
    return [made[which] for which in range(len(steps))]


class _Maker:
    """Makes each frame from the carry of the one before."""

    def __init__(self, timeline: Timeline, model: AnyModel | None, aim: Aim):
        self.timeline = timeline
        self._model = model
        self._aim = aim

    def begin(self, source: Image) -> ZoomCarry:
        """The carry before the first frame: the source itself."""
        margin = self.timeline.margin
        image = ops.pad(source, margin.height, margin.width)
        before = self.timeline.first - 1
        return ZoomCarry(before, image, ops.tone(source), jnp.float32(0.0))

    def crop(self, image: Image) -> Image:
        """The part of a picture that is the frame."""
        margin = self.timeline.margin
        return ops.crop(image, margin.height, margin.width)

    def goes_on(self, carry: ZoomCarry) -> bool:
        """Whether there is a frame after this."""
        return (last := self.timeline.last) is None or carry.index < last

    def frame(self, image: Image, carry: ZoomCarry) -> Frame:
        """The frame that has this carry."""
        index = carry.index
        return Frame(self.timeline.number(index) if index >= 0 else index, self.crop(image))

    def next(self, carry: ZoomCarry) -> Step:
        """The next frame and its carry."""
        return self.draft(carry) if self.timeline.recipe.clip.draft else self.step(carry)

    def step(self, carry: ZoomCarry) -> Step:
        """The next frame, which is dreamed, and its carry."""
        index = carry.index + 1
        prior = self._prior(carry, index)
        if self.timeline.closed:
            prior, carry = self._return(prior, carry, index)
        carry = yield from self._finish(prior, carry, index)
        return carry.image, carry

    def draft(self, carry: ZoomCarry) -> Step:
        """The next frame between two key frames, and its carry."""
        index = carry.index + 1
        timeline = self.timeline
        if index == timeline.first:
            dreamed = yield from self._finish(self._prior(carry, index), carry, index)
            return dreamed.image, replace(
                dreamed, key=index, next_key=index, previous=dreamed.image
            )
        if carry.index == carry.next_key:
            start, end = carry.index, timeline.next_key(carry.index)
            dreamed = yield from self._finish(self._prior(carry, end), carry, end, end - start)
            carry = replace(dreamed, key=start, next_key=end, previous=carry.image)
        carry = replace(carry, index=index)
        if index == carry.next_key:
            return carry.image, carry
        assert carry.previous is not None
        back = timeline.matrix(carry.key, index)
        onward = np.linalg.inv(timeline.matrix(index, carry.next_key))
        share = (index - carry.key) / (carry.next_key - carry.key)
        return _between(carry.previous, carry.image, back, onward, share), carry

    def _prior(self, carry: ZoomCarry, index: int) -> Image:
        """What goes into the dream of a frame: the one before, after the camera's motion."""
        if carry.index < self.timeline.first:
            return carry.image
        matrix = self.timeline.matrix(carry.index, index)
        if self.timeline.margin == Size(0, 0):
            return _moved(carry.image, matrix)
        return _moved_out(carry.image, matrix, self._key(index, 1))

    def _return(self, prior: Image, carry: ZoomCarry, index: int) -> tuple[Image, ZoomCarry]:
        """Leads the end of a closed loop into what went into its beginning."""
        overlap = self.timeline.recipe.clip.overlap
        if index < 0:
            kept = (*carry.entered, prior) if index >= -overlap else ()
            return prior, replace(carry, entered=kept)
        share = self.timeline.returned(index)
        if share == 0.0:
            return prior, carry
        assert self.timeline.last is not None
        entered = carry.entered[index - self.timeline.last - 1 + overlap]
        return (entered if share == 1.0 else _blended(prior, entered, share)), carry

    def _finish(
        self, prior: Image, carry: ZoomCarry, index: int, span: int = 1
    ) -> Generator[Wish, Image, ZoomCarry]:
        """Dreams a frame and holds it near the beginning; the carry that it leaves.

        `span` frames have gone by since the one before.
        """
        timeline = self.timeline
        moment = timeline.moment(index)
        image = prior
        if self._model is not None:
            image = yield Wish(
                prior,
                self._aim.objective(timeline, index),
                moment.ascent,
                self._key(index),
                self._aim.masks(timeline, index),
            )
        if timeline.recipe.kind == "image" or self._model is None:
            return replace(carry, index=index, image=image)
        anchors = moment.anchors
        elapsed = index - timeline.first
        settled = elapsed * timeline.recipe.tick >= SETTLING
        if timeline.closed:  # what its end returns to was held to the same as the end
            settled = index >= -timeline.recipe.clip.overlap
        image, sharpness = _held(
            image,
            carry.tone * np.array([[1.0] * 3, [1.0, anchors.colour, anchors.colour]], np.float32),
            carry.sharpness,
            timeline.share(anchors.anchor_tone, span),
            self._sharpening(index, anchors, span) if settled else 0.0,
            float(anchors.anchor_range),
            # A running mean until it is settled.
            float(0.0 if settled else max(span / (elapsed + span), timeline.share(0.07, span))),
        )
        return replace(carry, index=index, image=image, sharpness=sharpness)

    def _key(self, index: int, use: int = 0) -> jax.Array:
        return frame_key(self.timeline.recipe.general.seed, self.timeline.number(index), use)

    def _sharpening(self, index: int, anchors: Anchors, span: int) -> float:
        """How strongly a frame is held to the sharpness of the start."""
        strength = self.timeline.share(anchors.anchor_sharpness, span)
        share = self.timeline.returned(index)
        # Two pictures at once are dreamed finer than one, which must not show.
        return strength + (1.0 - strength) * 4.0 * share * (1.0 - share)


@jax.jit
def _moved(image: Image, matrix: jax.Array | np.ndarray) -> Image:
    return jnp.clip(ops.move(image, matrix), 0.0, 1.0)


@jax.jit
def _moved_out(image: Image, matrix: jax.Array | np.ndarray, key: jax.Array) -> Image:
    """The picture after a motion that looks past its border, where new forms may begin."""
    height, width = image.shape[:2]
    seen = ops.seen_by(matrix, height, width)
    # A mirrored border alone would be drawn out into streaks, a little more with every frame.
    new = jnp.clip(-ops.inside(seen, height, width), 0.0, 1.0)[..., None]
    moved = ops.warp(image, seen) + _NOVELTY * new * ops.clouds(key, height, width)
    return jnp.clip(moved, 0.0, 1.0)


@jax.jit
def _blended(first: Image, second: Image, share: jax.Array | float) -> Image:
    return jnp.clip(ops.blend(first, second, share), 0.0, 1.0)


@jax.jit
def _held(
    image: Image,
    tone: jax.Array,
    sharpness: jax.Array,
    tone_strength: jax.Array | float,
    sharpness_strength: jax.Array | float,
    knee: jax.Array | float,
    learning: jax.Array | float,
) -> tuple[Image, jax.Array]:
    """The picture led back to the anchors, and the anchor of sharpness, which learns from it."""
    now = ops.rms_luma(ops.fine_detail(image))
    image = ops.match_sharpness(image, sharpness, sharpness_strength)
    image = ops.soft_clip(ops.match_tone(image, tone, tone_strength), knee)
    return jnp.clip(image, 0.0, 1.0), sharpness + learning * (now - sharpness)


@jax.jit
def _between(
    first: Image,
    second: Image,
    back: jax.Array | np.ndarray,
    onward: jax.Array | np.ndarray,
    share: jax.Array | float,
) -> Image:
    """A moment between two key frames: each as the camera then sees it, faded into the other."""
    height, width = first.shape[:2]
    pictures, covers = [], []
    for image, matrix, weight in ((first, back, 1.0 - share), (second, onward, share)):
        seen = ops.seen_by(matrix, height, width)
        pictures.append(ops.warp(image, seen))
        depth = ops.inside(seen, height, width) + 1.0
        covers.append(weight * jnp.clip(depth / (_FEATHER * height), 1e-4, 1.0))
    part = (covers[1] / (covers[0] + covers[1]))[..., None]
    mixed = ops.blend(pictures[0], pictures[1], part)
    return jnp.clip(mixed, 0.0, 1.0)
