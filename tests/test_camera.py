from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.camera import Zoom, move
from small import random_picture


def test_standing_still_is_the_identity():
    still = Zoom(1.0, 0.0)
    np.testing.assert_array_equal(still.between(3, 9), np.eye(3))
    image = random_picture(20, 30)
    np.testing.assert_allclose(move(image, still.between(0, 1)), image, atol=1e-5)


@pytest.mark.parametrize("motion", [Zoom(1.02, 0.3), Zoom(0.9, -4.0)])
def test_motions_add_up_at_any_frame_rate(motion: Zoom):
    whole = motion.between(0, 30)
    for fps in (24, 30, 60):
        ticks = np.arange(fps + 1) * 30 / fps
        parts = [motion.between(a, b) for a, b in pairwise(ticks)]
        np.testing.assert_allclose(np.linalg.multi_dot(parts), whole, atol=1e-6)


def test_an_endless_zoom_never_overflows():
    assert np.isfinite(Zoom(1.05, 1.0).between(1e6, 1e6 + 1)).all()


def test_zooming_in_enlarges_about_the_centre():
    image = jnp.zeros((41, 41, 3)).at[20, 20].set(1.0).at[20, 25].set(1.0)
    moved = move(image, Zoom(2.0, 0.0).between(0, 1))[..., 0]
    assert moved[20, 20] == pytest.approx(1.0, abs=1e-5)
    assert jnp.argmax(moved[20, 25:]) + 25 == 30


def test_a_positive_angle_turns_the_picture_counter_clockwise():
    image = jnp.zeros((41, 41, 3)).at[20, 30].set(1.0)  # right of the centre
    moved = move(image, Zoom(1.0, 90.0).between(0, 1))[..., 0]
    assert jnp.unravel_index(jnp.argmax(moved), moved.shape) == (10, 20)  # above it


def test_no_border_ever_shows():
    bright = jnp.full((24, 32, 3), 0.7)
    moved = move(bright, Zoom(0.5, 30.0).between(0, 1))
    np.testing.assert_allclose(moved, bright, atol=1e-5)
