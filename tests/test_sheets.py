"""Contact sheets: every picture is on them, legible, and they are written whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.media.probe import read_settings
from dreamvid.sheets import GAP, GROUND, MARGIN, SHAPE, Tile, check_sheet, draw_sheet, write_sheet


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def numbered(count: int, height: int = 96, width: int = 96, beside: int = 0) -> list[Tile]:
    """Tiles whose colours say which they are."""
    return [
        Tile(
            f"mixed4c:{index}",
            plain(height, width, (200, index, 0)),
            beside=tuple(plain(64, 64, (0, index, 200 + other)) for other in range(beside)),
        )
        for index in range(count)
    ]


def area_of(sheet: Pillow.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box in which all pixels of a colour lie: left, top, width, height; and it is full."""
    found = (np.asarray(sheet) == colour).all(-1)
    rows, columns = np.nonzero(found.any(1))[0], np.nonzero(found.any(0))[0]
    assert found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    return (columns[0], rows[0], len(columns), len(rows))


def test_every_picture_is_there_in_order_with_those_beside_it():
    sheet = draw_sheet(numbered(6, beside=3), "Six", columns=2)
    places = [area_of(sheet, (200, index, 0)) for index in range(6)]
    assert all(place[2:] == (96, 96) for place in places)
    # From left to right, and from above.
    assert places == sorted(places, key=lambda place: (place[1], place[0]))
    assert len({place[0] for place in places}) == 2
    for index, (left, top, width, height) in enumerate(places):
        row = [area_of(sheet, (0, index, 200 + other)) for other in range(3)]
        assert all(beside[2:] == (64, 64) for beside in row)
        assert [beside[0] for beside in row] == sorted({beside[0] for beside in row})
        assert row[0][0] >= left + width
        assert {beside[1] + beside[3] for beside in row} == {top + height}


@pytest.mark.parametrize("count", [6, 25, 100])
@pytest.mark.parametrize("beside", [0, 4])
def test_a_sheet_is_about_as_wide_as_a_screen(count: int, beside: int):
    sheet = draw_sheet(numbered(count, beside=beside), "Many")
    assert 0.6 * SHAPE < sheet.width / sheet.height < 1.5 * SHAPE


def test_few_places_of_a_sheet_stay_empty():
    sheet = draw_sheet(numbered(25, 24, 24), "Many")
    lefts, tops = zip(*(area_of(sheet, (200, index, 0))[:2] for index in range(25)), strict=True)
    assert len({*lefts}) * len({*tops}) <= 28


def test_small_pictures_become_a_whole_number_of_times_larger():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (32, 40, 3), np.uint8)
    sheet = np.asarray(draw_sheet([Tile("", picture)], ""))
    three = picture.repeat(3, 0).repeat(3, 1)
    rows = range(sheet.shape[0] - 96)
    assert any(np.array_equal(sheet[y : y + 96, MARGIN : MARGIN + 120], three) for y in rows)


def test_pictures_of_many_sizes_have_one_height_and_keep_their_shapes():
    sizes = [(300, 200), (100, 400), (64, 64)]
    tiles = [Tile("", plain(size[0], size[1], (250, i, 0))) for i, size in enumerate(sizes)]
    places = [area_of(draw_sheet(tiles, ""), (250, i, 0)) for i in range(3)]
    assert {place[3] for place in places} == {300}
    assert [place[2] for place in places] == [200, 1200, 300]


def test_long_texts_stay_in_their_tile():
    picture = plain(96, 96, (0, 0, 255))
    long = Tile("w" * 300, picture, note="many words " * 60)
    bare = Tile("", picture, note="many words")
    sheet = draw_sheet([long, bare], "heading " * 200, columns=2)
    ground = [int(GROUND[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(sheet)
    blue = np.nonzero((pixels == (0, 0, 255)).all(-1).any(0))[0]
    second = blue[-1] - 95
    top = np.nonzero((pixels == (0, 0, 255)).all(-1).any(1))[0][0]
    for empty in (pixels[top:, second - GAP : second], pixels[:, :MARGIN], pixels[:, 2 - MARGIN :]):
        assert (empty == ground).all()


def test_titles_and_notes_are_legible():
    bare = Tile("", plain(96, 96, (0, 0, 0)))
    for told in (Tile("mixed4c:1", bare.picture), Tile("", bare.picture, note="mean 1")):
        with_text, without = (np.asarray(draw_sheet([one], "")) for one in (told, bare))
        height = min(len(with_text), len(without))
        assert np.ptp(with_text[height - 60 :]) > 110
        assert np.ptp(without[-30:]) < 10


def test_a_sheet_tells_how_it_was_made(tmp_path: Path):
    path = tmp_path / "sheet.png"
    write_sheet(path, numbered(2), "Zwei", "layer: mixed4c\nbilder: Wüste", False)
    first, *facts = read_settings(path).splitlines()
    assert first.startswith("# dreamvid ")
    assert facts == ["# layer: mixed4c", "# bilder: Wüste"]
    recipe = '# dreamvid 9\n\nkind = "image"\n'
    write_sheet(path, numbered(2), "Zwei", recipe, True)
    assert read_settings(path) == recipe


@pytest.mark.parametrize("name", ["a.png", "a.HTML"])
def test_an_existing_file_is_kept_or_replaced_as_asked(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text("precious")
    with pytest.raises(MediaError, match="exists: add --overwrite"):
        check_sheet(path, overwrite=False)
    with pytest.raises(MediaError):
        write_sheet(path, numbered(1), "", "", False)
    assert path.read_text() == "precious"
    check_sheet(path, overwrite=True)
    write_sheet(path, numbered(1), "", "", True)
    assert path.read_bytes().startswith((b"\x89PNG", b"<!doctype html>"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.htm", "missing/a.png"])
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str):
    with pytest.raises(MediaError) as caught:
        check_sheet(tmp_path / name, overwrite=True)
    assert "\n" not in str(caught.value)
    expected = "does not exist" if "missing" in name else "dreamvid writes .png, .html here"
    assert expected in str(caught.value)
