"""Laws of dreamed films: what goes on to the next picture, what does not, and to where."""

from dataclasses import replace

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid import load
from dreamvid.ascent import dream, frame_key
from dreamvid.coherence import FLOWS, coherence, summary
from dreamvid.fields import Size
from dreamvid.following import steps_of
from dreamvid.measure import layer_score
from dreamvid.media.colours import LUMA
from dreamvid.models import Model
from dreamvid.objectives import Layer
from dreamvid.options import Ascent, Coherence, General
from dreamvid.pipeline import frames
from dreamvid.recipe import VIDEO, Recipe
from dreamvid.reel import Reel
from dreamvid.types import Carry
from scenes import moving_scene
from small import counted_compiles, film_of, mask_of, random_picture

ASCENT = Ascent("mixed3b", steps=4, octaves=2, jitter=8)
ALONE = Coherence(coherence=0.0, hold_tone=0.0)
SIZE = Size(96, 64)


def recipe(coherence: Coherence | None = None, **changes: object) -> Recipe:
    options = {"kind": "video", "ascent": ASCENT, "coherence": coherence or Coherence()} | changes
    return Recipe(**options)  # type: ignore[arg-type]


def dreamed(model: Model | None, reel: Reel | np.ndarray, made: Recipe) -> np.ndarray:
    """float32 (frames, h, w, 3) of a whole film."""
    if isinstance(reel, np.ndarray):
        reel = Reel(film_of(reel), matching=made.coherence.coherence != 0.0)
    return np.stack([np.asarray(frame.image) for frame, _ in frames(made, model, reel)])


def still(count: int, noise: float = 0.0) -> np.ndarray:
    """A film in which nothing moves: uint8 (count, 64, 96, 3)."""
    picture = 255 * np.asarray(random_picture(64, 96))
    rng = np.random.default_rng(1)
    levels = picture + noise * rng.standard_normal((count, *picture.shape))
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def test_without_coherence_each_picture_is_dreamed_by_itself(model: Model):
    film = moving_scene(3, SIZE).pictures
    made = dreamed(model, film, recipe(ALONE, general=General(seed=5)))
    for number, picture in enumerate(film):
        seen = jnp.asarray(picture, jnp.float32) / 255
        evenly = jnp.ones((64, 96, 1))
        alone = dream(model, seen, Layer("mixed3b"), ASCENT, frame_key(5, number), evenly)
        np.testing.assert_allclose(made[number], alone, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"blend": "image"}, {"memory": 4}, {"memory": 0}])
def test_resumed_is_uninterrupted(model: Model, changes: dict):
    reel = Reel(film_of(moving_scene(7, SIZE).pictures), memory=changes.get("memory", 24))
    made = recipe(Coherence(**changes))
    whole = list(frames(made, model, reel))
    for frame, carry in whole[:-1]:
        again = Carry.of(carry.arrays())
        after, _ = next(iter(frames(made, model, reel, again)))
        assert after.index == frame.index + 1
        np.testing.assert_array_equal(after.image, whole[after.index][0].image)


def test_nothing_leaks_through_a_cut(model: Model):
    scene = moving_scene(8, SIZE, cut=4).pictures
    other = np.concatenate([255 - scene[:4], scene[4:]])
    one, two = (dreamed(model, Reel(film_of(film, cuts=(4,))), recipe()) for film in (scene, other))
    np.testing.assert_array_equal(one[4:], two[4:])
    assert np.abs(one[3] - two[3]).mean() > 0.05


def test_after_its_first_frames_a_film_compiles_nothing(model: Model):
    made = recipe(Coherence("0.5+t/40", follow_steps="1+t%2", mix="0.5+t/40"))  # type: ignore[arg-type]
    reel = Reel(film_of(moving_scene(12, SIZE, cut=8).pictures, cuts=(8,)), memory=4)
    clip = frames(made, model, reel)
    for _ in range(7):
        next(clip)
    with counted_compiles() as compiled:
        assert len(list(clip)) == 5
    assert not compiled


def fine(dreams: np.ndarray, film: np.ndarray) -> np.ndarray:
    """What was dreamed, as luma without what is coarse: float32 (frames, h, w)."""
    luma = ((dreams - film / 255) @ LUMA).astype(np.float32)
    return np.stack([picture - cv2.GaussianBlur(picture, (0, 0), 6) for picture in luma])


def shift(now: np.ndarray, then: np.ndarray, where: np.ndarray) -> np.ndarray:
    """By how many pixels (x, y) a part of a picture has moved, to half a pixel."""
    best = {}
    for y in np.arange(-5, 5.1, 0.5):
        for x in np.arange(-5, 5.1, 0.5):
            matrix = np.array([[1, 0, x], [0, 1, y]])
            moved = cv2.warpAffine(then, matrix, then.shape[::-1], flags=cv2.INTER_CUBIC)
            best[x, y] = np.square(now - moved)[where].mean()
    return np.array(min(best, key=best.__getitem__))


def test_the_dream_of_what_moves_moves_with_it(model: Model):
    velocity, pan = (3.0, -1.5), (-1.5, 1.0)
    scene = moving_scene(9, Size(128, 96), velocity, pan)
    made = fine(dreamed(model, scene.pictures, recipe()), scene.pictures)
    for number in (4, 6, 8):
        for part, moves in ((scene.disc, velocity), (scene.ground, pan)):
            inner = cv2.erode(part[number].astype(np.uint8), np.ones((9, 9))) > 0
            inner[:8] = inner[-8:] = inner[:, :8] = inner[:, -8:] = False
            off = shift(made[number], made[number - 1], inner) - moves
            assert np.abs(off).max() <= 0.5, (number, moves, off)


