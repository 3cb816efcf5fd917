"""Laws of reels: what a picture looks back at is at hand, and no more, wherever one begins."""

import weakref

import numpy as np
import pytest

from dreamvid import reel as reels
from dreamvid.flow import grey, match
from dreamvid.reel import Reel
from small import film_of

COUNT, CUTS = 60, (20, 21, 45)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("memory", [0, 1, 2, 5, 24])
def test_what_is_looked_back_at_was_kept_and_is_of_the_same_shot(pictures: np.ndarray, memory: int):
    reel = Reel(film_of(pictures, CUTS), memory=memory)
    for number in range(COUNT):
        start = max((cut for cut in CUTS if cut <= number), default=0)
        earlier = reel.earlier(number)
        assert len(earlier) <= (3 if memory > 1 else 1)
        assert all(start <= back < number for back in earlier)
        assert (earlier[:1] == (number - 1,)) == (number > start)
        assert {*reel.earlier(number + 1)} <= {number, *earlier}


@pytest.mark.parametrize("first", [0, 1, 20, 21, 22, 44, 59])
def test_entered_anywhere_it_finds_the_same(pictures: np.ndarray, first: int):
    reel = Reel(film_of(pictures, CUTS), memory=10)
    for view, number in zip(reel.views(first), range(first, COUNT), strict=True):
        alone = match(*(grey(pictures[at]) for at in (number, max(number - 1, 0))))
        assert view.number == number
        np.testing.assert_array_equal(view.picture, pictures[number])
        assert len(view.matches) == len(reel.earlier(number))
        if view.matches:
            np.testing.assert_array_equal(view.matches[0].flow, alone.flow)


def test_little_of_what_it_passes_is_in_memory(
    pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    kept: list[weakref.ref[np.ndarray]] = []
    most = 0

    def watched(picture: np.ndarray) -> np.ndarray:
        nonlocal most
        made = grey(picture)
        kept.append(weakref.ref(made))
        most = max(most, sum(reference() is not None for reference in kept))
        return made

    monkeypatch.setattr(reels, "grey", watched)
    list(Reel(film_of(pictures), memory=100).views(COUNT - 1))
    assert 1 < most < 10
