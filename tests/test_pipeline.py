"""Laws of the loop: determinism, resumption, the anchors, closed loops, drafts."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import ops
from dreamvid.camera import Spiral, Zoom
from dreamvid.models import Model
from dreamvid.options import Anchors, Ascent, Clip, General
from dreamvid.pipeline import frames
from dreamvid.recipe import Recipe
from dreamvid.timeline import LEAD
from dreamvid.types import Carry, Frame, ZoomCarry
from small import counted_compiles, random_picture

SOURCE = np.asarray(random_picture(32, 48))
ASCENT = Ascent("mixed4a", steps=1, octaves=2, jitter=4)
LOOSE = Anchors(anchor_tone=0.0, anchor_sharpness=0.0, anchor_range=0.0, colour=1.0)
SHORT_LOOP = Clip(12, loop="closed", overlap=4, fps=6)  # type: ignore[arg-type]
"""Of 6 frames a second, so that its lead is short."""

VARIANTS = {
    "zoom": Recipe(ascent=ASCENT, clip=Clip(6)),
    "past the border": Recipe(ascent=ASCENT, camera=Zoom(0.95, 2.0), clip=Clip(6)),
    "closed": Recipe(ascent=ASCENT, clip=SHORT_LOOP),
    "draft": Recipe(ascent=ASCENT, camera=Zoom(1.1, 0.0), clip=Clip(7, draft=True)),
    "animated": Recipe(
        ascent=replace(
            ASCENT,
            layer="0:(mixed3a), 4:(mixed4a)",
            rate="1+sin(t)/2",  # type: ignore[arg-type]
            steps="1+t%2",  # type: ignore[arg-type]
            octaves="1+t%2",  # type: ignore[arg-type]
            jitter="t",  # type: ignore[arg-type]
        ),
        camera=Spiral("1.02+t/1000", "t"),  # type: ignore[arg-type]
        anchors=Anchors(anchor_tone="0:(0), 5:(1)"),  # type: ignore[arg-type]
        clip=Clip(6),
    ),
}


def recipe(count: int = 4, **changes: object) -> Recipe:
    return Recipe(**{"ascent": ASCENT, "clip": Clip(count)} | changes)  # type: ignore[arg-type]


def pictures(clip: Iterator[tuple[Frame, Carry]]) -> list[np.ndarray]:
    return [np.asarray(frame.image) for frame, _ in clip if frame.index >= 0]


def test_the_same_seed_gives_the_same_frames_bit_for_bit(model: Model):
    once = pictures(frames(recipe(), model, SOURCE))
    jax.clear_caches()  # as a new process would
    again = pictures(frames(recipe(), model, SOURCE))
    np.testing.assert_array_equal(once, again)
    other = pictures(frames(recipe(general=General(seed=1)), model, SOURCE))
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("name", ["zoom", "animated", "past the border"])
def test_after_its_third_frame_a_clip_compiles_nothing(
    model: Model, backend: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)  # the loop's place
    clip = frames(VARIANTS[name], model, SOURCE)
    for _ in range(3):
        next(clip)
    with counted_compiles() as compiled:
        assert len(pictures(clip)) == 3
    assert not compiled


@pytest.mark.parametrize("name", VARIANTS)
def test_going_on_from_a_saved_carry_gives_the_same_frames_bit_for_bit(model: Model, name: str):
    whole = list(frames(VARIANTS[name], model, SOURCE))
    for stop in {1, 3, len(whole) // 2, len(whole) - 2}:
        saved = {key: np.array(value) for key, value in whole[stop][1].arrays().items()}
        rest = list(frames(VARIANTS[name], model, SOURCE, Carry.of(saved)))
        assert [f.index for f, _ in rest] == [f.index for f, _ in whole[stop + 1 :]]
        for (old, _), (new, _) in zip(whole[stop + 1 :], rest, strict=True):
            np.testing.assert_array_equal(old.image, new.image)


@pytest.mark.parametrize("name", VARIANTS)
def test_frames_are_pictures_in_order(model: Model, name: str):
    made = list(frames(VARIANTS[name], model, SOURCE))
    count = VARIANTS[name].clip.frames or 0
    assert [carry.index for _, carry in made] == list(range(made[0][1].index, count))
    assert sorted(frame.index for frame, _ in made if frame.index >= 0) == list(range(count))
    for frame, _ in made:
        assert frame.image.shape == SOURCE.shape
        assert frame.image.dtype == jnp.float32
        assert jnp.isfinite(frame.image).all()
        assert 0 <= frame.image.min() <= frame.image.max() <= 1


def test_each_frame_is_the_seed_of_the_next(model: Model):
    clip = recipe(camera=Zoom(1.0, 0.0), anchors=LOOSE)
    for before, after in pairwise(pictures(frames(clip, model, SOURCE))):
        # One step of 1.5 levels in each of two octaves moves a pixel by little.
        assert 0 < np.abs(after - before).mean() < 4 / 255


def test_a_still_is_a_clip_of_one_frame(model: Model):
    ((frame, _),) = frames(recipe(1), model, SOURCE)
    assert frame.index == 0
    assert frame.image.shape == SOURCE.shape


def test_without_a_network_only_the_camera_moves():
    still = pictures(frames(recipe(camera=Zoom(1.0, 0.0)), None, SOURCE))
    for picture in still:
        np.testing.assert_allclose(picture, SOURCE, atol=1e-5)
    moving = pictures(frames(recipe(), None, SOURCE))
    assert not np.allclose(moving[0], moving[-1])


def test_the_anchors_hold_brightness_contrast_and_colourfulness(model: Model):
    def drift(anchors: Anchors) -> float:
        last = pictures(frames(recipe(25, anchors=anchors), model, SOURCE))[-1]
        return float(jnp.abs(ops.tone(jnp.array(last)) - ops.tone(jnp.array(SOURCE))).max())

    held = replace(LOOSE, anchor_tone=1.0)
    assert drift(held) < 1 / 255 < 0.5 * drift(LOOSE)


def test_colour_is_a_multiple_of_the_source_s(model: Model):
    for colour in (0.0, 0.5):
        anchors = replace(LOOSE, anchor_tone=1.0, colour=colour)
        last = pictures(frames(recipe(3, anchors=anchors), model, 0.25 + 0.5 * SOURCE))[-1]
        deviation = ops.tone(jnp.array(last))[1]
        expected = colour * ops.tone(jnp.array(0.25 + 0.5 * SOURCE))[1]
        np.testing.assert_allclose(deviation[1:], expected[1:], atol=2e-3)


def test_the_end_of_a_closed_loop_is_what_came_before_its_beginning(model: Model):
    clip = VARIANTS["closed"]
    made = {frame.index: frame.image for frame, _ in frames(clip, model, SOURCE)}
    lead = int(LEAD / clip.tick)
    assert sorted(made) == list(range(-4 - lead, 12))
    # It is dreamed from frame 6 on, so the one after 5 is frame 6 again.
    np.testing.assert_array_equal(made[5], made[-1])


def test_a_draft_dreams_its_key_frames_and_passes_through_them(model: Model):
    clip = VARIANTS["draft"]
    made = pictures(frames(clip, model, SOURCE))
    strong = replace(ASCENT, rate=2 * ASCENT.rate, steps=2 * ASCENT.steps)
    alone = pictures(frames(replace(clip, clip=Clip(1), ascent=strong), model, SOURCE))
    np.testing.assert_array_equal(made[0], alone[0])
    # Between keys two zoomed pictures are faded: no step is much larger than the others.
    steps = [np.abs(b - a).mean() for a, b in pairwise(made)]
    assert max(steps) < 3 * min(steps)


def test_the_dream_reaches_past_the_frame_where_the_camera_will_look(model: Model):
    _, carry = next(frames(VARIANTS["past the border"], model, SOURCE))
    assert isinstance(carry, ZoomCarry)
    assert carry.image.shape == (32 + 2 * 4, 48 + 2 * 6, 3)
