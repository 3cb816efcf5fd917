"""What a clip dreams of: names resolved, guides, masks, and numbers that move without a compile."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dreamvid.aims import Aim, read_objective
from dreamvid.camera import Zoom
from dreamvid.errors import OptionError
from dreamvid.fields import Size
from dreamvid.models import Model
from dreamvid.objectives import Channel, Class, Direction, Guide, Layer, Masked, Neuron, Sum
from dreamvid.options import Ascent, Clip
from dreamvid.pipeline import frames
from dreamvid.recipe import Recipe
from dreamvid.shapes import SHAPES, Box, Circle
from dreamvid.terms import Terms
from dreamvid.timeline import Timeline
from small import counted_compiles, random_picture, random_tensors, tiny_spec

SPEC = dataclasses.replace(tiny_spec(), labels=("anchor", "jack-o'-lantern", "Water lilly"))
MODEL = Model.from_tensors(SPEC, random_tensors(SPEC))


def save(path: Path, height: int = 20, width: int = 24, colour: tuple[int, ...] = (200, 90, 10)):
    pixels = np.asarray(random_picture(height, width, sum(colour)))
    Image.fromarray((pixels * np.array(colour)).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A guide, a folder of three, a mask, and numbers."""
    save(tmp_path / "red.png")
    (tmp_path / "many").mkdir()
    for number, size in enumerate([(20, 24), (40, 30), (26, 26)]):
        save(tmp_path / "many" / f"{number}.png", *size, colour=(50, 60 * number, 200))
    mask = np.zeros((18, 32), np.uint8)
    mask[:, :16] = 255
    Image.fromarray(mask).save(tmp_path / "left.png")
    np.save(tmp_path / "ones.npy", np.ones(MODEL.layer("conv2d1").channels))
    np.save(tmp_path / "two.npy", np.ones(2))
    return tmp_path


def aim_of(text: str, folder: Path = Path(), ticks: int | None = 9) -> tuple[Aim, Timeline]:
    recipe = Recipe(ascent=Ascent(objective=Terms(text)), clip=Clip(frames=ticks), folder=folder)
    aim = Aim.of(recipe, MODEL)
    timeline = Timeline(recipe, recipe.scope(), Size(32, 18))
    for times in recipe.times():
        aim.check(times, timeline.scope)
    return aim, timeline


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("mixed3b", Layer("mixed3b")),
        ("layer:mixed3b", Layer("mixed3b")),
        ("inception_3b/output", Layer("inception_3b/output")),
        ("mixed3b:3", Channel("mixed3b", 3.0)),
        ("channel(mixed3b, channel=2.5)", Channel("mixed3b", 2.5)),
        ("logits:2", Channel("logits", 2.0)),
        ("neuron(mixed3b, 3, y=0.25)", Neuron("mixed3b", 3.0, y=0.25)),
        ("class:anchor", Class(0.0)),
        ("class:jack_o_lantern", Class(1.0)),
        ("class(water_lilly)", Class(2.0)),
        ("class:1.5", Class(1.5)),
    ],
)
def test_names_stand_for(text: str, made: object):
    aim, timeline = aim_of(text)
    assert aim.objective(timeline, 0) == made
    assert read_objective(text, MODEL) == made
    assert aim.digest() == ""
    assert aim.masks(timeline, 0) is None


