import math
from collections.abc import Callable
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.camera import MOTIONS, Motion, Velocity, Zoom, between, beyond, in_pixels
from dreamvid.ops import move
from small import random_picture

ASPECT = 16 / 9


def path(motion: Motion) -> Callable[[float], Velocity]:
    return lambda tick: motion.velocity(tick, ASPECT)


def step(height: int = 41, **options: float) -> np.ndarray:
    """One tick of a camera that else stands still, in pixels."""
    motion = Zoom(**{"zoom": 1.0, "angle": 0.0} | options)
    return in_pixels(between(path(motion), 0, 1), height)


def lit(height: int, width: int, row: int, column: int) -> jnp.ndarray:
    return jnp.zeros((height, width, 3)).at[row, column].set(1.0)


def brightest(image: jnp.ndarray) -> tuple[int, int]:
    row, column = jnp.unravel_index(jnp.argmax(image[..., 0]), image.shape[:2])
    return int(row), int(column)


def test_standing_still_is_the_identity():
    np.testing.assert_array_equal(step(), np.eye(3))
    image = random_picture(20, 30)
    np.testing.assert_allclose(move(image, step(20)), image, atol=1e-5)


@pytest.mark.parametrize("name", list(MOTIONS))
def test_motions_add_up_to_the_same_at_any_frame_rate(name: str):
    motion = path(MOTIONS[name]())
    whole = between(motion, 0, 90)
    for fps in (12.5, 24, 24000 / 1001, 25, 30, 60, 144):
        moments = np.arange(0, 3 + 1e-9, 1 / fps) * 30
        moments[-1] = 90
        product = np.eye(3)
        for start, end in pairwise(moments):
            product = product @ between(motion, start, end)
        np.testing.assert_allclose(product / product[2, 2], whole, atol=1e-9 * abs(whole).max())


@pytest.mark.parametrize("name", list(MOTIONS))
def test_every_motion_moves_and_looks_where_it_goes(name: str):
    motion = path(MOTIONS[name]())
    for start in (0, 7.5, 1e6):
        matrix = between(motion, start, start + 1)
        assert np.isfinite(matrix).all()
        assert not np.allclose(matrix, np.eye(3))
        assert beyond(matrix, ASPECT) < 0.1


def test_zooming_in_enlarges_about_the_centre():
    image = lit(41, 41, 20, 20).at[20, 25].set(1.0)
    moved = move(image, step(zoom=2.0))[..., 0]
    assert moved[20, 20] == pytest.approx(1.0, abs=1e-5)
    assert jnp.argmax(moved[20, 25:]) + 25 == 30


def test_a_positive_angle_turns_the_picture_counter_clockwise():
    assert brightest(move(lit(41, 41, 20, 30), step(angle=90.0))) == (10, 20)


def test_translations_are_fractions_of_the_height_to_the_right_and_down():
    matrix = step(40, translation_x=0.25, translation_y=0.1)
    assert brightest(move(lit(40, 60, 10, 20), matrix)) == (14, 30)


def test_what_is_at_the_centre_of_a_zoom_stays():
    matrix = between(path(Zoom(1.5, 20.0, centre_x=0.25, centre_y=1.0)), 0, 7)
    place = np.array([-0.25 * ASPECT, 0.5, 1.0])
    seen = matrix @ place
    np.testing.assert_allclose(seen / seen[2], place, atol=1e-9)


def test_what_turns_away_shrinks():
    matrix = step(41, tilt_x=10.0)
    lines = lit(41, 61, 5, 40).at[35, 40].set(1.0)
    moved = move(lines, matrix)
    top, bottom = (jnp.argmax(moved[rows, :, 0].max(0)) for rows in (slice(20), slice(21, 41)))
    assert top < 40 < bottom
    aside = between(path(Zoom(1.0, 0.0, tilt_y=5.0)), 0, 1)
    right = aside @ np.array([0.5, 0.0, 1.0])
    assert abs(right[0] / right[2]) > 0.5  # further out in the source, so nearer in what is seen


def test_looking_past_the_border_is_measured():
    assert beyond(np.eye(3), ASPECT) == 0.0
    assert beyond(between(path(Zoom(1.02, 0.3)), 0, 1), ASPECT) == 0.0
    assert beyond(between(path(Zoom(0.5, 0.0)), 0, 1), 1.0) == pytest.approx(0.5)
    flipped = between(path(Zoom(1.0, 0.0, tilt_x=10.0)), 0, 12)
    assert beyond(flipped, ASPECT) == math.inf


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_an_endless_zoom_never_overflows(zoom: float):
    assert np.isfinite(between(path(Zoom(zoom, 1.0)), 1e6, 1e6 + 1)).all()


def test_no_border_ever_shows():
    bright = jnp.full((24, 32, 3), 0.7)
    matrix = step(24, zoom=0.5, angle=30.0, translation_x=0.3)
    np.testing.assert_allclose(move(bright, matrix), bright, atol=1e-5)
