"""The figures of a clip are those of signals whose figures are known."""

import json
import math
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from dreamvid.checkpoints import safetensors
from dreamvid.cli import measure
from dreamvid.errors import DreamError, MediaError, OptionError, UnknownNameError
from dreamvid.fields import Size
from dreamvid.measure import (
    CUTOFF,
    REFERENCE,
    choose_reference,
    figures,
    high_frequency,
    layer_score,
    psnr,
    summary,
)
from dreamvid.media.clips import read_frames
from dreamvid.media.segments import SegmentWriter
from dreamvid.media.stills import Picture, write_picture
from dreamvid.models import Model
from dreamvid.options import Ascent, General
from dreamvid.recipe import Recipe
from small import random_picture, tiny_spec, tiny_tensors


def plain(*rgb: int) -> np.ndarray:
    """A picture of one colour: uint8 (48, 64, 3)."""
    return np.full((48, 64, 3), rgb, np.uint8)


def noise(seed: int) -> np.ndarray:
    """Frames that are alike in nothing but their statistics."""
    return np.random.default_rng(seed).integers(40, 200, (48, 64, 3), np.uint8)


def test_a_constant_clip_neither_drifts_nor_has_detail():
    measured = list(figures([plain(90, 120, 33)] * 5))
    assert [f.index for f in measured] == [0, 1, 2, 3, 4]
    assert all(f.contrast < 1e-9 and f.high_frequency < 1e-9 for f in measured)
    assert measured[0].neighbour_psnr is measured[0].first_psnr is measured[0].objective is None
    assert measured[3].neighbour_psnr == measured[3].first_psnr == math.inf
    found = summary(measured, 2)
    assert found.brightness_drift == found.chroma_drift == found.clipped == 0
    assert found.high_frequency_low == found.high_frequency_high == 1
    assert found.objective_low is None
    assert found.loop_psnr == found.neighbour_psnr == math.inf


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.0), (0.0, 0.3), (0.22, 0.22), (0.3, -0.4)])
def test_a_fine_wave_has_half_its_squared_amplitude(x: float, y: float):
    rows, columns = np.mgrid[0:96, 0:128]
    wave = 128 + 20 * np.sin(2 * np.pi * (x * columns + y * rows) + 1)
    assert high_frequency(wave) == pytest.approx(20**2 / 2, rel=0.03)


@pytest.mark.parametrize(("x", "y"), [(0.1, 0.0), (0.0, 0.1), (0.13, 0.13)])
def test_a_coarse_wave_has_next_to_none(x: float, y: float):
    rows, columns = np.mgrid[0:96, 0:128]
    wave = 128 + 20 * np.sin(2 * np.pi * (x * columns + y * rows) + 1)
    assert high_frequency(wave) < 3e-3 * 20**2 / 2


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_white_noise_has_the_share_of_the_plane_beyond_the_cutoff(height: int, width: int):
    rng = np.random.default_rng(0)
    found = [high_frequency(rng.normal(100, 6, (height, width))) for _ in range(40)]
    assert np.mean(found) == pytest.approx(6**2 * (1 - np.pi * CUTOFF**2), rel=0.02)


def test_a_ramp_does_not_leak_over_the_border():
    ramp = np.tile(np.linspace(0, 255, 64), (48, 1))  # its ends would be an edge
    assert high_frequency(ramp) < 1e-5 * ramp.var()


def test_detail_counts_alike_wherever_it_lies():
    def patch(y: int, x: int) -> float:
        picture = np.full((48, 64), 100.0)
        picture[y : y + 8, x : x + 8] += np.random.default_rng(0).normal(0, 20, (8, 8))
        return high_frequency(picture)

    found = [patch(y, x) for y in (0, 20, 40) for x in (0, 28, 56)]
    assert min(found) > 0.85 * max(found)


def test_brightness_colour_and_clipping_are_those_of_the_encoded_values():
    half = np.concatenate([plain(0, 0, 0)[:24], plain(255, 255, 255)[24:]])
    blue, red, grey, both = figures([plain(0, 0, 255), plain(255, 0, 0), plain(9, 9, 9), half])
    assert blue.brightness == pytest.approx(0.0722 * 255)
    assert (blue.cb, red.cr) == pytest.approx((127.5, 127.5))
    assert blue.chroma == pytest.approx(math.hypot(127.5, blue.cr))
    assert (grey.cb, grey.cr, grey.clipped) == pytest.approx((0, 0, 0), abs=1e-9)
    assert (both.brightness, both.contrast, both.clipped) == pytest.approx((127.5, 127.5, 100))