def test_a_sum_has_its_weights_at_each_moment():
    aim, timeline = aim_of("(0:(1), 8:(0))*mixed3b:(0:(2), 8:(4)) - 0.5*tv")
    first, middle = (aim.objective(timeline, index) for index in (0, 4))
    assert isinstance(first, Sum)
    assert isinstance(middle, Sum)
    np.testing.assert_allclose(first.weights, [1.0, -0.5])
    np.testing.assert_allclose(middle.weights, [0.5, -0.5])
    assert middle.terms[0] == Channel("mixed3b", 3.0)
    assert aim.layers == ("mixed3b",)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("tv + mixed3c", 5, r"Did you mean 'mixed\w\w'"),
        ("1e300*mixed3b", 0, r"1e\+300 is out of bounds"),
        ("tv + stile(mixed3b, 'red.png')", 5, "Did you mean 'style'"),
        ("mixed3b:999", 8, "999 is out of bounds: write from 0 to"),
        ("mixed3b:(0:(0), 8:(-8))", 9, "at tick 1 is out of bounds"),
        ("mixed3b:dog", 8, "a number is wanted"),
        ("neuron(mixed3b, 1, 2)", 19, "2 is out of bounds: write from 0 to 1"),
        ("neuron(mixed3b)", 0, "neuron needs its channel"),
        ("neuron(mixed3b, 1, z=2)", 19, "unknown argument 'z' of neuron"),
        ("neuron(mixed3b, 1, channel=2)", 27, "has its channel twice"),
        ("layer(mixed3b, 1)", 15, "layer takes 1 argument"),
        ("mixed3b(1, 2)", 11, "mixed3b takes 1 argument"),
        ("tv(3)", 3, "tv takes no arguments"),
        ("layer(3)", 6, "a layer's name is wanted"),
        ("layer(mixed3z)", 6, "unknown layer 'mixed3z'"),
        ("class:lantern", 6, "unknown class 'lantern'.*Did you mean 'jack_o_lantern'"),
        ("class:7", 6, "7 is out of bounds: write from 0 to 2"),
        ("class('anchor')", 7, "quotes are for files"),
        ("guide(mixed3b, red)", 15, "the name of a file is wanted"),
        ("guide(mixed3b, 'none.png')", 16, "none.png"),
        ("style(mixed3b, 'many', picture=3)", 31, "out of bounds"),
        ("direction(conv2d1, 'two.npy')", 20, r"shape \(2,\): conv2d1 needs 4"),
        ("direction(conv2d1, 'red.png')", 20, "red.png"),
        ("direction(conv2d1, 'none.npy')", 20, "no table of numbers at"),
        ("mixed3b @ circel()", 10, "unknown mask 'circel'. Did you mean 'circle'"),
        ("mixed3b @ circle(radius=-1)", 24, "-1 is out of bounds"),
        ("mixed3b @ circle(radius=1e300)", 24, "out of bounds"),
        ("mixed3b @ 'none.png'", 11, "none.png"),
        ("tv @ circle()", 0, "take its mask away"),
        ("mixed3b + diversity(mixed3b)", 10, "dreamvid visualize"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, place: int, message: str, folder: Path):
    with pytest.raises(OptionError, match=message) as caught:
        aim_of(text, folder)
    assert str(caught.value).startswith("--objective has a mistake: ")
    shown, caret = caught.value.excerpt.splitlines()
    assert (shown, caret) == (text, " " * place + "^")


def test_a_network_without_a_classifier_has_no_classes():
    model = Model.from_tensors(tiny_spec(), random_tensors(tiny_spec()))
    for text in ("class:anchor", "logits:1"):
        with pytest.raises(OptionError, match="no classifier"):
            read_objective(text, model)


def test_a_direction_is_read_from_a_file(folder: Path):
    count = MODEL.layer("conv2d1").channels
    (folder / "numbers.csv").write_text("\n".join(map(str, range(count))))
    np.save(folder / "huge.npy", -1e300 * np.arange(count))
    for name, vector in (
        ("ones.npy", np.ones(count)),
        ("numbers.csv", np.arange(count)),
        ("huge.npy", -np.arange(count)),
    ):
        made = read_objective(f"direction(conv2d1, '{name}')", MODEL, folder)
        assert isinstance(made, Direction)
        np.testing.assert_allclose(made.vector, vector / np.abs(vector).max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda file: np.savez(file, a=np.ones(4)), "is no NumPy array"),
        (lambda file: np.save(file, np.array([{}] * 4)), "is no NumPy array"),
        (lambda file: file.write(b"PK\3\4 and no more"), "is no NumPy array"),
        (lambda file: file.write(b""), "is no NumPy array"),
        (lambda file: header(file, (10**13,)), "is no NumPy array"),
        (lambda file: header(file, (2**70,)), "is no NumPy array"),
        (lambda file: np.save(file, np.ones(4) * 1j), "holds complex128"),
        (lambda file: np.save(file, np.array(["a"] * 4)), "holds <U1"),
        (lambda file: np.save(file, np.zeros(4, [("a", "f4"), ("b", "f4")])), "holds .*'a'"),
        (lambda file: np.save(file, np.ones((1, 4))), r"shape \(1, 4\)"),
        (lambda file: np.save(file, np.full(4, np.nan)), "gives no direction"),
        (lambda file: np.save(file, np.zeros(4)), "gives no direction"),
    ],
)
def test_what_is_no_direction_is_refused(
    save: Callable[[BinaryIO], None], message: str, tmp_path: Path
):
    with (tmp_path / "a.npy").open("wb") as file:
        save(file)
    with pytest.raises(OptionError, match=message) as caught:
        read_objective("direction(conv2d1, 'a.npy')", MODEL, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)


