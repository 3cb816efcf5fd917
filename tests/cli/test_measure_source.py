"""A clip is measured beside the film that it was dreamed from."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from PIL import Image

from dreamvid.checkpoints import safetensors
from dreamvid.coherence import Reading
from dreamvid.fields import Size
from dreamvid.media.stills import Picture, write_picture
from dreamvid.options import Ascent, Coherence, Footage, General
from dreamvid.recipe import Recipe
from scenes import moving_scene
from small import tiny_spec, tiny_tensors

DREAM = Recipe(
    General("tiny.safetensors"),
    Ascent("mixed3a", steps=1, octaves=1),
    footage=Footage(cuts="none"),
    coherence=Coherence(follow_steps=1),
    kind="video",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, what might have been dreamed of it, and a small network."""
    folder = tmp_path_factory.mktemp("clips")
    film = moving_scene(6, Size(64, 48), velocity=(2.0, 0.0), pan=(0.0, 0.0)).pictures
    safetensors.write(folder / "tiny.safetensors", tiny_spec(), tiny_tensors())
    rng = np.random.default_rng(0)
    noisy = np.clip(film + rng.normal(3, 9, film.shape), 0, 255).astype(np.uint8)
    keep(folder / "film%d.png", film, "")
    keep(folder / "dream%d.png", noisy, DREAM.to_toml())
    keep(folder / "bare%d.png", noisy, "")
    keep(folder / "zoom%d.png", noisy, dataclasses.replace(DREAM, kind="zoom").to_toml())
    keep(folder / "short%d.png", film[:5], "")
    keep(folder / "small%d.png", film[:, :32], "")
    return folder