def test_beside_dreaming_each_picture_by_itself_it_sticks_and_loses_nothing():
    # The network that everyone has: one of random weights has nothing to hold on to.
    network = load("builtin")
    scene = moving_scene(12, Size(128, 96), (4.0, -2.0), (-1.2, 0.7), noise=1.0, cut=7)
    film, full = film_of(scene.pictures, (7,)), replace(VIDEO, ascent=Ascent(octaves=2))
    made, alone = (
        np.round(255 * dreamed(network, Reel(film, matching=matching), full)).astype(np.uint8)
        for matching in (True, False)
    )
    score = layer_score(network, full.with_layer(network.favourite("video")).layers)
    for flow in FLOWS.values():
        told = summary(list(coherence(made, scene.pictures, alone, flow, (7,), score)), 0)
        assert told.warp_ratio is not None
        assert told.warp_ratio < 0.35
        assert told.objective_ratio is not None
        assert told.objective_ratio > 0.9
        assert told.high_frequency_ratio is not None
        assert told.high_frequency_ratio > 0.85


def test_it_neither_boils_nor_piles_up_where_nothing_moves(model: Model):
    film = still(40, noise=3.0)
    made = dreamed(model, film, recipe())
    boiling = dreamed(model, film[:6], recipe(ALONE))
    restless = np.abs(np.diff(film / np.float32(255), axis=0)).mean()
    sticking = np.abs(np.diff(made[20:], axis=0)).mean() - restless
    assert sticking < 0.35 * (np.abs(np.diff(boiling, axis=0)).mean() - restless)
    size = np.abs(made - film / np.float32(255)).mean((1, 2, 3))
    assert size[39] == pytest.approx(size[15], rel=0.1)
    assert size[39] > 0.5 * size[0]
    luma = made.mean((1, 2)) @ LUMA
    assert abs(luma[39] - luma[15]) < 2 / 255


def test_what_was_hidden_comes_back_with_its_dream(model: Model):
    scene = moving_scene(12, Size(128, 96), velocity=(9.0, 0.0), pan=(0.0, 0.0))
    pictures = {
        memory: fine(
            dreamed(model, Reel(film_of(scene.pictures), memory=memory), recipe()), scene.pictures
        )
        for memory in (0, 12)
    }
    # On the ground at first and at last, under the disc in between.
    back = scene.ground[1] & scene.ground[10] & ~scene.ground[2:10].all(0)
    assert back.sum() > 1000
    likeness = {m: np.corrcoef(made[1][back], made[10][back])[0, 1] for m, made in pictures.items()}
    assert likeness[12] > likeness[0] + 0.1


def test_a_mask_keeps_the_film_as_it_is_where_it_is_black(model: Model):
    film = still(3)
    mask = np.zeros((64, 96), np.float32)
    mask[:, 48:] = 1.0
    made = dreamed(model, Reel(film_of(film), mask_of(mask, film_of(film))), recipe())
    np.testing.assert_allclose(made[:, :, :48], film[:, :, :48] / 255, atol=1e-6)
    assert np.abs(made - film / 255)[:, :, 48:].mean() > 0.01


def test_the_mix_fades_the_dream_into_the_film(model: Model):
    film = still(3)
    whole, half, none = (
        dreamed(model, film, recipe(Coherence(mix=mix))) for mix in (1.0, 0.5, 0.0)
    )
    source = film / np.float32(255)
    np.testing.assert_allclose(none, source, atol=1e-6)
    np.testing.assert_allclose(half - source, 0.5 * (whole - source), atol=1e-5)


def test_the_first_of_a_shot_takes_all_steps_and_the_others_what_is_fresh():
    cases = {1.0: 10, 0.7: 5, 0.5: 3, 0.36: 2, 0.2: 1, 0.0: 1}
    assert {fresh: steps_of(10, fresh, 1) for fresh in cases} == cases
    assert steps_of(10, 0.0, 0) == 0
    assert steps_of(1, 0.0, 3) == 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_deeper_pictures_are_dreamed_alike(model: Model, depth: type):
    film = still(2)
    deep = film.astype(depth) * (np.iinfo(depth).max // 255)
    np.testing.assert_allclose(
        dreamed(model, deep, recipe()), dreamed(model, film, recipe()), atol=1e-4
    )


def test_flow_and_mask_can_be_shown():
    scene = moving_scene(3, SIZE)
    flow, mask = (
        dreamed(None, Reel(film_of(scene.pictures), memory=0), recipe(Coherence(show=show)))
        for show in ("flow", "mask")
    )
    # Both parts of the scene have a colour of their own.
    colours = [flow[2][part[2]].mean(0) for part in (scene.disc, scene.ground)]
    assert np.abs(colours[0] - colours[1]).max() > 0.3
    assert mask[2][scene.ground[2] & ~scene.hidden[2]].mean() > 0.7
    assert mask[2][scene.hidden[2]].mean() < 0.5
    assert not mask[0].any()


def test_where_nothing_is_dreamed_only_painting_smears_the_film(model: Model):
    film = moving_scene(4, SIZE).pictures
    glued, painted = (
        dreamed(model, film, recipe(Coherence(blend=blend), ascent=replace(ASCENT, steps=0)))
        for blend in ("residual", "image")
    )
    np.testing.assert_allclose(glued, film / np.float32(255), atol=1e-6)
    off = np.abs(painted - film / np.float32(255)).mean((1, 2, 3))
    assert off[0] == pytest.approx(0, abs=1e-6)
    assert 0.002 < off[3] < 0.05


def test_the_same_seed_gives_the_same_film(model: Model):
    film = moving_scene(4, SIZE).pictures
    one, two = (dreamed(model, film, recipe()) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    other = dreamed(model, film, recipe(general=General(seed=1)))
    assert not np.array_equal(one, other)