def test_a_guide_is_what_the_layer_sees_in_it(folder: Path):
    aim, timeline = aim_of("guide(conv2d1, 'red.png')", folder)
    made = aim.objective(timeline, 0)
    assert isinstance(made, Guide)
    assert made.guide.shape == (16, 16, MODEL.layer("conv2d1").channels)  # enlarged to 64 pixels
    assert aim.objective(timeline, 5).guide is made.guide  # type: ignore[attr-defined]


def test_the_digest_is_that_of_all_files(folder: Path):
    text = "guide(conv2d1, 'red.png') @ 'left.png' + direction(conv2d1, 'ones.npy')"
    digests = [aim_of(text, folder)[0].digest()]
    for name in ("red.png", "left.png"):
        save(folder / name, colour=(0, 0, 99))
        digests.append(aim_of(text, folder)[0].digest())
    np.save(folder / "ones.npy", np.arange(4.0))
    digests.append(aim_of(text, folder)[0].digest())
    (folder / "red.png").rename(folder / "another.png")
    moved = aim_of(text.replace("red", "another"), folder)[0].digest()
    assert len({*digests, ""}) == 5
    assert moved == digests[-1]


def test_the_pictures_of_a_folder_take_turns(folder: Path):
    aim, timeline = aim_of("style(conv2d1, 'many')", folder)
    with counted_compiles() as compiled:
        seen = [aim.objective(timeline, index).guide for index in range(9)]  # type: ignore[attr-defined]
        once = len(compiled)
    assert [seen[i] is seen[i - 1] for i in range(1, 9)] == [i % 3 != 0 for i in range(1, 9)]
    assert len({act.shape for act in seen}) == 1
    chosen, timeline = aim_of("style(conv2d1, 'many', picture=(2 - t/4))", folder)
    assert jnp.array_equal(chosen.objective(timeline, 0).guide, seen[6])  # type: ignore[attr-defined]
    assert jnp.array_equal(chosen.objective(timeline, 8).guide, seen[0])  # type: ignore[attr-defined]
    assert once <= 4


def test_an_endless_clip_shows_each_picture_for_three_seconds(folder: Path):
    aim, timeline = aim_of("style(conv2d1, 'many')", folder, ticks=None)
    first, still, second, again = (
        aim.objective(timeline, index).guide  # type: ignore[attr-defined]
        for index in (0, 89, 90, 270)
    )
    assert jnp.array_equal(first, still)
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, second)


def test_a_film_guides_at_its_own_speed(folder: Path):
    pictures = [Image.fromarray(np.full((20, 24, 3), 60 * k, np.uint8)) for k in range(4)]
    pictures[0].save(folder / "film.gif", save_all=True, append_images=pictures[1:], duration=100)
    aim, timeline = aim_of("style(conv2d0, 'film.gif')", folder, ticks=16)
    seen = [aim.objective(timeline, index).guide for index in range(16)]  # type: ignore[attr-defined]
    # Ten pictures a second, thirty frames a second, and from the beginning again.
    changes = [index for index in range(1, 16) if not jnp.array_equal(seen[index], seen[index - 1])]
    assert changes == [3, 6, 9, 12, 15]
    assert jnp.array_equal(seen[12], seen[0])