@pytest.fixture(autouse=True)
def folder(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, in which nothing is to be written."""
    monkeypatch.chdir(clips)


def keep(path: Path, pictures: Iterable[np.ndarray], settings: str) -> None:
    """Writes stills that follow one another."""
    for number, picture in enumerate(pictures):
        rgb = picture.astype(np.float32) / 255
        write_picture(path.with_name(path.name % number), Picture(rgb), settings, overwrite=False)


def test_the_error_is_told_beside_the_objective_and_the_detail(run: Run):
    code, out, errors = run("measure", "dream%d.png", "--source", "film%d.png")
    assert code == 0
    assert "\nmeasuring dream%d.png beside film%d.png\n" in errors
    lines = out.splitlines()
    assert lines[0] == "dream%d.png: 6 frames, beside film%d.png, flow: dis"
    assert lines[1].split() == ["output", "source"]
    told = {line[2:23].strip(): line[23:].split() for line in lines[2 : lines.index("")]}
    assert list(told)[:3] == ["E_warp", "objective", "high-frequency energy"]
    assert float(told["E_warp"][0]) > float(told["E_warp"][1]) >= 0
    gain = float(told["objective"][0]) / float(told["objective"][1])
    assert float(told["objective"][2]) == pytest.approx(gain, abs=0.01)
    table = [line.split() for line in lines[lines.index("") + 1 :]]
    assert table[0][:3] == ["frame", "E_warp", "floor"]
    assert [row[0] for row in table[1:]] == list("012345")
    assert table[1][1] == table[2][3] == "-"


def test_json_holds_every_figure(run: Run):
    words = ("measure", "dream%d.png", "--source", "film%d.png", "--json", "--flow", "farneback")
    code, out, _ = run(*words, "--frames", "4", "--reference", "1")
    assert code == 0
    found = json.loads(out)
    about = {name: found[name] for name in ("clip", "source", "flow", "fps", "layers")}
    assert about == {
        "clip": "dream%d.png",
        "source": "film%d.png",
        "flow": "farneback",
        "fps": None,
        "layers": ["mixed3a"],
    }
    names = {field.name for field in dataclasses.fields(Reading)}
    assert [frame["index"] for frame in found["frames"]] == [0, 1, 2, 3]
    for part in (found["summary"], *found["frames"][1:]):
        assert set(part["output"]) == set(part["source"]) == names
        assert all(isinstance(part["output"][name], float) for name in names)
        assert part["ceiling"] is None
    assert found["summary"]["reference"] == 1
    assert found["summary"]["objective_gain"] > 0


def test_the_ceiling_is_the_film_dreamed_picture_by_picture(run: Run):
    words = ("measure", "dream%d.png", "--source", "film%d.png", "--frames", "4", "--ceiling")
    code, out, _ = run(*words, "--json")
    assert code == 0
    summary = json.loads(out)["summary"]
    ratios = ("warp_ratio", "objective_ratio", "high_frequency_ratio", "flicker_ratio")
    assert all(summary[name] > 0 for name in ratios)
    output, floor, ceiling = (
        summary[clip]["warp_error"] for clip in ("output", "source", "ceiling")
    )
    assert summary["warp_ratio"] == pytest.approx((output - floor) / (ceiling - floor))
    assert summary["ceiling"]["objective"] > summary["source"]["objective"]
    code, out, _ = run(*words)
    assert f"{summary['warp_ratio']:.2f} of the way from source to ceiling" in out


def test_a_clip_without_settings_is_measured_without_a_network(run: Run):
    code, out, _ = run("measure", "bare%d.png", "--source", "film%d.png")
    assert code == 0
    assert "No objective: bare%d.png tells of no layer, so name one with --layer.\n" in out
    (line,) = (line for line in out.splitlines() if line.startswith("  objective"))
    assert line.split() == ["objective", "-", "-"]
    words = ("--layer", "mixed3a", "--model", "tiny.safetensors")
    code, out, _ = run("measure", "bare%d.png", "--source", "film%d.png", *words)
    assert code == 0
    assert "of the source's" in out
    assert "No objective" not in out


def test_the_plot_is_a_picture(tmp_path: Path, run: Run):
    plot = tmp_path / "curves.png"
    words = ("measure", "bare%d.png", "--source", "film%d.png", "--plot", str(plot))
    code, out, _ = run(*words)
    assert (code, out.splitlines()[-1]) == (0, str(plot))
    with Image.open(plot) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] == 960
    assert (pixels != 255).any(-1).mean() > 0.02
    assert run(*words)[0] == 2


WRONG = {
    "no source": (("dream%d.png", "--ceiling"), "--ceiling needs the film"),
    "no source, flow": (("dream%d.png", "--flow", "dis"), "--flow needs the film"),
    "unknown flow": (("dream%d.png", "--source", "film%d.png", "--flow", "x"), "farneback"),
    "no film": (("dream%d.png", "--source", "none.mp4"), "none.mp4"),
    "shorter": (("dream%d.png", "--source", "short%d.png"), "6 frames of 64x48 pixels, but"),
    "smaller": (("dream%d.png", "--source", "small%d.png"), "gives 6 of 64x32"),
    "no film's dream": (("zoom%d.png", "--source", "film%d.png", "--ceiling"), "zoom%d.png is not"),
    "no settings": (("bare%d.png", "--source", "film%d.png", "--ceiling"), "carries no settings"),
    "no reference": (("bare%d.png", "--source", "film%d.png", "--reference", "6"), "0 to 5"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_answered_in_one_line(run: Run, case: str):
    words, complaint = WRONG[case]
    code, out, errors = run("measure", *words)
    assert (code, out) == (2, "")
    *_, line = errors.splitlines()
    assert line.startswith("dreamvid: ")
    assert errors.count("dreamvid: ") == 1
    assert complaint in line
    assert "measuring" not in errors  # told before the long work


def test_frames_are_limited_in_a_clip_alone_too(run: Run):
    code, out, _ = run("measure", "bare%d.png", "--frames", "3")
    assert (code, out.splitlines()[0]) == (0, "bare%d.png: 3 frames")
