"""Laws of the loop: determinism, resumption, the anchors."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.models import Model
from dreamvid.options import Anchors, Ascent, Camera, Clip, General
from dreamvid.pipeline import frames, seed_of_next
from dreamvid.recipe import Recipe
from dreamvid.types import Carry, Frame
from small import counted_compiles, random_picture

SOURCE = np.asarray(random_picture(32, 48))
ASCENT = Ascent("mixed4a", steps=1, octaves=2, jitter=4)


def recipe(count: int = 4, **changes: object) -> Recipe:
    groups = {"camera": Camera(), "anchors": Anchors(), "clip": Clip(count), "ascent": ASCENT}
    return Recipe(**groups | changes)  # type: ignore[arg-type]


def pictures(clip: Iterator[tuple[Frame, Carry]]) -> list[np.ndarray]:
    return [np.asarray(frame.image) for frame, _ in clip]


def test_the_same_seed_gives_the_same_frames_bit_for_bit(model: Model):
    once = pictures(frames(recipe(), model, SOURCE))
    jax.clear_caches()  # as a new process would
    again = pictures(frames(recipe(), model, SOURCE))
    np.testing.assert_array_equal(once, again)
    other = pictures(frames(recipe(general=General(seed=1)), model, SOURCE))
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_after_its_second_frame_a_clip_compiles_nothing(
    model: Model, backend: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)  # the loop's place
    clip = frames(recipe(6), model, SOURCE)
    for _ in range(2):
        next(clip)
    with counted_compiles() as compiled:
        assert len(pictures(clip)) == 4
    assert not compiled


def test_going_on_from_a_carry_gives_the_same_frames_bit_for_bit(model: Model):
    whole = list(frames(recipe(6), model, SOURCE))
    _, carry = whole[2]
    rest = list(frames(recipe(6), model, SOURCE, carry))
    assert [frame.index for frame, _ in rest] == [3, 4, 5]
    for (old, _), (new, _) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(old.image, new.image)


def test_each_frame_is_the_seed_of_the_next(model: Model):
    clip = list(frames(recipe(), model, SOURCE))
    for (_, carry), (frame, _) in pairwise(clip):
        prior = seed_of_next(recipe(), carry)
        # One step of 1.5 levels in each of two octaves moves a pixel by little.
        assert float(jnp.abs(frame.image - prior).mean()) < 4 / 255


def test_a_still_is_a_clip_of_one_frame(model: Model):
    ((frame, _),) = frames(recipe(1), model, SOURCE)
    assert frame.index == 0
    assert frame.image.shape == SOURCE.shape


def test_frames_are_pictures(model: Model):
    for frame, _ in frames(recipe(), model, SOURCE):
        assert frame.image.dtype == jnp.float32
        assert jnp.isfinite(frame.image).all()
        assert 0 <= frame.image.min() <= frame.image.max() <= 1


def test_the_anchor_holds_brightness_and_contrast(model: Model):
    def drift(strength: float) -> float:
        anchors = Anchors(anchor_tone=strength)
        last = pictures(frames(recipe(25, anchors=anchors), model, SOURCE))[-1]
        return abs(last.std((0, 1)) - SOURCE.std((0, 1))).max()

    assert drift(0.5) < 0.5 * drift(0.0)


@pytest.mark.parametrize("fps", [24, 60])
def test_the_camera_moves_as_far_in_a_second_at_any_rate(fps: int):
    x = jnp.linspace(0, 1, 64)
    ramp = jnp.broadcast_to(x[None, :, None], (48, 64, 3))
    clip = recipe(clip=Clip(fps=Fraction(fps)), camera=Camera(zoom=1.05, angle=0.0))
    carry = Carry(0, ramp, jnp.zeros((2, 3)))
    still = Anchors(anchor_tone=0.0)
    seen = seed_of_next(Recipe(camera=clip.camera, anchors=still, clip=clip.clip), carry)
    slope = float((seen[24, 40, 0] - seen[24, 24, 0]) / (ramp[24, 40, 0] - ramp[24, 24, 0]))
    assert slope == pytest.approx(1.05 ** (-30 / fps), abs=4e-3)
