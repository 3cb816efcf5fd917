"""The program as its users meet it."""

import os
import signal
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import Run
from safetensors.numpy import save

from dreamvid import cli
from dreamvid.checkpoints import safetensors
from dreamvid.cli.progress import Progress
from dreamvid.media.clips import read_frames
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.stills import read_picture
from small import random_picture, tiny_spec, tiny_tensors

TINY = "tiny.safetensors"
QUICK = ("--steps", "1", "--octaves", "1", "--layer", "mixed3a", "--jitter", "2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a small picture and a small network, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    levels = np.round(np.asarray(random_picture(32, 48)) * 255).astype(np.uint8)
    cv2.imwrite("in.png", levels)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return tmp_path


def test_zoom_makes_a_clip_that_tells_how_it_was_made(folder: Path, run: Run):
    words = ("zoom", "in.png", "-o", "out.mp4", "--model", "tiny.safetensors", *QUICK)
    code, out, errors = run(*words, "--frames", "3", "--size", "32x24", "--seed", "5")
    assert (code, out) == (0, "out.mp4\n")
    told = [line.partition(",")[0] for line in errors.splitlines()]
    assert told == [
        "dreaming 32x24 pixels at mixed3a of tiny.safetensors",
        "1 of 3 frames",
        "3 of 3 frames",
        "encoding out.mp4",
        "1 of 3 frames",
        "3 of 3 frames",
    ]
    assert count_frames(Path("out.mp4")) == 3
    settings = tomllib.loads(read_settings(Path("out.mp4")))
    assert settings["general"] == {"model": "tiny.safetensors", "seed": 5, "precision": "auto"}
    assert settings["clip"]["frames"] == 3
    assert sorted(folder.iterdir()) == [folder / n for n in ("in.png", "out.mp4", TINY)]


def test_what_a_clip_was_made_with_renders_it_again(folder: Path, run: Run):
    words = ("zoom", "in.png", "-o", "out.mkv", "--model", TINY, *QUICK, "--size", "32x24")
    assert run(*words, "--frames", "4", "--rate", "0:(1), 3:(2)", "--motion", "spiral")[0] == 0
    code, recipe, _ = run("settings", "out.mkv")
    assert (code, recipe.startswith("# dreamvid ")) == (0, True)
    Path("again.toml").write_text(recipe)
    assert run("render", "again.toml", "-o", "again.mkv")[:2] == (0, "again.mkv\n")
    once, again = (list(read_frames(Path(name))) for name in ("out.mkv", "again.mkv"))
    np.testing.assert_array_equal(once, again)


def test_render_takes_changes_and_another_picture(folder: Path, run: Run):
    (folder / "recipes").mkdir()
    recipe = f"[general]\nmodel = '../{TINY}'\n[ascent]\nsteps = 3\nlayer = 'mixed3a'\noctaves = 1"
    Path("recipes/mine.toml").write_text(recipe)
    words = ("render", "recipes/mine.toml", "in.png", "-o", "out.mkv", "--set", "clip.size=32x24")
    code, out, errors = run(*words, "--set", "clip.frames=2", "--set", "ascent.steps=1")
    assert (code, out) == (0, "out.mkv\n"), errors
    settings = tomllib.loads(read_settings(Path("out.mkv")))
    assert (settings["ascent"]["steps"], settings["clip"]["frames"]) == (1, 2)
    assert settings["source"] == "in.png"


def test_a_recipe_can_be_a_still(folder: Path, run: Run):
    Path("still.toml").write_text(
        f"kind = 'image'\nsource = 'in.png'\n[general]\nmodel = '{TINY}'\n"
        "[ascent]\nsteps = 1\nlayer = 'mixed3a'\noctaves = 1"
    )
    assert run("render", "still.toml", "-o", "out.png")[:2] == (0, "out.png\n")
    assert read_settings(Path("out.png")).startswith("# dreamvid ")


def test_a_dry_run_tells_what_would_be_done_and_makes_nothing(folder: Path, run: Run):
    before = sorted(folder.iterdir())
    words = (*ZOOM, "--model", TINY, *QUICK, "--size", "32x24", "--dry-run")
    code, out, errors = run(*words, "--zoom", "0:(1.0), 89:(1.05)", "--loop", "pingpong")
    assert (code, errors) == (0, "")
    assert "--zoom             ▁▁▁▁" in out
    assert "1 to 1.025" in out  # which is half the way
    for told in ("frames    90, 3.00 s", "dreams    46", "memory ", "disk ", "time ", "libx264"):
        assert told in out
    assert sorted(folder.iterdir()) == before


def test_a_mistake_in_a_schedule_is_shown_with_a_caret(folder: Path, run: Run):
    code, out, errors = run(*ZOOM, "--zoom", "0:(1.0), 30:(1+__import__('os'))")
    assert (code, out) == (2, "")
    line, text, caret = errors.splitlines()
    assert line.startswith("dreamvid: --zoom has a mistake in its schedule: ")
    assert text[caret.index("^") :].startswith("__import__")


def test_a_song_moves_the_dream_and_goes_with_it(folder: Path, run: Run):
    with wave.open("song.wav", "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(8000)
        beat = (20000 * np.sin(np.arange(8000) * 0.08) * (np.arange(8000) % 2000 < 500)).astype(
            "<i2"
        )
        song.writeframes(beat.tobytes())
    words = (*ZOOM, "--model", TINY, *QUICK, "--size", "32x24", "--frames", "6", "--motion-only")
    code, _, errors = run(*words, "--zoom", "1+0.1*audio('low')", "--audio", "song.wav")
    assert code == 0, errors
    with av.open("out.mp4") as container:
        assert len(container.streams.audio) == 1
    code, _, errors = run(*words, "--zoom", "1+0.1*audio('low')", "--overwrite")
    assert (code, "--audio" in errors) == (2, True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_image_dreams_a_still_at_its_size(folder: Path, run: Run, suffix: str):
    code, out, _ = run(
        "image", "in.png", "-o", f"out{suffix}", "--model", "tiny.safetensors", *QUICK
    )
    assert (code, out) == (0, f"out{suffix}\n")
    dreamed, source = read_picture(Path(f"out{suffix}")), read_picture(Path("in.png"))
    assert dreamed.rgb.shape == source.rgb.shape
    assert 0.5 / 255 < np.abs(dreamed.rgb - source.rgb).mean() < 0.1


def test_image_keeps_alpha(folder: Path, run: Run):
    clear = np.dstack([np.full((20, 24, 3), 90, np.uint8), np.full((20, 24), 128, np.uint8)])
    cv2.imwrite("clear.png", clear)
    assert run("image", "clear.png", "-o", "o.png", "--model", "tiny.safetensors", *QUICK)[0] == 0
    alpha = read_picture(Path("o.png")).alpha
    assert alpha is not None
    np.testing.assert_allclose(alpha, 128 / 255, atol=1e-6)


def test_a_file_that_is_there_is_replaced_only_when_told(folder: Path, run: Run):
    words = ("image", "in.png", "-o", "out.png", "--model", "tiny.safetensors", *QUICK)
    Path("out.png").write_text("precious")
    code, _, errors = run(*words)
    assert (code, errors) == (
        2,
        "dreamvid: output out.png exists: add --overwrite, or choose another name\n",
    )
    assert Path("out.png").read_text() == "precious"
    assert run(*words, "--overwrite")[0] == 0
    assert read_picture(Path("out.png")).rgb.shape == (32, 48, 3)


ZOOM = ("zoom", "in.png", "-o", "out.mp4")
# What is wrong -> the words on the command line, and a part of the answer.
WRONG = {
    "missing picture": (("zoom", "none.png", "-o", "out.mp4"), "no picture at none.png"),
    "empty picture": (("zoom", "empty.png", "-o", "out.mp4"), "empty.png is empty"),
    "truncated picture": (("zoom", "half.png", "-o", "out.mp4"), "half.png is damaged"),
    "text for a picture": (("zoom", "text.png", "-o", "out.mp4"), "text.png is not a picture"),
    "folder for a picture": (("zoom", ".", "-o", "out.mp4"), ". is a folder"),
    "device for a picture": (("image", "/dev/zero", "-o", "out.png"), "/dev/zero is a device"),
    "endless name": (("zoom", "n" * 300, "-o", "out.mp4"), "cannot be reached: File name too"),
    "endless output": (("zoom", "in.png", "-o", "n" * 300 + ".mp4"), "cannot be reached"),
    "endless network": ((*ZOOM, "--model", "n" * 300), "cannot be reached: File name too long"),
    "file for a folder": (("zoom", "in.png", "-o", "in.png/o.mp4"), "in.png is not a folder"),
    "too wide for WebP": (("image", "wide.png", "-o", "out.webp"), "cannot hold 16400x16 pixels"),
    "a zoom into one pixel": (("zoom", "dot.png", "-o", "out.mp4"), "dot.png has 1x1 pixels"),
    "one pixel": (("image", "dot.png", "-o", "out.png"), "dot.png has 1x1 pixels"),
    "missing still": (("image", "none.png", "-o", "out.png"), "no picture at none.png"),
    "unwritable output": (("zoom", "in.png", "-o", "/proc/out.mp4"), "/proc/out.mp4 cannot be"),
    "no such folder": (("zoom", "in.png", "-o", "no/out.mp4"), "no does not exist"),
    "folder for an output": (("zoom", "in.png", "-o", "."), "is a folder"),
    "unknown extension": (("zoom", "in.png", "-o", "out.xyz"), "extension '.xyz'"),
    "over its own beginning": (("image", "in.png", "-o", "in.png", "--overwrite"), "begins with"),
    "two numbers": (("zoom", "in.png", "-o", "f-%d-%d.png"), "has no one place for a frame"),
    "a clip for a still": (("image", "in.png", "-o", "out.mp4"), "extension '.mp4'"),
    "unknown layer": ((*ZOOM, "--layer", "mixed4z"), "'mixed4z' of inception_v1. Did you mean"),
    "fewer than no steps": ((*ZOOM, "--steps", "-1"), "--steps is -1"),
    "negative octaves": ((*ZOOM, "--octaves", "-3"), "--octaves is -3"),
    "rate that is no number": ((*ZOOM, "--rate", "nan"), "--rate is nan"),
    "zero zoom": ((*ZOOM, "--zoom", "0"), "--zoom is 0"),
    "endless angle": ((*ZOOM, "--angle", "inf"), "--angle is inf"),
    "endless seed": ((*ZOOM, "--seed", "9" * 400), "--seed is 999"),
    "endless rate of frames": ((*ZOOM, "--fps", "1e999999999"), "--fps is '1e999999999'"),
    "no frames": ((*ZOOM, "--frames", "0"), "--frames is 0"),
    "a word for frames": ((*ZOOM, "--frames", "many"), "--frames is 'many'"),
    "negative rate of frames": ((*ZOOM, "--fps", "-24"), "--fps is -24"),
    "half a size": ((*ZOOM, "--size", "640"), "--size is '640'"),
    "odd size": ((*ZOOM, "--size", "641x360"), "size 641x360 has an odd side"),
    "size of a dot": ((*ZOOM, "--size", "2x2"), "--size is 2x2"),
    "unknown network": ((*ZOOM, "--model", "bultin"), "Did you mean 'builtin'"),
    "missing network": ((*ZOOM, "--model", "no.safetensors"), "no network at no.safetensors"),
    "truncated network": ((*ZOOM, "--model", "half.safetensors"), "half.safetensors cannot be"),
    "foreign network": (
        (*ZOOM, "--model", "alien.safetensors"),
        "alien.safetensors holds no whole",
    ),
    "unknown flag": ((*ZOOM, "--zooom", "1"), "--zooom"),
    "unknown command": (("zoomm",), "zoomm"),
    "no output": (("zoom", "in.png"), "--output"),
    "an odd way back": (
        (*ZOOM, "--loop", "pingpong", "--frames", "7"),
        "--frames (clip.frames) is 7",
    ),
    "unknown motion": ((*ZOOM, "--motion", "spirl"), "Did you mean 'spiral'"),
    "another motion's option": ((*ZOOM, "--radius", "1"), "--radius is for the motion spiral"),
    "unknown codec": ((*ZOOM, "--codec", "h265"), "h265"),
    "missing sound": ((*ZOOM, "--audio", "no.wav"), "no.wav"),
    "endless and numbered": (
        ("zoom", "in.png", "-o", "f-%04d.png", "--frames", "endless"),
        "an endless clip is numbered by itself",
    ),
    "missing recipe": (("render", "no.toml", "-o", "out.mp4"), "no recipe at no.toml"),
    "unknown recipe": (("render", "nothing", "-o", "out.mp4"), "unknown recipe 'nothing'"),
    "no recipe": (("render", "-o", "out.mp4"), "RECIPE is missing"),
    "half a change": (("render", "in.toml", "--set", "a", "-o", "out.mp4"), "--set is 'a'"),
    "unknown change": (
        ("render", "in.toml", "--set", "ascent.stepz=1", "-o", "out.mp4"),
        "Did you mean 'ascent.steps'",
    ),
    "mistaken recipe": (("render", "bad.toml", "-o", "out.mp4"), "bad.toml: ascent.rate is -1"),
    "recipe without output": (("render", "in.toml"), "--output is missing"),
    "nothing to resume": (("resume", "none.run"), "no run folder at none.run"),
    "a file to resume": (("resume", "in.png"), "no run folder at in.png"),
    "measure of a stranger": (("measure", "text.png"), "text.png"),
    "settings of a stranger": (("settings", "in.png"), "in.png carries no settings"),
    "layers of nothing": (("layers", "--model", "none"), "unknown network 'none'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_answered_in_one_line_and_leaves_nothing(folder: Path, run: Run, case: str):
    Path("empty.png").touch()
    Path("half.png").write_bytes(Path("in.png").read_bytes()[:900])
    Path("text.png").write_text("hello")
    Path("in.toml").touch()
    Path("bad.toml").write_text("[ascent]\nrate = -1")
    cv2.imwrite("dot.png", np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite("wide.png", np.zeros((16, 16400, 3), np.uint8))
    network = Path("tiny.safetensors").read_bytes()
    Path("half.safetensors").write_bytes(network[: len(network) // 2])
    Path("alien.safetensors").write_bytes(save({"a": np.zeros(3)}))
    before = sorted(folder.iterdir())
    words, complaint = WRONG[case]
    code, out, errors = run(*words)
    assert (code, out) == (2, "")
    assert errors.startswith("dreamvid: ")
    assert errors.count("\n") == 1
    assert complaint in errors
    assert sorted(folder.iterdir()) == before


def test_on_a_terminal_it_shows_a_bar(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dreamvid.cli.progress._on_a_terminal", lambda: True)
    words = ("zoom", "in.png", "-o", "out.mp4", "--model", "tiny.safetensors", *QUICK)
    code, out, errors = run(*words, "--frames", "3", "--size", "32x24")
    assert (code, out) == (0, "out.mp4\n")
    assert "3 of 3 frames" in errors


def test_a_reader_that_goes_away_is_no_error():
    words = f"{sys.executable} -m dreamvid layers | true; exit ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_one_line():
    words = f"{sys.executable} -m dreamvid layers > /dev/full"
    found = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "No space left" in found.stderr


def test_a_stop_that_python_swallowed_is_noticed_at_the_next_frame(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cli.signals, "_asked", True)
    with pytest.raises(KeyboardInterrupt):
        Progress().advance()


def test_an_interruption_before_the_first_frame_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: Run
):
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("dreamvid.cli.signals._asked", False)
    monkeypatch.setattr(os, "_exit", leave)

    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("dreamvid.plan.plan_clip", interrupt)
    code, out, errors = run(*ZOOM, "--model", TINY)
    assert (code, out) == (3, "")
    assert errors == "dreamvid: interrupted; no unfinished file is left\n"


def test_a_folder_that_is_gone_is_told(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, errors = run("layers")
    monkeypatch.chdir(tmp_path)
    assert (code, errors.count("\n")) == (2, 1)
    assert "the current folder is gone" in errors


def test_odd_names_are_names(folder: Path, run: Run):
    name = "12:30 %d 'ü' -.mp4"
    words = ("zoom", "in.png", "-o", name, "--model", "tiny.safetensors", *QUICK)
    assert run(*words, "--frames", "1", "--size", "32x24")[:2] == (0, f"{name}\n")
    assert run("settings", name)[0] == 0


def test_without_a_command_it_explains_itself(run: Run):
    code, out, errors = run()
    assert (code, errors) == (0, "")
    assert "zoom" in out
    assert run("-h")[1] == out


def test_layers_lists_what_can_be_dreamed_of(run: Run):
    code, out, _ = run("layers")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:2] == ["builtin:", "inception_v1,"]
    assert ["mixed4c", "256", "16", "299x299"] in [line[:4] for line in lines]
    assert ["logits", "100", "-", "all"] in [line[:4] for line in lines]


def test_layers_lists_the_classes(run: Run):
    code, out, _ = run("layers", "--classes")
    assert (code, len(out.splitlines())) == (0, 100)
    assert out.splitlines()[0].split()[0] == "0"


def test_layers_counts_the_work_for_a_picture(run: Run):
    def work(size: str) -> float:
        out = run("layers", "--size", size)[1]
        return float(next(w for w in out.splitlines() if w.startswith("mixed5b ")).split()[-1])

    assert work("640x480") == pytest.approx(4 * work("320x240"), rel=0.01)


def test_help_imports_nothing_heavy():
    check = "import sys, dreamvid.cli; print({'jax', 'cv2', 'flax', 'av'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert found.stdout == "set()\n", found.stderr


def test_importing_makes_no_folder_and_sets_no_variable(tmp_path: Path):
    check = "import os; old = dict(os.environ); import dreamvid, dreamvid.cli; dreamvid.load; "
    check += "print(dict(os.environ) == old)"
    words = [sys.executable, "-c", check]
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    found = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert found.stdout == "True\n", found.stderr
    assert not list(tmp_path.iterdir())
