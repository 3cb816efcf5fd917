"""Objectives, guides and presets as their users meet them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Run

from dreamvid.checkpoints import safetensors
from dreamvid.media.clips import read_frames
from films import make
from small import random_picture, tiny_spec, tiny_tensors

QUICK = ("--model", "tiny.safetensors", "--steps", "1", "--octaves", "1")
GUIDED = "(0:(1), 2:(0.2))*style(conv2d1, 'guide.png') + conv2d1:(t) @ circle((t/4), 0.5)"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    safetensors.write(folder / "tiny.safetensors", tiny_spec(), tiny_tensors())
    for seed, name in enumerate(("photo.png", "guide.png")):
        pixels = np.asarray(random_picture(36, 48, seed) * 255).astype(np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    make(folder / "film.mkv", "testsrc2=s=48x36:r=25:d=0.12", "-c:v", "ffv1")
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files."""
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames_of(path: str) -> np.ndarray:
    return np.stack(list(read_frames(Path(path))))


def test_a_still_a_zoom_and_a_film_dream_of_objectives(folder: Path, run: Run):
    for command in (
        ("image", "photo.png", "-o", "out.png"),
        ("zoom", "photo.png", "-o", "out.mkv", "--frames", "3", "--size", "48x36"),
        ("video", "film.mkv", "-o", "film-out.mkv"),
    ):
        guided, plain = (*command, "--objective", GUIDED), (*command, "--layer", "conv2d1")
        code, out, errors = run(*guided, *QUICK)
        assert (code, out) == (0, f"{command[3]}\n"), errors
        first = frames_of(command[3])
        assert run(*plain, *QUICK, "--overwrite")[0] == 0
        assert not np.array_equal(first, frames_of(command[3]))


def test_a_typing_mistake_shows_text_place_and_nearest_name(folder: Path, run: Run):
    before = set(folder.iterdir())
    words = ("image", "photo.png", "-o", "out.png", *QUICK, "--objective")
    code, out, errors = run(*words, "conv2d1:2 + 0.3*giude(conv2d1, 'guide.png')")
    assert (code, out) == (2, "")
    told, text, caret = errors.splitlines()
    assert told.startswith("dreamvid: --objective has a mistake: unknown layer or objective")
    assert "Did you mean 'guide'?" in told
    assert text == "  conv2d1:2 + 0.3*giude(conv2d1, 'guide.png')"
    assert caret == " " * (2 + 16) + "^"
    code, _, errors = run(*words, "conv2d1:(0:(2), 5:(x))")
    assert code == 2
    assert errors.splitlines()[2].index("^") == 2 + len("conv2d1:(0:(2), 5:(")
    assert set(folder.iterdir()) == before


def test_a_layer_takes_the_place_of_an_objective_and_back(folder: Path, run: Run):
    Path("recipe.toml").write_text('[ascent]\nobjective = "conv2d1:3"\n')
    words = ("render", "recipe.toml", "photo.png", "-o", "out.mp4", "--dry-run", *QUICK)
    assert "at conv2d1\n" in run(*words)[1]
    assert "at conv2d0\n" in run(*words, "--layer", "conv2d0")[1]
    Path("recipe.toml").write_text('[ascent]\nlayer = "conv2d0"\n')
    assert "at conv2d2\n" in run(*words, "--set", "ascent.objective=conv2d2:1 - tv")[1]
    code, _, errors = run(*words, "--layer", "conv2d0", "--objective", "conv2d1")
    assert code == 2
    assert errors == "dreamvid: --objective is given, and --layer too: give one of them\n"
    Path("recipe.toml").write_text('[ascent]\nlayer = "conv2d0"\nobjective = "conv2d1"\n')
    code, _, errors = run(*words)
    assert code == 2
    assert "ascent.objective is given, and ascent.layer too" in errors


def test_a_finished_clip_is_made_again_from_elsewhere(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    zoom = ("zoom", "photo.png", "--frames", "3", "--size", "48x36", "--objective", GUIDED)
    assert run(*zoom, "-o", "out.mkv", *QUICK)[0] == 0
    first = frames_of("out.mkv")
    code, told, errors = run("measure", "out.mkv", "--objective", "--json")
    assert code == 0, errors
    assert json.loads(told)["layers"] == ["conv2d1"]
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    code, recipe, errors = run("settings", "../out.mkv")
    assert code == 0, errors
    assert "style(conv2d1, '../guide.png')" in recipe
    assert "# guides sha256: " in recipe
    Path("again.toml").write_text(recipe)
    assert run("render", "again.toml", "-o", "again.mkv")[0] == 0
    np.testing.assert_array_equal(frames_of("again.mkv"), first)


def test_guides_are_named_from_where_they_are_written(folder: Path, run: Run):
    (folder / "sub").mkdir()
    Path("guide.png").rename("sub/guide.png")
    Path("sub/recipe.toml").write_text("[ascent]\nobjective = \"style(conv2d1, 'guide.png')\"\n")
    words = ("render", "sub/recipe.toml", "photo.png", "-o", "out.mp4", "--dry-run", *QUICK)
    assert run(*words)[0] == 0
    assert run(*words, "--objective", "style(conv2d1, 'sub/guide.png')")[0] == 0
    assert "no picture, folder or film" in run(*words, "--objective", "style(conv2d1, 'a.png')")[2]


def test_another_guide_is_another_render(folder: Path, run: Run):
    zoom = ("zoom", "photo.png", "--frames", "3", "--size", "48x36", "--objective", GUIDED)
    words = (*zoom, "-o", "out.mkv", *QUICK, "--keep")
    assert run(*words)[0] == 0
    Path("out.mkv").unlink()
    Path("guide.png").write_bytes(Path("photo.png").read_bytes())
    for again in (words, ("resume", "out.mkv.run")):
        code, _, errors = run(*again)
        assert code == 2
        assert "guides" in errors
        assert len(errors.splitlines()) == 1


def test_presets_set_the_ascent_up(folder: Path, run: Run):
    words = ("image", "photo.png", *QUICK, "--layer", "conv2d1")
    made = []
    for preset in ("classic", "smooth", "laplacian", "tutorial"):
        assert run(*words, "-o", f"{preset}.png", "--preset", preset)[0] == 0
        made.append(frames_of(f"{preset}.png"))
        recipe = run("settings", f"{preset}.png")[1]
        gradient = {"classic": "mean", "tutorial": "std"}.get(preset, preset)
        assert f'gradient = "{gradient}"' in recipe
        assert "steps = 1\n" in recipe  # what is said goes before what a preset says
    assert len({picture.tobytes() for picture in made}) == 4
    code, _, errors = run(*words, "-o", "out.png", "--preset", "smoth")
    assert code == 2
    assert "Did you mean 'smooth'?" in errors


def test_the_dry_run_draws_what_moves_in_an_objective(folder: Path, run: Run):
    words = ("zoom", "photo.png", "-o", "out.mp4", "--dry-run", *QUICK)
    told = run(*words, "--objective", "(0:(1), 2:(0.2))*conv2d1 + conv2d2:(t/40)")[1]
    assert "0.2 to 1" in told
    assert "0 to 2.2" in told
    assert "at conv2d1, conv2d2\n" in told
