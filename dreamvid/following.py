"""Dreamed films: the dream of each picture goes on to the next with what it is attached to.

A dream is a film's picture and what was dreamed into it, o = c + r. The next picture's begins with
x = c' + share * trust * warp(r, flow), and takes as many steps as what has faded or come into view
needs. Only what was dreamed is ever resampled, so the film stays sharp.
Source: Ruder et al. 2016, "Artistic style transfer for videos", for the flow, its trust and the
looking back further than one picture.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid import ops
from dreamvid.aims import Aim
from dreamvid.ascent import dream, frame_key
from dreamvid.flow import draw_flow, draw_trust
from dreamvid.models import AnyModel
from dreamvid.reel import Reel, View
from dreamvid.timeline import Timeline
from dreamvid.types import FilmCarry, Frame, Image

MOST = 4.0
"""The rate is raised so many times at most where a picture shows what was not there before: few
long steps make static."""


def follow(
    timeline: Timeline, model: AnyModel | None, aim: Aim, reel: Reel, carry: FilmCarry | None
) -> Generator[tuple[Frame, FilmCarry], None, None]:
    """The frames of a dreamed film; see `dreamvid.pipeline.frames`."""
    nothing = FilmCarry(-1, (), (), jnp.float32(0.0))
    carry = carry or nothing
    with closing(reel.views(carry.index + 1)) as views:
        for view in views:
            if model is None:
                image, carry = _shown(view, timeline), replace(nothing, index=view.number)
            else:
                image, carry = _dreamed(view, timeline, model, aim, reel, carry)
            yield Frame(view.number, image), carry


def steps_of(steps: int, fresh: float, least: int) -> int:
    """The steps in each octave of a picture that follows another.

    They dream anew what fades or comes into view, so that the dream neither piles up nor runs out.
    Where that is little they are few and long: of many short ones, each with a jitter of its own,
    the fine detail would be averaged away (a fifth of it, measured).

    Args:
      steps: Those of a picture that is dreamed by itself.
      fresh: Share of the picture's dream that is new.
      least: At least so many, but no more than `steps`.
    """
    return max(math.ceil(round(steps * fresh**2, 6)), min(least, steps))


def _shown(view: View, timeline: Timeline) -> Image:
    """The flow to the picture before, or the mask of where it is trusted."""
    height, width = view.picture.shape[:2]
    if timeline.recipe.coherence.show == "flow":
        flow = view.matches[0].flow if view.matches else np.zeros((height, width, 2), np.float32)
        return ops.from_levels(draw_flow(flow))
    trust = view.matches[0].trust if view.matches else np.zeros((height, width), np.float32)
    return ops.from_levels(draw_trust(trust))


def _dreamed(
    view: View, timeline: Timeline, model: AnyModel, aim: Aim, reel: Reel, carry: FilmCarry
) -> tuple[Image, FilmCarry]:
    """A picture's dream as it is shown, and what the next one needs."""
    number, recipe = view.number, timeline.recipe
    moment = timeline.moment(number)
    ascent, coherence = moment.ascent, moment.coherence
    paints = coherence.blend == "image"
    share = coherence.coherence
    steps = steps_of(ascent.steps, 1.0 - share * view.known, coherence.follow_steps)
    picture = ops.from_levels(view.picture)
    kept = dict(zip(carry.numbers, carry.dreams, strict=True))
    prior, weight = _prior(
        picture,
        [kept[earlier] for earlier in reel.earlier(number)],
        [match.flow for match in view.matches],
        [match.trust for match in view.matches],
        share,
        ascent.steps / max(steps, 1),
        paints,
    )
    image = dream(
        model,
        prior,
        aim.objective(timeline, number),
        replace(ascent, steps=steps),
        frame_key(recipe.general.seed, number),
        weight,
        aim.masks(timeline, number),
    )
    image, kept[number], fineness = _finished(
        image,
        picture,
        view.mask,
        carry.fineness,
        timeline.share(coherence.hold_tone),
        timeline.share(coherence.hold_detail) if view.matches else 0.0,
        coherence.mix,
        paints,
    )
    needed = reel.earlier(number + 1)
    dreams = tuple(kept[earlier] for earlier in needed)
    return image, FilmCarry(number, needed, dreams, carry.fineness if view.matches else fineness)


@partial(jax.jit, static_argnames="paints")
def _prior(
    picture: Image,
    dreams: Sequence[Image],
    flows: Sequence[jax.Array | np.ndarray],
    trusts: Sequence[jax.Array | np.ndarray],
    share: jax.Array | float,
    gain: jax.Array | float,
    paints: bool,
) -> tuple[Image, jax.Array]:
    """What goes into a dream, and how hard each place of it is dreamed.

    Args:
      picture: The film's, (h, w, 3).
      dreams: What goes on from earlier pictures, the first choice in front.
      flows: To each of those, (h, w, 2).
      trusts: In each of those, (h, w).
      share: Of what goes on.
      gain: The rate where nothing goes on, over the recipe's.
      paints: Whether whole pictures go on, rather than what was dreamed into them.
    """
    height, width = picture.shape[:2]
    unknown = jnp.ones((height, width, 1))
    carried = jnp.zeros_like(picture)
    for index, (earlier, flow, trust) in enumerate(zip(dreams, flows, trusts, strict=True)):
        seen = ops.places(height, width) + flow
        # Exact where it happens again and again; what comes back after a while does so once.
        moved = ops.warp(earlier, seen) if index == 0 else ops.warp_bilinear(earlier, seen)
        known = unknown * trust[..., None]
        carried += known * moved
        unknown -= known
    fresh = 1.0 - share * (1.0 - unknown)
    prior = (fresh if paints else 1.0) * picture + share * carried
    return jnp.clip(prior, 0.0, 1.0), jnp.minimum(gain * fresh, MOST)


@partial(jax.jit, static_argnames="paints")
def _finished(
    image: Image,
    picture: Image,
    mask: jax.Array | np.ndarray | None,
    fineness: jax.Array,
    hold_tone: jax.Array | float,
    hold_detail: jax.Array | float,
    mix: jax.Array | float,
    paints: bool,
) -> tuple[Image, Image, jax.Array]:
    """A dream as it is shown, what goes on to the next picture, and its share of fine detail."""
    dreamed = ops.match_tone_of_areas(image, picture, hold_tone) - picture
    now = ops.fineness(dreamed)
    # Of what each picture adds, the finest differs with its jitter, and would be averaged away.
    dreamed = ops.match_sharpness(dreamed, fineness * ops.rms_luma(dreamed), hold_detail)
    if mask is not None:
        dreamed = jnp.asarray(mask)[..., None] * dreamed
    dreamed = jnp.clip(picture + dreamed, 0.0, 1.0) - picture
    shown = picture + mix * dreamed
    return shown, picture + dreamed if paints else dreamed, now
