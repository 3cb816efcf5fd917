"""The program as its users meet it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from dreamvid import cli
from dreamvid.checkpoints import safetensors
from dreamvid.cli.progress import Progress
from dreamvid.media.probe import count_frames, read_settings
from dreamvid.media.stills import read_picture
from small import random_picture, tiny_spec, tiny_tensors

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--steps", "1", "--octaves", "1", "--layer", "mixed3a", "--jitter", "2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a small picture and a small network, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    levels = np.round(np.asarray(random_picture(32, 48)) * 255).astype(np.uint8)
    cv2.imwrite("in.png", levels)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the program in this process: (exit code, output, errors)."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dreamvid", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        code = stop.value.code or 0
        assert isinstance(code, int)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_zoom_makes_a_clip_that_tells_how_it_was_made(folder: Path, run: Run):
    words = ("zoom", "in.png", "-o", "out.mp4", "--model", "tiny.safetensors", *QUICK)
    code, out, errors = run(*words, "--frames", "3", "--size", "32x24", "--seed", "5")
    assert (code, out) == (0, "out.mp4\n")
    assert errors.splitlines()[:2] == ["dreaming 32x24 pixels at mixed3a", "1 of 3 frames"]
    assert errors.splitlines()[-1].startswith("3 of 3 frames, ")
    assert count_frames(Path("out.mp4")) == 3
    settings = read_settings(Path("out.mp4"))
    assert settings["general"] == {"model": "tiny.safetensors", "seed": 5}
    assert settings["clip"] == {"frames": 3, "fps": "30", "size": "32x24"}
    assert len(settings["network_sha256"]) == 64
    code, out, _ = run("settings", "out.mp4")
    assert (code, '"seed": 5' in out) == (0, True)


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
    "a clip for a still": (("image", "in.png", "-o", "out.mp4"), "extension '.mp4'"),
    "unknown layer": ((*ZOOM, "--layer", "mixed4z"), "'mixed4z' of inception_v1. Did you mean"),
    "no steps": ((*ZOOM, "--steps", "0"), "--steps is 0"),
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
    "foreign network": ((*ZOOM, "--model", "alien.safetensors"), "alien.safetensors is no dream"),
    "unknown flag": ((*ZOOM, "--zooom", "1"), "--zooom"),
    "unknown command": (("zoomm",), "zoomm"),
    "no output": (("zoom", "in.png"), "--output"),
    "settings of a stranger": (("settings", "in.png"), "in.png carries no settings"),
    "layers of nothing": (("layers", "--model", "none"), "unknown network 'none'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_answered_in_one_line_and_leaves_nothing(folder: Path, run: Run, case: str):
    Path("empty.png").touch()
    Path("half.png").write_bytes(Path("in.png").read_bytes()[:900])
    Path("text.png").write_text("hello")
    cv2.imwrite("dot.png", np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite("wide.png", np.zeros((16, 16400, 3), np.uint8))
    network = Path("tiny.safetensors").read_bytes()
    Path("half.safetensors").write_bytes(network[: len(network) // 2])
    safetensors.save_file({"a": np.zeros(3)}, "alien.safetensors")
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
        Progress(3).advance()


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
    assert ["mixed4c", "256", "16"] in [line.split() for line in out.splitlines()]


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


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGINT, 3),
        (signal.SIGTERM, 3),
        (signal.SIGHUP, 3),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_killing_it_half_way_leaves_no_half_written_clip(
    folder: Path, how: signal.Signals, code: int
):
    start = "from dreamvid.cli import main; main()"
    words = [*ZOOM, "--model", "tiny.safetensors", *QUICK, "--frames", "1000000"]
    command = [sys.executable, "-c", start, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("dreaming")
        assert process.stderr.readline() == "1 of 1000000 frames\n"
        time.sleep(0.5)  # some frames more
        process.send_signal(how)
        *_, last = process.stderr.read().splitlines() or [""]
    assert process.returncode == code
    assert not Path("out.mp4").exists()
    if how != signal.SIGKILL:
        assert last == "dreamvid: interrupted; no unfinished file is left"
        assert not list(folder.glob(".*"))
