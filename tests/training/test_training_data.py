"""Pictures to learn from: what is found, what is refused, and how it is split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamvid.errors import DreamError
from dreamvid.training import data


def save(path: Path, size: tuple[int, int] = (40, 36), colour: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, 50, 20)).save(path)
    return path


def classes_of(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for number in range(count):
            save(folder / name / f"{number}.png", colour=number)
    return folder


def test_class_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = data.scan(classes_of(tmp_path, cats=2, ants=3))
    assert found.labels == ("ants", "cats")
    assert found.classes == (0, 0, 0, 1, 1)
    assert [path.parent.name for path in found.files] == ["ants"] * 3 + ["cats"] * 2


def test_pictures_below_a_class_folder_belong_to_it(tmp_path: Path) -> None:
    classes_of(tmp_path, a=2, b=2)
    save(tmp_path / "b" / "more" / "deep.JPG")
    assert data.scan(tmp_path).classes == (0, 0, 1, 1, 1)


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    save(tmp_path / ".hidden.png")
    found = data.scan(tmp_path)
    assert found.labels == ()
    assert [path.name for path in found.files] == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([], "holds no pictures: give a folder"),
        (["notes.txt"], "holds no pictures"),
        (["cats/1.png", "dogs/notes.txt"], "holds one class only, cats: give at least two"),
    ],
)
def test_a_folder_that_will_not_do_is_refused(tmp_path: Path, made: list[str], told: str) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DreamError, match=told):
        data.scan(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DreamError, match="is not there"):
        data.scan(tmp_path / "none")
    with pytest.raises(DreamError, match="is a file"):
        data.scan(save(tmp_path / "a.png"))


def test_what_cannot_be_read_or_is_too_small_is_left_out_and_told(tmp_path: Path) -> None:
    classes_of(tmp_path, a=3, b=2)
    (tmp_path / "a" / "1.png").write_bytes(b"no picture")
    save(tmp_path / "b" / "tiny.png", (31, 90))
    pictures, skipped = data.read(data.scan(tmp_path), 64)
    assert list(pictures.classes) == [0, 0, 1, 1]
    assert "1.png is not a picture" in skipped[0]
    assert "tiny.png is 31x90: a side needs 32 pixels" in skipped[1]


def test_a_class_that_is_left_with_one_picture_is_refused(tmp_path: Path) -> None:
    classes_of(tmp_path, a=3, b=2)
    (tmp_path / "b" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DreamError, match=r"class b has 1 picture .* needs 2.*0\.png"):
        data.read(data.scan(tmp_path), 64)


def test_too_few_without_classes_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png")
    with pytest.raises(DreamError, match="3 pictures can be used, and 4 are needed"):
        data.read(data.scan(tmp_path), 64)


def test_pictures_come_out_of_the_buffer_as_they_went_in() -> None:
    random = np.random.default_rng(0)
    shapes = [(5, 7, 3), (3, 3, 3), (8, 2, 3)]
    made = [random.integers(0, 256, shape, np.uint8) for shape in shapes]
    pictures = data.Pictures.packed(made, np.arange(3))
    for before, after in zip(made, pictures, strict=True):
        np.testing.assert_array_equal(before, after)


def test_pictures_are_scaled_down_by_their_shorter_side_only() -> None:
    assert data.shrunk(np.zeros((100, 60, 3), np.uint8), 30).shape == (50, 30, 3)
    assert data.shrunk(np.zeros((20, 60, 3), np.uint8), 30).shape == (20, 60, 3)


def test_the_middle_of_a_long_picture_is_taken(tmp_path: Path) -> None:
    classes_of(tmp_path, a=2, b=2)
    save(tmp_path / "a" / "wide.png", (400, 40))
    pictures, _ = data.read(data.scan(tmp_path), 64)
    assert [40, 80] in pictures.sizes.tolist()


def test_a_split_holds_out_a_share_of_each_class() -> None:
    classes = np.repeat([0, 1, 2], [50, 20, 2])
    known, held = data.split(classes, 0.1, seed=3)
    assert np.bincount(classes[held]).tolist() == [5, 2, 1]
    assert sorted([*known, *held]) == list(range(72))
    assert not np.array_equal(held, data.split(classes, 0.1, seed=4)[1])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_out_each_picture_once(folds: int) -> None:
    classes = np.repeat([0, 1], [17, 8])
    held = [data.split(classes, 1 / folds, 0, fold)[1] for fold in range(folds)]
    assert sorted(np.concatenate(held)) == list(range(25))


def test_an_epoch_without_balance_sees_each_picture_once() -> None:
    classes = np.repeat([0, 1, 2], [5, 9, 30])
    assert sorted(data.order(classes, 0.0, (1, 2))) == list(range(44))
    assert list(data.order(classes, 0.0, (1, 2))) != list(data.order(classes, 0.0, (1, 3)))


def test_an_epoch_with_balance_sees_each_class_equally_often() -> None:
    classes = np.repeat([0, 1, 2], [5, 10, 30])
    seen = data.order(classes, 1.0, (0,))
    assert np.bincount(classes[seen]).tolist() == [15, 15, 15]
    # Of one class, no picture is seen twice more often than another.
    times = np.bincount(seen, minlength=45)
    assert times[:5].tolist() == [3] * 5
    assert set(times[5:15]) == {1, 2}
