"""dreamvid activations: what a layer sees in a picture."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from PIL import Image as Pillow

from dreamvid.checkpoints import safetensors
from dreamvid.media.probe import read_settings
from dreamvid.media.stills import Picture, write_picture
from small import random_picture, tiny_model, tiny_spec, tiny_tensors

LAYER = "mixed3a"
Look = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a picture and a network."""
    monkeypatch.chdir(tmp_path)
    write_picture(Path("in.png"), Picture(np.asarray(random_picture(80, 96))), "", False)
    safetensors.write(Path("net.safetensors"), tiny_spec(), tiny_tensors())
    return tmp_path


@pytest.fixture
def look(run: Run) -> Look:
    """Runs the command on the picture."""

    def look(output: str, *words: str, layer: str = LAYER) -> tuple[int, str, str]:
        of = ("--layer", layer, "--model", "net.safetensors")
        return run("activations", "in.png", *of, "-o", output, *words)

    return look


def test_the_arrays_are_what_the_network_sees(look: Look):
    code, told, errors = look("out.npz")
    assert (code, told) == (0, "out.npz\n"), errors
    image = random_picture(80, 96)
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert {*arrays} == {"activations", "image", "layer", "model", "stride"}
        assert (str(arrays["layer"]), int(arrays["stride"])) == (LAYER, 8)
        assert str(arrays["model"]) == "net.safetensors"
        seen, shown = arrays["activations"], arrays["image"]
    assert (seen.dtype, shown.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(shown, np.round(np.asarray(image) * 255))
    expected = tiny_model().activations(shown.astype(np.float32) / 255, [LAYER])[LAYER]
    np.testing.assert_allclose(seen, expected, atol=1e-4 * float(np.abs(expected).max()))


def told_tiles(path: str) -> list[tuple[str, str]]:
    """Title and objective of each tile of a page."""
    found = re.findall(r'"title":"([^"]*)","objective":"([^"]*)"', Path(path).read_text())
    return [(title, objective) for title, objective in found]


def test_a_page_shows_the_picture_and_the_most_excited_channels_first(look: Look):
    assert look("out.html", "--channels", "5")[0] == 0
    first, *others = told_tiles("out.html")
    assert first == ("in.png", "")
    assert look("out.npz")[0] == 0
    seen = np.load("out.npz")["activations"]
    order = np.argsort(-np.sqrt((seen**2).mean((0, 1))), kind="stable")[:5]
    assert others == [(f"{LAYER}:{channel}",) * 2 for channel in order]


def test_all_channels_are_shown_on_request_and_no_more_than_there_are(look: Look):
    count = tiny_model().layer(LAYER).channels
    for name, wanted in (("all.html", "all"), ("many.html", "9999")):
        assert look(name, "--channels", wanted)[0] == 0
        assert len(told_tiles(name)) == count + 1


def test_a_sheet_says_how_it_was_made(look: Look):
    assert look("out.png", "--channels", "3")[0] == 0
    told = read_settings(Path("out.png"))
    assert "# activations of: in.png" in told
    assert f"# layer: {LAYER}" in told
    assert "# network sha256: " in told
    with Pillow.open("out.png") as sheet:
        assert sheet.width > 200


def test_a_classifier_names_its_classes(look: Look):
    labels = ("tench", "<goldfish>", "shark")
    spec = replace(tiny_spec(), labels=labels)
    inputs = tiny_model().layer("mixed5b").channels
    head = {
        "head/kernel": np.ones((inputs, 3), np.float32),
        "head/bias": np.array([9, 5, 7], np.float32),
    }
    safetensors.write(Path("net.safetensors"), spec, tiny_tensors() | head)
    code, _, errors = look("out.html", layer="logits")
    assert code == 0, errors
    tiles = told_tiles("out.html")[1:]
    assert tiles == [
        ("tench (0)", "logits:0"),
        ("shark (2)", "logits:2"),
        (r"\u003cgoldfish> (1)", "logits:1"),
    ]


def test_a_large_picture_is_scaled_down(look: Look):
    assert look("out.npz", "--max-side", "48")[0] == 0
    assert np.load("out.npz")["image"].shape == (40, 48, 3)


@pytest.mark.parametrize(
    ("output", "words", "told"),
    [
        ("o.npz", ("--layer", "mixed3z"), "--layer: unknown layer 'mixed3z'"),
        ("o.npz", ("--layer", "mixed3z"), "dreamvid layers --model net.safetensors"),
        ("o.npz", ("--layer", "logits"), "--layer: there is no layer 'logits'"),
        ("o.gif", (), "dreamvid writes .png, .html, .npz here"),
        ("in.png", ("--overwrite",), "is the picture itself: choose another name"),
        ("net.safetensors", (), "extension '.safetensors'"),
        ("o.png", ("--channels", "0"), "--channels is '0': give how many to show, or all"),
        ("o.png", ("--channels", "few"), "--channels is 'few'"),
        ("o.png", ("--max-side", "17"), "has 17x14 pixels, too few"),
        ("gone/o.png", (), "output folder gone does not exist"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(look: Look, output: str, words: tuple, told: str):
    before = sorted(Path().iterdir())
    code, _, errors = look(output, *words)
    assert (code, errors.count("\n")) == (2, 1)
    assert told in errors
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", ["o.png", "o.npz"])
def test_an_existing_output_is_replaced_only_on_request(look: Look, name: str):
    Path(name).write_text("precious")
    assert "exists: add --overwrite" in look(name)[2]
    assert Path(name).read_text() == "precious"
    assert look(name, "--channels", "1", "--overwrite")[0] == 0
    assert Path(name).read_bytes()[:2] in (b"\x89P", b"PK")
