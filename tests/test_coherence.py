"""The figures of dreamed footage are those of clips whose figures are known."""

import functools

import cv2
import numpy as np
import pytest

from dreamvid.coherence import FLOWS, Flow, FrameFigures, Summary, coherence, summary
from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.colours import LUMA
from scenes import moving_scene

PAN = (3.0, -2.0)
"""Pixels a frame: whole ones, so that a shifted picture is exact."""


@functools.cache
def film(frames: int = 4, pan: tuple[float, float] = PAN, seed: int = 0) -> np.ndarray:
    """A textured plane that moves as a whole: uint8 (frames, 96, 128, 3)."""
    return moving_scene(frames, Size(128, 96), velocity=pan, pan=pan, seed=seed).pictures


def added(pictures: np.ndarray, more: np.ndarray | float) -> np.ndarray:
    """Other levels, rounded to whole ones."""
    return np.clip(np.round(pictures + more), 0, 255).astype(np.uint8)


def noise(pictures: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    """The pictures with noise of their own each."""
    rng = np.random.default_rng(seed)
    return added(pictures, rng.normal(0, deviation, pictures.shape))


def dream(frames: int, pan: tuple[float, float]) -> np.ndarray:
    """A strong pattern that moves: float (frames, 96, 128, 3)."""
    return 0.5 * (film(frames, pan, seed=7) - 128.0)


def exactly(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The flow of one step of `PAN`, forth or back."""
    shifted = np.roll(before, (int(PAN[1]), int(PAN[0])), (0, 1))
    forth = np.abs(shifted.astype(int) - now).mean() < 20
    return np.full((*now.shape, 2), PAN if forth else (-PAN[0], -PAN[1]), np.float32)


def measured(*clips: np.ndarray, **options: object) -> tuple[list[FrameFigures], Summary]:
    """All figures of an output, its source and perhaps its ceiling."""
    frames = list(coherence(*clips, **options))  # type: ignore[arg-type]
    return frames, summary(frames, 0)


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_source_that_holds_still_is_its_own_perfect_dream(flow: Flow):
    still = film(3, (0.0, 0.0))
    frames, found = measured(still, still, flow=flow)
    assert (found.output, found.frames, found.followed) == (found.source, 3, 2)
    assert found.output.warp_error == pytest.approx(0, abs=1e-7)
    assert found.output.flicker == found.output.difference == 0
    assert found.output.brightness == found.brightness_drift == 0
    assert frames[0].followed is frames[0].still is frames[0].output.warp_error is None
    assert frames[1].followed == frames[1].still == 1
    assert found.ceiling is found.warp_ratio is found.objective_gain is None


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_what_moves_with_the_source_is_no_error(flow: Flow):
    source = film()
    stuck, screen = dream(4, PAN), dream(4, (0.0, 0.0))
    _, with_it = measured(added(source, stuck), source, added(source, screen), flow=flow)
    assert with_it.source.warp_error is not None
    assert with_it.source.warp_error < 2e-5
    assert with_it.warp_ratio is not None
    assert with_it.warp_ratio < 0.01
    x, y = int(PAN[0]), -int(PAN[1])
    slipped = screen[0, y:, :-x] - screen[0, :-y, x:]
    assert with_it.ceiling is not None
    assert with_it.ceiling.warp_error == pytest.approx(np.square(slipped / 255).mean(), rel=0.1)
    _, across = measured(added(source, screen), source, added(source, stuck), flow=flow)
    assert across.warp_ratio is not None
    assert across.warp_ratio > 100


def test_noise_of_its_own_in_each_frame_is_an_error_of_twice_its_variance():
    source = film()
    _, found = measured(noise(source, 8), source, noise(source, 16), flow=exactly)
    assert found.source.warp_error == pytest.approx(0, abs=1e-6)
    assert found.output.warp_error == pytest.approx(2 * (8 / 255) ** 2, rel=0.05)
    assert found.warp_ratio == pytest.approx(1 / 4, rel=0.1)


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_the_flows_follow_closely_enough_to_tell_so(flow: Flow):
    source = film()
    _, found = measured(noise(source, 8), source, flow=flow)
    assert found.output.warp_error == pytest.approx(2 * (8 / 255) ** 2, rel=0.1)


def test_what_was_hidden_does_not_count():
    scene = moving_scene(4, Size(128, 96), velocity=(6.0, 0.0), pan=(0.0, 0.0))
    frames, found = measured(scene.pictures, scene.pictures)
    assert all(f.followed is not None and 0.7 < f.followed < 0.97 for f in frames[1:])
    assert found.source.warp_error is not None
    assert found.source.warp_error < 2e-4
    plain = np.square(np.diff(scene.pictures / 255, axis=0)).mean()
    assert found.source.warp_error < plain / 20


def test_nothing_is_compared_across_a_cut():
    def lost(before: np.ndarray, now: np.ndarray) -> np.ndarray:
        return np.full((*now.shape, 2), 9, np.float32)  # no way there leads back

    source = np.concatenate([film(2), film(2, seed=1)])
    output = np.concatenate([source[:2], added(source[2:], 40)])
    frames, found = measured(output, source, cuts=(2,))
    for f, follows in zip(frames, [False, True, False, True], strict=True):
        known = (f.followed, f.still, f.output.warp_error, f.source.warp_error)
        assert [value is not None for value in known] == [follows] * 4
    assert found.followed == 2
    assert found.output.warp_error == pytest.approx(0, abs=2e-5)
    _, unseen = measured(output, source, flow=lost)
    assert unseen.followed == 0
    assert unseen.output.warp_error is unseen.output.flicker is None


def test_flicker_is_what_a_still_region_changes_by_more_than_its_source():
    still = noise(film(1, (0.0, 0.0)).repeat(5, 0), 2)
    sign = np.array([1, -1, 1, -1, 1])[:, None, None, None]
    still = np.clip(still, 10, 245)
    frames, found = measured(added(still, 4 * sign), still, added(still, 8 * sign))
    assert found.source.flicker == 0
    assert found.output.flicker == pytest.approx(8, abs=2.5)  # the noise takes some of it
    clean = still[:1].repeat(5, 0)
    frames, found = measured(added(clean, 4 * sign), clean, added(clean, 8 * sign))
    assert [f.output.flicker for f in frames] == [None, *[pytest.approx(8)] * 4]
    assert found.flicker_ratio == pytest.approx(0.5)
    _, calmer = measured(clean, still)
    assert calmer.output.flicker == 0  # never below


def test_what_moves_does_not_flicker():
    scene = moving_scene(4, Size(128, 96), velocity=(6.0, 0.0), pan=(0.0, 0.0))
    sign = np.array([1, -1, 1, -1])[:, None, None, None]
    frames, _ = measured(added(scene.pictures, 20 * sign * scene.disc[..., None]), scene.pictures)
    assert all(f.still is not None and 0.6 < f.still < 0.9 for f in frames[1:])
    assert all(f.output.flicker is not None and f.output.flicker < 2 for f in frames[1:])
    moving, _ = measured(film(), film())
    assert all(f.still == 0 and f.output.flicker is None for f in moving[1:])


def test_blur_lowers_the_error_and_gives_itself_away_by_its_detail():
    source = film()
    sharp = noise(source, 10)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in sharp])
    _, found = measured(soft, source, sharp, flow=exactly)
    assert found.warp_ratio is not None
    assert found.warp_ratio < 0.2
    assert found.high_frequency_ratio is not None
    assert found.high_frequency_ratio < 0.1


def test_brightness_and_distance_are_those_to_the_source():
    source = np.clip(film(4), 30, 220)
    steps = np.array([2.0, 3.0, 7.0, 5.0])[:, None, None, None]
    frames = list(coherence(added(source, steps), source))
    assert [f.output.brightness for f in frames] == pytest.approx([2, 3, 7, 5])
    assert [f.output.difference for f in frames] == pytest.approx([2, 3, 7, 5])
    assert summary(frames, 0).brightness_drift == pytest.approx(5)
    assert summary(frames, 1).brightness_drift == pytest.approx(4)
    assert summary(frames, 3).brightness_drift == 0
    tinted, _ = measured(added(source, np.array([8.0, 0, 0])), source)
    assert tinted[2].output.brightness == pytest.approx(8 * LUMA[0])


def test_the_objective_is_told_beside_the_error():
    source = film(3)
    clips = added(source, 20), source, added(source, 30)
    frames, found = measured(*clips, score=lambda frame: float(frame.mean()))
    means = [clip.mean() for clip in clips]
    assert found.objective_gain == pytest.approx(means[0] / means[1])
    assert found.objective_ratio == pytest.approx(means[0] / means[2])
    assert frames[2].gain == pytest.approx(clips[0][2].mean() / source[2].mean())


def test_pictures_of_16_bits_are_measured_as_of_8():
    source = film(3)
    output = noise(source, 5)
    deep = (clip.astype(np.uint16) * 257 for clip in (output, source))
    assert measured(*deep) == measured(output, source)


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        (((3, 96, 128), (2, 96, 128)), "the source ends after 2 frames and the output does not"),
        (((1, 96, 128), (2, 96, 128)), "the output ends after 1 frames and the source does not"),
        (((2, 96, 128), (2, 64, 128)), "the source has 128x64 pixels and the output 128x96"),
        (((2, 96, 128), (2, 96, 128), (1, 96, 128)), "the ceiling ends after 1"),
        (((2, 96, 128), (2, 96, 128), (2, 96, 12)), "the ceiling has 12x96 pixels"),
    ],
)
def test_clips_that_do_not_belong_together_are_refused(
    shapes: tuple[tuple[int, int, int], ...], complaint: str
):
    clips = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    with pytest.raises(MediaError, match=complaint):
        measured(*clips)
