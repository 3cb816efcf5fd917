"""What the commands do with one network or another."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import Run

from dreamvid.checkpoints import safetensors
from dreamvid.media.probe import read_settings
from dreamvid.media.stills import Picture, write_picture
from dreamvid.models import ModelSpec, inception_v3
from small import TINY_V3_WIDTHS, random_picture, random_tensors, tiny_spec, tiny_tensors

QUICK = ("--steps", "1", "--octaves", "1", "--jitter", "2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a picture and two networks."""
    monkeypatch.chdir(tmp_path)
    write_picture(Path("in.png"), Picture(np.asarray(random_picture(80, 96))), "", False)
    safetensors.write(Path("v1.safetensors"), tiny_spec(), tiny_tensors())
    three = ModelSpec("inception_v3", "keras", TINY_V3_WIDTHS, (0, 0, 0), (1, 1, 1))
    safetensors.write(Path("v3.safetensors"), three, random_tensors(three))
    return tmp_path


def layer_of(path: str) -> str:
    return tomllib.loads(read_settings(Path(path)))["ascent"]["layer"]


def test_where_no_layer_is_named_the_network_chooses(run: Run):
    for model, still, moving in (("v1", "mixed4c", "mixed5a"), ("v3", "mixed5", "mixed5")):
        chosen = ("--model", f"{model}.safetensors", "--steps", "0")
        assert run("image", "in.png", "-o", f"{model}.png", *chosen)[0] == 0
        assert layer_of(f"{model}.png") == still
        code, _, errors = run("zoom", "in.png", "-o", f"{model}.mkv", "--frames", "1", *chosen)
        assert code == 0, errors
        assert layer_of(f"{model}.mkv") == moving
        assert f"at {moving} of {model}.safetensors" in errors


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("mixed4c", "'mixed4c' of inception_v3. Did you mean 'mixed4'? See: dreamvid layers "),
        ("predictions", "no layer 'predictions': the network has no classifier"),
        ("logits", "no layer 'logits': the network has no classifier"),
        ("predictionz", "'predictionz' of inception_v3."),
    ],
)
def test_a_layer_that_is_not_there_is_told_with_one_that_is(run: Run, layer: str, told: str):
    code, _, errors = run(
        "zoom", "in.png", "-o", "o.mp4", "--model", "v3.safetensors", "--layer", layer
    )
    assert (code, errors.count("\n")) == (2, 1)
    assert told in errors
    assert "Did you mean 'predictions'" not in errors


def test_a_frame_too_small_for_a_layer_is_told_before_anything_is_made(run: Run):
    words = ("zoom", "in.png", "-o", "o.mp4", "--model", "v3.safetensors", "--size", "96x64")
    code, _, errors = run(*words, "--layer", "mixed10")
    assert (code, errors.count("\n")) == (2, 1)
    assert "a frame dreamed at mixed10 has 96x64 pixels" in errors
    assert "enlarge it to at least 75x75" in errors
    assert not Path("o.mp4.run").exists()


def test_a_run_is_finished_without_its_network_but_not_gone_on_with(run: Run):
    words = ("zoom", "in.png", "-o", "o.mkv", "--model", "v1.safetensors", *QUICK)
    assert run(*words, "--frames", "2", "--keep")[0] == 0
    Path("o.mkv").unlink()
    Path("v1.safetensors").unlink()
    code, _, errors = run("resume", "o.mkv.run")
    assert (code, errors.count("\n")) == (2, 1)
    assert "o.mkv.run needs the network it was begun with: no network at" in errors
    assert run("resume", "o.mkv.run", "--finish")[0] == 0
    assert Path("o.mkv").exists()
    Path("o.mkv").unlink()
    safetensors.write(Path("v1.safetensors"), tiny_spec(), tiny_tensors(seed=1))
    code, _, errors = run("resume", "o.mkv.run")
    assert (code, errors.count("\n")) == (2, 1)
    assert "begun with another network" in errors
    assert "--finish" in errors


def test_a_clip_is_not_measured_by_another_network_in_silence(run: Run):
    words = ("zoom", "in.png", "-o", "o.mkv", "--model", "v1.safetensors", *QUICK)
    assert run(*words, "--frames", "2")[0] == 0
    assert run("measure", "o.mkv", "--objective")[0] == 0
    safetensors.write(Path("v1.safetensors"), tiny_spec(), tiny_tensors(seed=1))
    code, _, errors = run("measure", "o.mkv", "--objective")
    assert (code, errors.count("\n")) == (2, 1)
    assert "no longer the network that o.mkv was dreamed with" in errors
    assert run("measure", "o.mkv", "--objective", "--model", "v1.safetensors")[0] == 0


def test_classes_of_a_network_without_a_classifier_are_none(run: Run):
    code, _, errors = run("layers", "--model", "v3.safetensors", "--classes")
    assert (code, errors.count("\n")) == (2, 1)
    assert "v3.safetensors has no classifier" in errors


@pytest.mark.parametrize("family", sorted(inception_v3.FAMILIES))
def test_layers_lists_an_inception_v3(run: Run, family: str):
    spec = ModelSpec("inception_v3", family, TINY_V3_WIDTHS, (0, 0, 0), (1, 1, 1), labels=("a",))
    safetensors.write(Path("net.safetensors"), spec, random_tensors(spec))
    out = run("layers", "--model", "net.safetensors")[1]
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["net.safetensors:", "inception_v3,", family, "family"]
    layers = [line[0] for line in lines[2:-2]]
    assert layers[0] == "conv2d0"
    assert layers[-1] == "logits"
    assert [name for name in layers if "_" not in name][5:-1] == list(inception_v3.BLOCKS)
