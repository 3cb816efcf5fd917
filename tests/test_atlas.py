"""The atlas: crops that excite most, batches that are kept, one sheet of all."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import Run
from PIL import Image

from dreamvid import atlas, sheets
from dreamvid.atlas import dream_channels, look, plan_atlas, read_channels, write_atlas
from dreamvid.checkpoints import safetensors
from dreamvid.crops import SIDE, crop_at, find_crops, pictures_in
from dreamvid.errors import DreamError, OptionError
from dreamvid.fields import Size
from dreamvid.kept import open_run
from dreamvid.models import Model
from dreamvid.visualize import Visual
from small import SilentWatcher, random_picture, tiny_model, tiny_spec, tiny_tensors

LAYER = "conv2d2"
QUICK = Visual(Size(16, 16), steps=2, rate=0.1)
WORDS = (
    "atlas",
    "--model",
    "tiny.safetensors",
    "--layer",
    LAYER,
    "--size",
    "16x16",
    "--steps",
    "2",
)


class Counting(SilentWatcher):
    """Remembers what it is told; can stop the work."""

    def __init__(self, patience: int = 1000):
        self.told: list[tuple[int | None, int]] = []
        self.fresh, self.patience = 0, patience

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        self.told.append((total, done))

    def advance(self) -> None:
        self.fresh += 1
        if self.fresh > self.patience:
            raise KeyboardInterrupt


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a network, and pictures in folders, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    safetensors.write(Path("tiny.safetensors"), tiny_spec(), tiny_tensors())
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for number, name in enumerate(["1.png", "10.png", "2.png", "more/3.png"]):
        pixels = np.asarray(random_picture(60, 80, number) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(Path("photos") / name)
    Path("photos/broken.jpg").write_bytes(b"no picture")
    Path("photos/notes.txt").write_text("no picture at all")
    return tmp_path


def plan(output: str = "out.html", channels: str = "0-9", **options: object) -> atlas.Plan:
    return plan_atlas(
        Path(output),
        "tiny.safetensors",
        LAYER,
        channels,
        QUICK,
        **options,  # type: ignore[arg-type]
    )


def test_channels_are_read(model: Model):
    info = model.layer(LAYER)
    last = info.channels - 1
    assert read_channels("all", info) == tuple(range(info.channels))
    assert read_channels("3, 0-2,1", info) == (0, 1, 2, 3)
    assert read_channels(str(last), info) == (last,)
    for text in ("", "a", "1-", "-1", "1-2-3", "1,,2", "²"):
        with pytest.raises(OptionError, match="write it like 0-63,100, or all"):
            read_channels(text, info)
    for text in (f"{last + 1}", f"0-{last + 1}", "3-2"):
        with pytest.raises(OptionError, match=f"has the channels 0 to {last}"):
            read_channels(text, info)


def test_a_crop_lies_round_its_place_and_within_the_picture():
    picture = np.moveaxis(np.mgrid[:40, :60].astype(np.float32), 0, -1)
    assert crop_at(picture, 0.5, 0.5, 20)[0, 0].tolist() == [10, 20]
    assert crop_at(picture, 0.0, 1.0, 20)[0, 0].tolist() == [20, 0]
    assert crop_at(picture, 0.4, 0.9, 500).shape == (40, 40, 2)


def test_the_strongest_crops_are_kept_one_a_picture(folder: Path):
    model, files = tiny_model(), pictures_in(Path("photos"))
    assert [file.name for file in files] == ["1.png", "2.png", "10.png", "broken.jpg", "3.png"]
    info = model.layer(LAYER)
    few, many = (list(find_crops(model, info, files, kept))[-1] for kept in (2, 9))
    assert few.unreadable == many.unreadable == 1
    np.testing.assert_array_equal(few.values, many.values[:, :2])
    np.testing.assert_array_equal(few.pixels, many.pixels[:, :2])
    assert (np.diff(many.values, axis=1) <= 0).all()
    assert (np.count_nonzero(many.values, axis=1) <= 4).all()
    crops = many.of(0)
    assert len(crops) == np.count_nonzero(many.values[0])
    assert crops[0].shape == (SIDE, SIDE, 3)
    # What it shows excites the channel: the place alone nearly as much as in its picture.
    strongest = int(few.values[:, 0].argmax())
    alone = model.activations(jnp.asarray(few.of(strongest)[0] / 255.0, jnp.float32), [LAYER])
    assert float(alone[LAYER][..., strongest].max()) > 0.3 * few.values[strongest, 0]


def test_what_was_interrupted_goes_on_and_ends_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(atlas, "BATCH", 4)
    whole = plan(channels="0-8")
    watcher = Counting()
    with open_run(whole.folder, whole.about, False) as kept:
        expected = dream_channels(whole, kept, watcher)
        kept.clear()
    assert watcher.told == [(9, 0)]
    assert watcher.fresh == 9
    assert not whole.folder.exists()
    with pytest.raises(KeyboardInterrupt), open_run(whole.folder, whole.about, False) as kept:
        dream_channels(whole, kept, Counting(patience=6))
    assert {p.name for p in whole.folder.glob("*.npz")} == {"batch-00000.npz"}
    again = Counting()
    with open_run(whole.folder, whole.about, False) as kept:
        dreams = dream_channels(whole, kept, again)
    assert again.told == [(9, 4)]
    assert list(dreams) == list(expected) == list(whole.channels)
    for channel, (picture, value) in dreams.items():
        np.testing.assert_array_equal(picture, expected[channel][0])
        assert value == expected[channel][1]


def test_a_run_of_other_settings_is_refused_or_given_up(folder: Path):
    one, other = plan(), plan(seed=4)
    with open_run(one.folder, one.about, False) as kept:
        kept.save("batch-00000", pictures=np.zeros(1))
        with (
            pytest.raises(DreamError, match="is in use by another"),
            open_run(one.folder, one.about, False),
        ):
            pass
    with (
        pytest.raises(DreamError, match="another atlas \\(seed 0, now 4\\): add --overwrite"),
        open_run(other.folder, other.about, False),
    ):
        pass
    assert json.loads((one.folder / "atlas.json").read_text())["seed"] == 0
    with open_run(other.folder, other.about, True) as kept:
        assert kept.load("batch-00000") is None
    assert not one.folder.exists()
    one.folder.mkdir()
    (one.folder / "letter.txt").write_text("mine")
    with (
        pytest.raises(DreamError, match="holds letter"),
        open_run(one.folder, one.about, True),
    ):
        pass
    assert (one.folder / "letter.txt").exists()


def test_a_tile_shows_a_dream_and_its_crops(folder: Path, monkeypatch: pytest.MonkeyPatch):
    tiles: list[sheets.Tile] = []
    monkeypatch.setattr(atlas, "write_sheet", lambda path, made, *rest: tiles.extend(made))
    shown = plan(channels="2,5", pictures=Path("photos"), crops=3)
    with open_run(shown.folder, shown.about, False) as kept:
        crops = look(shown, kept, SilentWatcher())
        again = look(shown, kept, Counting(patience=0))  # kept: no picture is looked at
        write_atlas(shown, dream_channels(shown, kept, SilentWatcher()), crops)
        kept.clear()
    np.testing.assert_array_equal(again.values, crops.values)
    assert [tile.title for tile in tiles] == [f"{LAYER}:2", f"{LAYER}:5"]
    assert [tile.objective for tile in tiles] == [f"{LAYER}:2", f"{LAYER}:5"]
    for tile, channel in zip(tiles, (2, 5), strict=True):
        assert tile.picture.shape == (16, 16, 3)
        assert tile.note.startswith(f"mean {tile.score:.3g}")
        assert len(tile.beside) == np.count_nonzero(crops.values[channel]) > 0


@pytest.mark.parametrize("output", ["out.html", "out.png"])
def test_the_command_makes_a_sheet_and_leaves_nothing_else(folder: Path, run: Run, output: str):
    before = sorted(folder.iterdir())
    code, out, errors = run(*WORDS, "--channels", "0-2", "--pictures", "photos", "-o", output)
    assert (code, out) == (0, f"{output}\n")
    assert "1 of 5 pictures cannot be read" in errors
    assert "3 of 3 channels" in errors
    assert sorted(folder.iterdir()) == sorted([*before, folder / output])


def test_what_cannot_be_is_refused_beforehand(folder: Path, run: Run):
    (folder / "empty").mkdir()
    for words, told in (
        (("-o", "out.gif"), "dreamvid writes .png, .html here"),
        (("-o", "out.png", "--channels", "0-999"), "has the channels 0 to"),
        (("-o", "out.png", "--layer", "conv2dd2"), "Did you mean 'conv2d2'"),
        (("-o", "out.png", "--size", "8x8"), "--size is 8x8"),
        (("-o", "out.png", "--size", "big"), "it must be a size such as 640x360"),
        (("-o", "out.png", "--rate", "0"), "--rate is 0"),
        (("-o", "out.png", "--pictures", "nowhere"), "no folder of pictures at nowhere"),
        (("-o", "out.png", "--pictures", "empty"), "holds no pictures"),
    ):
        code, out, errors = run(*WORDS, *words)
        assert (code, out) == (2, "")
        assert told in errors
        assert not list(folder.glob("out*"))
