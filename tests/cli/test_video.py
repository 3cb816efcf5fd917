"""Dreamed films as their users meet them."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import Run

from dreamvid.checkpoints import safetensors
from dreamvid.media.clips import read_frames
from dreamvid.media.probe import count_frames, read_settings
from films import decoded, ffmpeg, make
from small import tiny_spec, tiny_tensors

QUICK = ("--model", "tiny.safetensors", "--layer", "mixed3a", "--steps", "1", "--octaves", "1")
PICTURES = "testsrc2=s=64x48:r=24000/1001:d=0.7"
SHOTS = "color=black:s=64x48:r=25:d=0.4[a];testsrc2=s=64x48:r=25:d=0.4[b];[a][b]concat=n=2"
SOUND = ("-f", "lavfi", "-i", "sine=440:d=0.7", "-c:a", "aac")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    make(folder / "film.mp4", PICTURES, *SOUND, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", SHOTS, "-c:v", "ffv1", folder / "shots.mkv")
    safetensors.write(folder / "tiny.safetensors", tiny_spec(), tiny_tensors())
    cv2.imwrite(str(folder / "mask.png"), np.eye(48, 64, dtype=np.uint8) * 255)
    for number in (1, 2, 4):
        cv2.imwrite(str(folder / f"still-{number:05d}.png"), np.full((48, 64), 50, np.uint8))
    return folder


@pytest.fixture
def folder(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with links to the films."""
    for film in films.iterdir():
        (tmp_path / film.name).symlink_to(film)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def test_a_film_is_dreamed_with_its_sound_rate_and_recipe(folder: Path, run: Run):
    before = set(folder.iterdir())
    code, out, errors = run("video", "film.mp4", "-o", "out.mp4", *QUICK)
    assert (code, out) == (0, "out.mp4\n"), errors
    assert set(folder.iterdir()) == before | {folder / "out.mp4"}
    with av.open("film.mp4") as source, av.open("out.mp4") as made:
        one, other = (container.streams.video[0] for container in (source, made))
        assert other.average_rate == one.average_rate
        assert (other.width, other.height) == (one.width, one.height)
    assert count_frames(Path("out.mp4")) == count_frames(Path("film.mp4"))
    assert packets(Path("out.mp4"), "audio") == packets(Path("film.mp4"), "audio")
    film, dream = (decoded(Path(name), 48, 64) for name in ("film.mp4", "out.mp4"))
    assert not np.array_equal(film, dream)
    assert 'kind = "video"' in read_settings(Path("out.mp4"))


def test_what_it_was_made_with_makes_it_again(folder: Path, run: Run):
    changes = ("--every", "2", "--end", "0.4", "--coherence", "0.5", "--mask", "mask.png")
    assert run("video", "film.mp4", "-o", "out.mkv", *QUICK, *changes)[0] == 0
    code, out, _ = run("settings", "out.mkv")
    assert code == 0
    (folder / "again.toml").write_text(out)
    assert run("render", "again.toml", "-o", "again.mkv")[0] == 0
    one, two = (list(read_frames(Path(name))) for name in ("out.mkv", "again.mkv"))
    assert len(one) == 5
    np.testing.assert_array_equal(one, two)
    assert run("render", "again.toml", "shots.mkv", "-o", "other.mkv", "--max-side", "32")[0] == 0
    assert next(read_frames(Path("other.mkv"))).shape == (24, 32, 3)


