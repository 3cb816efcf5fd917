"""Cuts are found where a film cuts, and nowhere else."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from dreamvid.media.cuts import CutFinder


def scene(seed: int) -> np.ndarray:
    """A wide view, uint8 (90, 400, 3), of which a picture shows 160 columns."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 33, 3), np.uint8)
    return cv2.resize(coarse, (400, 90), interpolation=cv2.INTER_CUBIC)


def held(view: np.ndarray, count: int) -> list[np.ndarray]:
    return [view[:, :160]] * count


def panned(view: np.ndarray, count: int, speed: int) -> list[np.ndarray]:
    return [view[:, speed * k : speed * k + 160] for k in range(count)]


def noisy(pictures: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(9)
    noise = (rng.normal(0, 12, picture.shape) for picture in pictures)
    return [np.clip(p + n, 0, 255).astype(np.uint8) for p, n in zip(pictures, noise, strict=True)]


def mixed(one: np.ndarray, other: np.ndarray, count: int) -> list[np.ndarray]:
    shares = [(k + 1) / (count + 1) for k in range(count)]
    return [cv2.addWeighted(one, 1 - share, other, share, 0)[:, :160] for share in shares]


A, B, C = scene(1), scene(2), scene(3)

# The pictures, and the numbers of those that begin a shot.
FILMS = {
    "one shot": (held(A, 12), ()),
    "one shot with noise": (noisy(held(A, 40)), ()),
    "a pan": (panned(A, 30, 8), ()),
    "a fast pan": (panned(A, 8, 30), ()),
    "a camera that begins to move": (held(A, 10) + panned(A, 8, 30), ()),
    "a fade": (held(A, 8) + mixed(A, B, 12) + held(B, 8), ()),
    "a cut": (held(A, 10) + held(B, 10), (10,)),
    "a cut with noise": (noisy(held(A, 10) + held(B, 10)), (10,)),
    "a cut between pans": (panned(A, 12, 2) + panned(B, 12, 2), (12,)),
    "two cuts close together": (held(A, 10) + held(B, 3) + held(C, 10), (10, 13)),
    "a flash": (held(A, 10) + held(B, 1) + held(A, 10), (10, 11)),
    "a cut at the beginning": (held(A, 1) + held(B, 10), (1,)),
    "a cut at the end": (held(A, 10) + held(B, 1), (10,)),
    "one picture": (held(A, 1), ()),
    "none": ([], ()),
}


@pytest.mark.parametrize("case", FILMS)
def test_cuts_are_found(case: str):
    pictures, cuts = FILMS[case]
    finder = CutFinder()
    for picture in pictures:
        finder.look(np.ascontiguousarray(picture))
    assert finder.finish() == cuts


def test_importing_takes_no_scenedetect():
    code = "import sys, dreamvid.media.film; sys.exit('scenedetect' in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