def test_a_difference_of_one_level_is_48_decibels():
    assert psnr(plain(7, 7, 7), plain(8, 8, 8)) == pytest.approx(20 * math.log10(255))
    assert psnr(plain(0, 0, 0), plain(255, 255, 255)) == pytest.approx(0)


def test_steps_are_found_from_the_reference_on():
    clip = [plain(10, 10, 10)] * 3 + [plain(100, 100, 100)] * 3 + [plain(112, 112, 112)]
    clip += [plain(100, 100, 142)]
    found = summary(list(figures(clip)), 3)
    assert found.brightness_drift == pytest.approx(12)
    assert found.chroma_drift == pytest.approx(42 * math.hypot(0.5, 0.0722 / 1.5748))
    assert found.reference == 3
    assert found.frames == 8
    assert summary(list(figures(clip)), 0).brightness_drift == pytest.approx(102)


def test_lost_and_gained_detail_are_ratios():
    picture = noise(0).astype(float)
    softer = (120 + (picture - 120) / 2).astype(np.uint8)
    clip = [plain(0, 0, 0), picture.astype(np.uint8), softer]
    found = summary(list(figures(clip)), 1)
    assert found.high_frequency_low == pytest.approx(1 / 4, rel=0.02)
    assert found.high_frequency_high == 1
    assert found.clipped == 0
    assert summary(list(figures(clip)), 0).high_frequency_high == math.inf


def test_a_loop_is_told_from_a_clip_that_ends_elsewhere():
    start, away = noise(0), noise(1)
    shares = [0, 0.5, 1, 0.5]
    clip = [np.round(start + s * (away - start.astype(float))).astype(np.uint8) for s in shares]
    closed, open_ = (summary(list(figures(c)), 0) for c in (clip, clip[:3]))
    assert closed.loop_psnr == pytest.approx(closed.neighbour_psnr, abs=0.1)
    assert open_.loop_psnr is not None
    assert open_.neighbour_psnr is not None
    assert open_.loop_psnr < open_.neighbour_psnr - 5


def test_the_objective_is_half_the_mean_square_of_the_layer(model: Model):
    picture = random_picture(48, 64)
    levels = np.round(np.asarray(picture) * 255).astype(np.uint8)
    score = layer_score(model, ["mixed3a"])
    flat = levels // 2 + 64
    bright, faded = figures([levels, flat], score)
    seen = np.asarray(model.activations(jnp.asarray(levels) / 255, ["mixed3a"])["mixed3a"])
    assert bright.objective is not None
    assert bright.objective == pytest.approx(0.5 * np.mean(seen**2), rel=1e-4)
    assert faded.objective is not None
    found = summary([bright, faded], 0)
    assert found.objective_low == pytest.approx(min(1, faded.objective / bright.objective))
    with pytest.raises(UnknownNameError, match="mixed3z"):
        layer_score(model, ["mixed3a", "mixed3z"])
    both = layer_score(model, ["mixed3a", "mixed4a"])(levels)
    assert both**2 == pytest.approx(score(levels) * layer_score(model, ["mixed4a"])(levels))


