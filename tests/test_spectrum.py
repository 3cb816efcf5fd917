"""Spectra: every layer once, low to high, each dreamed."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from PIL import Image

from dreamvid import spectrum
from dreamvid.errors import DreamError
from dreamvid.recipe import CLASSIC
from dreamvid.sheets import Tile
from small import SilentWatcher, random_picture

FEW = {"ascent.steps": 1, "ascent.octaves": 1, "general.model": "builtin"}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.asarray(random_picture(40, 60) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_each_layer_is_dreamed_low_to_high(picture: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[Tile] = []
    monkeypatch.setattr(spectrum, "write_sheet", lambda path, tiles, *rest: written.extend(tiles))
    recipe = CLASSIC.change({"source": str(picture), **FEW})
    plan = spectrum.plan_spectrum(recipe, picture.with_name("out.png"), 48, False, False)
    assert plan.picture.shape == (32, 48, 3)
    few = tuple(info for info in plan.layers if info.name.startswith("conv2d"))
    spectrum.render_spectrum(
        spectrum.Plan(plan.recipe, plan.output, False, plan.picture, plan.model, few),
        SilentWatcher(),
    )
    assert [tile.title for tile in written] == ["photo.png", "conv2d0", "conv2d1", "conv2d2"]
    assert [tile.objective for tile in written] == ["", "conv2d0", "conv2d1", "conv2d2"]
    for tile in written[1:]:
        change = np.abs(tile.picture.astype(int) - written[0].picture)
        assert 0.5 < change.mean() < 2


def test_the_layers_within_the_blocks_can_be_asked_for(picture: Path):
    recipe = CLASSIC.change({"source": str(picture), **FEW})
    output = picture.with_name("out.png")
    few, many = (
        [info.name for info in spectrum.plan_spectrum(recipe, output, 48, b, False).layers]
        for b in (False, True)
    )
    assert few[:3] == ["conv2d0", "conv2d1", "conv2d2"]
    assert few[-2:] == ["mixed5b", "logits"]
    assert "mixed4c_3x3" in many
    assert len(many) > 5 * len(few) - 10
    assert not any(name.endswith("_pre_relu") for name in many)


def test_what_cannot_be_is_refused_beforehand(picture: Path, run: Run):
    out = str(picture.with_name("out.png"))
    for words, told in {
        ("--layer", "mixed4c"): "--layer has no place here",
        ("--objective", "mixed4c:1"): "--objective has no place here",
        ("--steps", "x"): "--steps",
    }.items():
        code, _, errors = run("spectrum", str(picture), "-o", out, *words)
        assert code == 2
        assert told in errors
    assert run("spectrum", str(picture), "-o", "out.gif")[0] == 2
    with pytest.raises(DreamError, match="the picture"):
        spectrum.plan_spectrum(CLASSIC.change({"source": str(picture)}), picture, 48, False, True)
    assert not picture.with_name("out.png").exists()