def test_a_film_that_was_stopped_goes_on_to_the_same_pictures(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    words = ("video", "film.mp4", *QUICK)
    assert run(*words, "-o", "whole.mkv")[0] == 0
    monkeypatch.setattr("dreamvid.journal.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("dreamvid.cli.progress.Progress.stop_asked", property(lambda p: p.done > 6))
    monkeypatch.setattr("os._exit", sys.exit)  # which would end the tests as well
    code, _, errors = run(*words, "-o", "out.mkv")
    assert (code, "go on with: dreamvid resume" in errors) == (3, True)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DREAMVID_WEIGHTS", str(folder / "none"))
    assert run("resume", "out.mkv.run", "--finish", "--keep")[0] == 0
    assert count_frames(Path("out.mkv")) == 7
    assert 0 < len(packets(Path("out.mkv"), "audio")) < len(packets(Path("whole.mkv"), "audio"))
    assert run("resume", "out.mkv.run")[0] == 0
    one, two = (list(read_frames(Path(name))) for name in ("whole.mkv", "out.mkv"))
    np.testing.assert_array_equal(one, two)
    assert packets(Path("out.mkv"), "audio") == packets(Path("whole.mkv"), "audio")


def test_a_dry_run_tells_of_cuts_and_writes_nothing(folder: Path, run: Run):
    before = set(folder.iterdir())
    code, out, _ = run("video", "shots.mkv", "-o", "out.gif", "--dry-run", *QUICK)
    assert code == 0
    assert "cuts      10 (0.40 s)" in out
    assert "frames    20, 0.80 s at 25 a second; 64x48 pixels" in out
    assert set(folder.iterdir()) == before


def test_the_flow_of_a_film_is_shown_without_a_network(folder: Path, run: Run):
    code, _, errors = run(
        "video", "film.mp4", "-o", "flow.mkv", "--show", "flow", "--model", "none"
    )
    assert (code, "showing the flow of 64x48 pixels" in errors) == (0, True)
    first = next(read_frames(Path("flow.mkv")))
    assert (first == 255).all()


def test_a_schedule_hears_the_films_own_sound(folder: Path, run: Run):
    words = ("video", "film.mp4", *QUICK, "--start", "0.2", "--end", "0.5")
    for mix in ("1", "0", 'audio("all")'):
        assert run(*words, "-o", f"{mix[0]}.mkv", "--mix", mix)[0] == 0
    loud, film, heard = (list(read_frames(Path(f"{name}.mkv"))) for name in "10a")
    assert not np.array_equal(loud, film)
    # In the midst of the sound it is nearly as loud as it gets.
    assert np.abs(heard[2].astype(int) - loud[2]).max() <= 2


def test_a_film_may_be_slower_than_a_picture_a_second(folder: Path, run: Run):
    make(folder / "slow.mkv", "testsrc2=s=64x48:r=1/2:d=6", "-c:v", "ffv1")
    assert run("video", "slow.mkv", "-o", "out.mp4", "--show", "flow")[0] == 0
    with av.open("out.mp4") as made:
        assert made.streams.video[0].average_rate == Fraction(1, 2)
    assert count_frames(Path("out.mp4")) == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("none.mp4", "-o", "out.mp4"), "none.mp4"),
        (("http://127.0.0.1/film.mp4", "-o", "out.mp4"), "http:"),
        (("concat:film.mp4|film.mp4", "-o", "out.mp4"), "concat:film.mp4|film.mp4"),
        (("tiny.safetensors", "-o", "out.mp4"), "tiny.safetensors"),
        (("mask.png", "-o", "out.mp4"), "dreamvid image"),
        (("still-%05d.png", "-o", "out.mp4"), "number 3"),
        (("film.mp4", "-o", "film.mp4", "--overwrite"), "is the film itself"),
        (("still-*[12].png", "-o", "still-%05d.png", "--overwrite"), "would replace stills"),
        (("film.mp4", "-o", "out.mp4", "--mask", "shots.mkv"), "has 20 pictures"),
        (("film.mp4", "-o", "out.mp4", "--mask", "none.png"), "mask: no clip at none.png"),
        (("film.mp4", "-o", "out.mp4", "--max-side", "16"), "--max-side"),
        (("film.mp4", "-o", "out.mp4", "--start", "9"), "--start"),
        (("film.mp4", "-o", "out.mp4", "--start", "0.5", "--end", "0.2"), "--end"),
        (("film.mp4", "-o", "out.mp4", "--coherence", "2"), "--coherence is 2"),
        (("film.mp4", "-o", "out.mp4", "--size", "33x33"), "odd side"),
        (("film.mp4", "-o", "out.mp4", "--show", "flaw"), "Did you mean 'flow'?"),
    ],
)
def test_what_cannot_be_dreamed_is_one_line(
    folder: Path, run: Run, words: tuple[str, ...], complaint: str
):
    before = set(folder.iterdir())
    code, out, errors = run("video", *words, *QUICK)
    assert (code, out) == (2, ""), errors
    told = [line for line in errors.splitlines() if not line.startswith("looking through")]
    assert len(told) == 1, errors
    assert complaint in told[0]
    assert set(folder.iterdir()) == before


def test_options_of_films_are_refused_by_zooms(folder: Path, run: Run):
    code, _, errors = run("render", "circus", "-o", "out.mp4", "--coherence", "0.5")
    assert code == 2
    assert "--coherence is for the kind video: this recipe is of kind zoom" in errors
