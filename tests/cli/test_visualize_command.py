"""dreamvid visualize, as its users meet it."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Run

from dreamvid.checkpoints import safetensors
from dreamvid.media.stills import read_picture, read_settings
from small import tiny_spec, tiny_tensors

WORDS = ("visualize", "--model", "tiny.safetensors", "--steps", "3", "--rate", "0.2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return tmp_path


def test_it_makes_a_picture_that_tells_how_it_was_made(folder: Path, run: Run):
    wanted = ("--objective", "conv2d2:3 - 0.01*tv", "--size", "24x20", "--seed", "7")
    code, out, errors = run(*WORDS, *wanted, "-o", "out.png")
    assert (code, out) == (0, "out.png\n")
    assert "finding a picture of 24x20 pixels for conv2d2:3 - 0.01*tv" in errors
    assert "3 of 3 steps" in errors
    assert read_picture(Path("out.png")).rgb.shape == (20, 24, 3)
    settings = read_settings(Path("out.png"))
    assert settings
    for line in ("objective: conv2d2:3 - 0.01*tv", "seed: 7", "rate: 0.2", "size: 24x20"):
        assert f"# {line}" in settings.splitlines()
    assert sorted(p.name for p in folder.iterdir()) == ["out.png", "tiny.safetensors"]


def test_variants_stand_side_by_side_and_differ(folder: Path, run: Run):
    wanted = ("--objective", "diversity(conv2d1)", "--size", "16x16", "--variants", "3")
    assert run(*WORDS, *wanted, "--parameters", "pixel", "--no-robust", "-o", "out.png")[0] == 0
    made = read_picture(Path("out.png")).rgb
    assert made.shape == (16, 48, 3)
    first, second, third = np.split(made, 3, axis=1)
    assert min(abs(first - second).mean(), abs(second - third).mean()) > 0.01


def test_what_cannot_be_is_refused_beforehand(folder: Path, run: Run):
    for words, told in (
        (("-o", "out.gif"), "dreamvid writes .png"),
        (("-o", "out.png", "--objective", "conv2dd2:3"), "Did you mean 'conv2d2'"),
        (("-o", "out.png", "--size", "20x"), "it must be a size such as 640x360"),
        (("-o", "out.png", "--size", "4x4"), "--size is 4x4"),
        (("-o", "out.png", "--rate", "nan"), "--rate is nan"),
        (("-o", "out.webp", "--size", "4096x4096", "--variants", "4"), "cannot hold 16384x4096"),
    ):
        code, out, errors = run(*WORDS, "--objective", "conv2d2:3", *words)
        assert (code, out) == (2, "")
        assert told in errors
    assert not list(folder.glob("out*"))
