from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dreamvid.camera import Motion, Spiral, Zoom
from dreamvid.errors import OptionError
from dreamvid.fields import Size
from dreamvid.options import Ascent, Clip
from dreamvid.recipe import ZOOM, Recipe
from dreamvid.timeline import LEAD, Timeline

SIZE = Size(64, 36)
WINDING = Spiral("0:(1.0), 20:(1.05)", "2*sin(t/9)", period=3.0)  # type: ignore[arg-type]


def timeline(camera: Motion | None = None, **clip: object) -> Timeline:
    recipe = replace(ZOOM, camera=camera or Zoom(), clip=Clip(**{"frames": 40} | clip))  # type: ignore[arg-type]
    return Timeline(recipe, recipe.scope(), SIZE)


def test_the_camera_is_at_the_same_place_at_the_same_second_at_24_30_and_60_frames():
    poses = {}
    for fps in (24, 30, 60):
        laid = timeline(WINDING, frames=4 * fps, fps=fps)
        pose = np.eye(3)
        for index in range(3 * fps):
            pose = pose @ laid.matrix(index, index + 1)
            if (index + 1) % fps == 0:
                poses[fps, (index + 1) // fps] = pose / pose[2, 2]
    for second in (1, 2, 3):
        for fps in (24, 60):
            np.testing.assert_allclose(poses[fps, second], poses[30, second], rtol=0, atol=1e-6)


def test_moments_follow_the_clock_of_the_schedules():
    ascent = Ascent(rate="t", steps="0:(2), 10:(12)")  # type: ignore[arg-type]
    for fps, index in ((30, 5), (60, 10), (15, 0)):
        recipe = replace(ZOOM, ascent=ascent, clip=Clip(fps=fps))  # type: ignore[arg-type]
        moment = Timeline(recipe, recipe.scope(), SIZE).moment(index)
        assert moment.ascent.rate == index * 30 / fps
        assert moment.ascent.steps == 2 + round(index * 30 / fps)


def test_strength_goes_by_the_frame_or_by_the_clock():
    for strength, rate in (("frame", 1.5), ("clock", 0.75)):
        assert timeline(fps=60, strength=strength).moment(3).ascent.rate == rate


def test_layers_fade_into_each_other():
    recipe = replace(ZOOM, ascent=Ascent("0:(mixed3a), 10:(mixed4c)"))
    laid = Timeline(recipe, recipe.scope(), SIZE)
    assert laid.weights(0) == {"mixed3a": 1.0}
    assert laid.weights(5) == pytest.approx({"mixed3a": 0.5, "mixed4c": 0.5})
    assert laid.weights(30) == {"mixed4c": 1.0}
    alone = replace(recipe, ascent=Ascent("mixed4d"))
    assert Timeline(alone, alone.scope(), SIZE).weights(3) == {"mixed4d": 1.0}


def test_shares_add_up_to_the_same_at_any_frame_rate():
    for fps in (10, 30, 60):
        left = 1.0
        for _ in range(fps):
            left *= 1.0 - timeline(fps=fps).share(0.1)
        assert left == pytest.approx(0.9**30)


def test_a_closed_loop_begins_before_itself_and_repeats():
    laid = timeline(WINDING, frames=40, loop="closed", overlap=10)
    assert (laid.first, laid.last) == (-10 - LEAD, 39)
    for index in (-10, -3, -1):
        assert laid.number(index) == laid.number(40 + index) == (20 + index) % 40
        np.testing.assert_allclose(
            laid.matrix(index - 1, index), laid.matrix(index + 39, index + 40)
        )
    returned = [laid.returned(index) for index in range(40)]
    assert returned[29] == 0.0 < returned[30]
    assert returned[39] == 1.0
    assert all(now <= then for now, then in pairwise(returned))


@pytest.mark.parametrize("frames", [40, 8])
@pytest.mark.parametrize("loop", ["none", "closed", "pingpong"])
def test_what_is_dreamed_is_shown_in_the_order_of_its_numbers(loop: str, frames: int):
    laid = timeline(frames=frames, loop=loop, overlap=5)
    shown = [index for part in laid.order for index in part]
    assert len(shown) == frames
    numbers = [laid.number(index) for index in shown]
    if loop == "pingpong":
        assert numbers[: frames // 2 + 1] == list(range(frames // 2 + 1))
        assert all(numbers[i] == numbers[frames - i] for i in range(1, frames))
    else:
        assert numbers == list(range(frames))


def test_a_pingpong_dreams_its_way_forth_only():
    laid = timeline(frames=40, loop="pingpong")
    assert (laid.first, laid.last) == (0, 20)


@pytest.mark.parametrize(
    ("camera", "wider"),
    [
        (Zoom(1.02, 0.3), False),
        (Zoom(1.0, 0.0), False),
        (Zoom(0.99, 0.0), True),
        (Zoom(1.0, 1.0), True),
        (Zoom("1.05-t/400", 0.0), True),  # type: ignore[arg-type]
    ],
)
def test_there_is_a_margin_where_the_camera_looks_past_the_border(camera: Motion, wider: bool):
    assert timeline(camera).margin == (Size(8, 5) if wider else Size(0, 0))


def test_a_camera_that_looks_behind_itself_is_refused():
    recipe = replace(ZOOM, camera=Zoom(tilt_y="t"))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="camera looks behind itself at frame 7"):
        _ = Timeline(recipe, recipe.scope(), Size(800, 60)).margin


def keys(laid: Timeline) -> list[int]:
    found = [0]
    while laid.last is not None and found[-1] < laid.last:
        found.append(laid.next_key(found[-1]))
    return found


def test_a_draft_dreams_as_seldom_as_the_zoom_allows():
    # ln 1.25 / ln 1.01 is 22.4, ln 1.25 / ln 1.05 is 4.6.
    assert keys(timeline(Zoom(1.01, 0.0), frames=60, draft=True)) == [0, 22, 44, 59]
    assert keys(timeline(Zoom(1.05, 0.0), frames=10, draft=True)) == [0, 4, 8, 9]
    assert keys(timeline(Zoom(0.95, 0.0), frames=10, draft=True)) == [0, 4, 8, 9]
    assert keys(timeline(Zoom(2.0, 0.0), frames=4, draft=True)) == [0, 1, 2, 3]


def test_a_recipe_of_one_moment_is_itself():
    recipe = Recipe()
    assert recipe.at(3.0, recipe.scope()) == recipe
