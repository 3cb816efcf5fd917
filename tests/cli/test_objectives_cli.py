"""What objectives work together with on the command line: sounds, optimizers, odd folders."""

import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Run

from dreamvid.checkpoints import safetensors
from dreamvid.media.clips import read_frames
from small import random_picture, tiny_spec, tiny_tensors

QUICK = ("--model", "tiny.safetensors", "--octaves", "1", "--jitter", "2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a small picture and a small network."""
    folder = tmp_path / "O'Brien's"
    folder.mkdir()
    monkeypatch.chdir(folder)
    cv2.imwrite("photo.png", np.asarray(random_picture(40, 40) * 255).astype(np.uint8))
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return folder


def frames_of(path: str) -> np.ndarray:
    return np.stack(list(read_frames(Path(path))))


def test_a_weight_listens_to_a_sound(folder: Path, run: Run):
    with wave.open("song.wav", "wb") as song:  # half a second of nothing, then a tone
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(8000)
        moments = np.arange(8000)
        song.writeframes((9000 * np.sin(moments) * (moments >= 4000)).astype("<i2").tobytes())
    words = ("zoom", "photo.png", *QUICK, "--steps", "1", "--size", "40x40", "--fps", "4")
    words += ("--frames", "4", "--zoom", "1", "--anchor-tone", "0", "--anchor-sharpness", "0")
    code, _, errors = run(
        *words, "-o", "out.mkv", "--objective", "(audio('all'))*conv2d0", "--audio", "song.wav"
    )
    assert code == 0, errors
    silent, _, heard, _ = frames_of("out.mkv").astype(float)
    photo = frames_of("photo.png")[0].astype(float)
    assert np.abs(silent - photo).mean() < 2.0
    assert np.abs(heard - photo).mean() > 3.0
    code, _, errors = run(*words, "-o", "no.mkv", "--objective", "(audio('all'))*conv2d0")
    assert code == 2
    assert "--audio" in errors.splitlines()[0]
    assert errors.splitlines()[2].index("^") == 2 + len("(audio(")


def test_gradients_and_optimizers_make_pictures_of_their_own(folder: Path, run: Run):
    words = ("image", "photo.png", *QUICK, "--steps", "2", "--objective", "conv2d0 - 0.1*tv")
    made = []
    for ways in ((), ("--optimizer", "adam"), ("--gradient", "laplacian"), ("--balance",)):
        code, _, errors = run(*words, *ways, "-o", f"{len(made)}.png")
        assert code == 0, errors
        made.append(frames_of(f"{len(made)}.png"))
    assert len({picture.tobytes() for picture in made}) == 4


def test_a_guide_in_a_folder_with_a_quote_is_found_again(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    words = ("image", "photo.png", *QUICK, "--steps", "1")
    (folder.parent / "out").mkdir()
    code, _, errors = run(
        *words, "-o", "../out/out.png", "--objective", "style(conv2d0, 'photo.png')"
    )
    assert code == 0, errors
    monkeypatch.chdir(folder.parent / "out")
    recipe = run("settings", "out.png")[1]
    assert "../O'Brien's/photo.png" in recipe
    Path("recipe.toml").write_text(recipe)
    code, _, errors = run("render", "recipe.toml", "-o", "again.png")
    assert code == 0, errors
    np.testing.assert_array_equal(frames_of("again.png"), frames_of("out.png"))