def test_masks_are_where_they_are_said_to_be(folder: Path):
    text = "mixed3b @ 'left.png' + tv + conv2d1 @ circle((0:(0), 8:(1)), 0.5, 0.3, feather=0)"
    aim, timeline = aim_of(text, folder)
    made = aim.objective(timeline, 0)
    assert isinstance(made, Sum)
    first, _, last = made.terms
    assert isinstance(first, Masked)
    assert isinstance(last, Masked)
    assert (first.index, last.index) == (0, 1)
    masks = [np.asarray(aim.masks(timeline, index)) for index in (0, 8)]
    assert masks[0].shape == (18, 32, 2)
    np.testing.assert_array_equal(masks[0][..., 0], np.repeat([1.0, 0.0], 16)[None].repeat(18, 0))
    assert masks[0][9, 1, 1] == masks[1][9, 30, 1] == 1.0
    assert masks[0][9, 30, 1] == masks[1][9, 1, 1] == masks[0][0, 0, 1] == 0.0


def test_masks_go_on_where_a_camera_looks_past_the_border(folder: Path):
    recipe = Recipe(
        ascent=Ascent(objective=Terms("mixed3b @ 'left.png'")),
        camera=Zoom(zoom=0.97),
        clip=Clip(frames=9),
        folder=folder,
    )
    timeline, aim = Timeline(recipe, recipe.scope(), Size(32, 18)), Aim.of(recipe, MODEL)
    across, down = timeline.margin.width, timeline.margin.height
    assert min(across, down) > 0
    mask = np.asarray(aim.masks(timeline, 0))
    assert mask.shape == (18 + 2 * down, 32 + 2 * across, 1)
    np.testing.assert_allclose(mask[:, :across], 1.0, atol=1e-6)
    np.testing.assert_allclose(mask[:, -across:], 0.0, atol=1e-6)


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_are_soft_and_within_bounds(name: str):
    mask = SHAPES[name]().draw(Size(50, 30))
    assert mask.shape == (30, 50)
    assert mask.dtype == np.float32
    assert mask.min() == 0.0
    assert mask.max() == 1.0
    assert 0.0 < mask[(mask > 0) & (mask < 1)].mean() < 1.0
    np.testing.assert_allclose(mask, mask[::-1, ::-1], atol=1e-5)


def test_shapes_have_their_area():
    size = Size(200, 100)
    assert Circle(radius=0.25).draw(size).sum() / 100**2 == pytest.approx(np.pi / 16, rel=0.03)
    assert Box(width=0.3, height=0.4).draw(size).mean() == pytest.approx(0.12, rel=0.02)


@pytest.mark.parametrize("text", ["mixed3b:(t)", "(t)*mixed3b", "mixed3b @ circle()"])
def test_what_moves_needs_a_clip(text: str):
    with pytest.raises(OptionError, match=r"changes over time|needs a picture"):
        read_objective(text, MODEL)


def test_a_clip_whose_objective_moves_compiles_once(folder: Path):
    text = (
        "(0:(1), 3:(0))*conv2d1:(t/2) + (t)*style(conv2d1, 'many') @ circle((t/4), 0.5)"
        " - 0.1*tv + neuron(conv2d1, 2, x=(t/4))"
    )
    recipe = Recipe(
        ascent=Ascent(objective=Terms(text), steps=1, octaves=2),
        clip=Clip(frames=4, size=Size(32, 18)),
        folder=folder,
    )
    with counted_compiles() as compiled:
        counts = []
        for frame, _ in frames(recipe, MODEL, np.asarray(random_picture(18, 32))):
            assert jnp.isfinite(frame.image).all()
            counts.append(len(compiled))
    assert counts[0] > 0
    # The second frame is the first to be moved; the guide of another picture is seen by then.
    assert counts[1] == counts[2] == counts[3]