def test_the_reference_is_a_frame_of_the_clip():
    assert choose_reference(REFERENCE + 1) == REFERENCE
    assert choose_reference(REFERENCE) == REFERENCE // 2
    assert choose_reference(1) == 0
    assert choose_reference(90, 89) == 89
    with pytest.raises(OptionError, match="--reference is 90: the clip has frames 0 to 89"):
        choose_reference(90, 90)
    with pytest.raises(MediaError, match="no frames"):
        choose_reference(0)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A clip of 30 stills in the current folder, the last one like the one before."""
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        pixels = noise(min(number, 28)) // 2 + min(number, 28)
        Image.fromarray(pixels.astype(np.uint8)).save(f"{number:03d}.png")
    return "%03d.png"


def run(*words: str) -> str:
    """What `dreamvid measure` prints."""
    app = typer.Typer()
    app.command()(measure.command)
    found = CliRunner().invoke(app, words)
    if isinstance(found.exception, DreamError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_the_table_begins_with_the_summary(clip: str):
    lines = run(clip).splitlines()
    assert lines[0] == "%03d.png: 30 frames"
    assert lines[1] == "From frame 15 on, against frame 15:"
    assert "objective" not in lines[5]
    table = [line.split() for line in lines[lines.index("") + 1 :]]
    assert table[0][:2] == ["frame", "luma"]
    assert [row[0] for row in table[1:]] == [*map(str, range(0, 30, 5)), "29"]
    assert (table[1][-2], table[-1][7]) == ("-", "inf")


def test_json_holds_every_figure(clip: str):
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    words = (clip, "--json", "--layer", "mixed3a", "--model", "tiny.safetensors")
    found = json.loads(run(*words, "--reference", "4"))
    assert (found["clip"], found["fps"], found["layers"]) == (clip, None, ["mixed3a"])
    assert found["summary"]["reference"] == 4
    assert 0 < found["summary"]["objective_low"] <= 1
    assert [frame["index"] for frame in found["frames"]] == list(range(30))
    assert found["frames"][0]["neighbour_psnr"] is None
    assert found["frames"][29]["neighbour_psnr"] == "inf"
    assert all(frame["objective"] > 0 for frame in found["frames"])


def test_the_objective_of_a_clip_is_that_of_its_own_settings(clip: str):
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    settings = Recipe(General("tiny.safetensors"), Ascent("0:(mixed3a), 9:(mixed4a)")).to_toml()
    for number in range(3):
        pixels = np.asarray(random_picture(48, 64, number))
        write_picture(Path(f"dream{number}.png"), Picture(pixels), settings, overwrite=False)
    found = json.loads(run("dream%d.png", "--json", "--objective"))
    assert (found["model"], found["layers"]) == ("tiny.safetensors", ["mixed3a", "mixed4a"])
    assert all(frame["objective"] > 0 for frame in found["frames"])
    other = json.loads(run("dream%d.png", "--json", "--objective", "--layer", "mixed3b"))
    assert (other["model"], other["layers"]) == ("tiny.safetensors", ["mixed3b"])
    with pytest.raises(MediaError, match="carries no settings"):
        run(clip, "--objective")


@pytest.mark.parametrize("depth", [8, 16])
def test_a_segment_of_a_run_is_a_clip(tmp_path: Path, depth: int):
    path, whole = tmp_path / "00000000-00000002.nut", 2**depth - 1
    levels = np.arange(3 * 48 * 64 * 3).reshape(3, 48, 64, 3) * 7 % (whole + 1)
    writer = SegmentWriter(path, Size(64, 48), Fraction(30), depth)
    for frame in levels:
        writer.write(frame.astype(np.uint8 if depth == 8 else np.uint16))
    writer.close()
    np.testing.assert_array_equal(list(read_frames(path)), np.round(levels * 255 / whole))
    assert len(list(figures(read_frames(path)))) == 3


def test_the_plot_is_a_picture_that_replaces_nothing_unasked(clip: str):
    assert run(clip, "--plot", "curves.png").endswith("\ncurves.png\n")
    with Image.open("curves.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] == 960
    assert (pixels[0] == 255).all()
    assert (pixels != 255).any(-1).mean() > 0.02
    with pytest.raises(MediaError, match=r"curves.png exists: add --overwrite"):
        run(clip, "--plot", "curves.png")
    run("000.png", "--plot", "curves.png", "--overwrite")  # of one frame


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["none.mp4"], "no clip at none.mp4"),
        (["%04d.png", "--objective"], "no stills match %04d.png"),
        (["%03d.png", "--reference", "30"], "--reference is 30: the clip has frames 0 to 29"),
        (["%03d.png", "--layer", "mixed4z"], "Did you mean"),
        (["%03d.png", "--plot", "curves.mp4"], "extension '.mp4'"),
    ],
)
def test_mistakes_are_named(clip: str, words: list[str], complaint: str):
    with pytest.raises(DreamError, match=complaint):
        run(*words)
