"""Laws of optical flow: its direction, its exactness, and where it is not to be trusted."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from dreamvid.fields import Size
from dreamvid.flow import (
    Match,
    dis_medium,
    draw_flow,
    draw_trust,
    farneback,
    grey,
    match,
    seen,
    trust,
    warp,
)
from scenes import Scene, moving_scene

FLOWS = {"match": lambda now, then: match(now, then).flow, "dis": dis_medium, "far": farneback}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return moving_scene(3, Size(320, 192))


def last_two(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return grey(scene.pictures[2]), grey(scene.pictures[1])


def inner(part: np.ndarray) -> np.ndarray:
    """A part without what is near its border or the picture's."""
    part = part.copy()
    part[:8] = part[-8:] = part[:, :8] = part[:, -8:] = False
    return cv2.erode(part.astype(np.uint8), np.ones((17, 17))) > 0


@pytest.mark.parametrize("name", FLOWS)
def test_it_leads_from_each_pixel_to_where_it_was(scene: Scene, name: str):
    flow = FLOWS[name](*last_two(scene))
    assert flow.dtype == np.float32
    off = np.linalg.norm(flow - scene.flow[2], axis=-1)
    for part in (scene.disc[2], scene.ground[2] & ~scene.hidden[2]):
        assert off[inner(part)].mean() < 0.2


def test_a_picture_is_what_the_flow_finds_in_the_one_before(scene: Scene):
    now, then = last_two(scene)
    found = match(now, then)
    off = np.abs(warp(then, found.flow).astype(float) - now)[found.trust > 0.5].mean()
    assert off < 0.15 * np.abs(then.astype(float) - now).mean()


def test_what_was_hidden_is_not_trusted_and_the_rest_is():
    scene = moving_scene(3, Size(320, 192), velocity=(8.0, -4.0))
    found = match(*last_two(scene))
    assert (found.trust >= 0).all()
    assert (found.trust <= 1).all()
    # But for the outermost pixel of what came to light, where the flow cannot tell.
    hidden = cv2.erode(scene.hidden[2].astype(np.uint8), np.ones((3, 3))) > 0
    assert hidden.any()
    assert (found.trust[hidden] < 0.5).mean() > 0.8
    plain = inner(scene.disc[2]) | inner(scene.ground[2] & ~scene.hidden[2])
    assert (found.trust[plain] > 0.5).mean() > 0.95


def test_of_equal_pictures_nothing_moves_and_all_is_trusted(scene: Scene):
    now, _ = last_two(scene)
    for picture in (now, np.full_like(now, 90)):
        found = match(picture, picture)
        assert np.abs(found.flow).max() < 0.02
        assert (found.trust == 1).all()


def test_noise_is_not_taken_for_motion():
    scene = moving_scene(2, Size(320, 192), (0.0, 0.0), (0.0, 0.0), noise=3.0)
    now, then = (grey(picture) for picture in scene.pictures)
    found = match(now, then)
    assert np.linalg.norm(found.flow, axis=-1).mean() < 0.1
    assert found.trust.mean() > 0.97


def test_a_change_of_light_is_not_taken_for_motion(scene: Scene):
    now, then = last_two(scene)
    lit = np.clip(1.1 * now, 0, 255).astype(np.uint8)
    assert np.abs(match(lit, then).flow - match(now, then).flow).mean() < 0.1


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (16, 200), (241, 321)])
def test_pictures_of_any_size_are_matched(shape: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    found = match(*noise)
    assert found.flow.shape == (*shape, 2)
    assert found.trust.shape == shape
    assert np.isfinite(found.flow).all()


def test_it_is_the_same_on_every_thread(scene: Scene):
    pairs = [last_two(scene), last_two(scene)[::-1]] * 4
    alone = [match(*pair) for pair in pairs[:2]] * 4
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(lambda pair: match(*pair), pairs), alone, strict=True):
            np.testing.assert_array_equal(found.flow, wanted.flow)
            np.testing.assert_array_equal(found.trust, wanted.trust)


def test_trust_is_softened_but_never_beyond_its_border():
    flow = np.zeros((40, 60, 2), np.float32)
    flow[:, 40:] = 30.0, 0.0  # out of the picture
    inside, soft = seen(flow, -flow), trust(flow, -flow)
    assert soft[inside].min() >= 0.5
    assert soft[~inside].max() <= 0.5
    assert set(np.unique(soft)) > {0.0, 1.0}


def test_grey_is_luma_of_any_depth():
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    shades = grey(picture)
    assert shades.dtype == np.uint8
    np.testing.assert_allclose(shades, picture @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_allclose(grey(picture.astype(np.uint16) * 257), shades, atol=1)


def test_flow_is_drawn_by_its_direction():
    flow = np.zeros((4, 4, 2), np.float32)
    flow[1], flow[2], flow[3] = (5.0, 0.0), (-5.0, 0.0), (0.0, 9.0)
    drawn = draw_flow(flow, largest=5.0)
    assert (drawn[0] == 255).all()
    assert drawn[1, 0].tolist() == [255, 0, 0]
    assert drawn[2, 0].tolist() == [0, 255, 255]
    assert len({tuple(row[0]) for row in drawn}) == 4
    assert (draw_flow(np.zeros((2, 2, 2), np.float32)) == 255).all()
    assert draw_trust(np.eye(1, 2, 1)).tolist() == [[[0] * 3, [255] * 3]]


def test_a_match_is_what_it_says():
    found = match(*np.zeros((2, 32, 32), np.uint8))
    assert isinstance(found, Match)
    assert (found.flow.dtype, found.trust.dtype) == (np.float32, np.float32)
