"""A gallery gives the pictures of whatever it is pointed at, each by its number."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from dreamvid.errors import MediaError
from dreamvid.media.film import Film
from dreamvid.media.gallery import LEAP, Gallery, grey, open_gallery
from films import make, write_levels


def write_grey(path: Path, value: int, size: tuple[int, int] = (20, 16)) -> None:
    Image.new("RGB", size, (value, value, value)).save(path)


def levels(gallery: Gallery, which: range | list[int]) -> list[int]:
    return [round(float(gallery.at(index).mean()) * 255) for index in which]


def numbers(gallery: Gallery, which: list[int]) -> list[int]:
    """Which pictures of `write_levels` these are."""
    return [round((255 * float(gallery.at(index).mean()) - 12) / 4) for index in which]


@pytest.fixture(scope="module")
def film_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve greys."""
    path = tmp_path_factory.mktemp("gallery") / "film.mkv"
    write_levels(path, 12)
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of each picture that a film draws."""
    drawn: list[int] = []
    pictures = Film.pictures

    def counted(film: Film, first: int = 0) -> Iterator[np.ndarray]:
        for number, pixels in enumerate(pictures(film, first), first):
            drawn.append(number)
            yield pixels

    monkeypatch.setattr(Film, "pictures", counted)
    return drawn


def test_a_still_is_a_gallery_of_one(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "still.png")
    gallery = open_gallery(tmp_path / "still.png")
    assert (gallery.count, gallery.fps) == (1, None)
    assert gallery.at(0).dtype == np.float32
    np.testing.assert_array_equal(gallery.at(0), pixels.astype(np.float32) / 255)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path):
    for number in (10, 2, 1, 33):
        write_grey(tmp_path / f"frame {number}.png", number, (20 + number, 16))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    gallery = open_gallery(tmp_path)
    assert (gallery.count, gallery.fps) == (4, None)
    assert levels(gallery, range(4)) == [1, 2, 10, 33]
    assert gallery.at(3).shape == (16, 53, 3)  # each of its own size


@pytest.mark.parametrize("name", ["frame-%02d.png", "frame-*.png"])
def test_stills_in_a_row(tmp_path: Path, name: str):
    for number in range(3):
        write_grey(tmp_path / f"frame-{number:02}.png", 50 * number)
    gallery = open_gallery(tmp_path / name)
    assert (gallery.count, gallery.fps) == (3, None)
    assert levels(gallery, [2, 0, 1]) == [100, 0, 50]


def test_an_animation(tmp_path: Path):
    frames = [Image.new("L", (20, 16), value) for value in (0, 100, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    gallery = open_gallery(tmp_path / "a.gif")
    assert (gallery.count, gallery.fps) == (3, 10)
    assert levels(gallery, range(3)) == [0, 100, 200]


def test_a_film_is_decoded_once_however_often_it_is_asked(film_path: Path, decoded: list[int]):
    gallery = open_gallery(film_path)
    assert (gallery.count, gallery.fps) == (12, Fraction(25))
    decoded.clear()
    assert numbers(gallery, [0, 0, 1, 2, 2, 5]) == [0, 0, 1, 2, 2, 5]
    gallery.mask(5)
    assert decoded == [0, 1, 2, 3, 4, 5]


def test_a_film_can_be_asked_in_any_order(film_path: Path, decoded: list[int]):
    gallery = open_gallery(film_path)
    order = [7, 8, 3, 11, 0, 11]
    decoded.clear()
    assert numbers(gallery, order) == order
    assert decoded[:3] == [7, 8, 3]  # entered anew, not read from the first on


def test_a_leap_enters_a_film_anew(tmp_path: Path, decoded: list[int]):
    make(tmp_path / "long.mkv", f"testsrc2=s=32x32:r=25:d={LEAP / 25 + 1}", "-c:v", "ffv1")
    gallery = open_gallery(tmp_path / "long.mkv")
    decoded.clear()
    gallery.at(0)
    far = gallery.at(LEAP + 10)
    assert decoded == [0, LEAP + 10]
    np.testing.assert_array_equal(far, open_gallery(tmp_path / "long.mkv").at(LEAP + 10))


def test_a_film_that_breaks_off_may_be_asked_again(
    film_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gallery = open_gallery(film_path)
    pictures = Film.pictures

    def broken(film: Film, first: int = 0) -> Iterator[np.ndarray]:
        yield next(pictures(film, first))
        raise MediaError("has changed")

    with monkeypatch.context() as patch:
        patch.setattr(Film, "pictures", broken)
        assert numbers(gallery, [0]) == [0]
        with pytest.raises(MediaError, match="has changed"):
            gallery.at(1)
    assert numbers(gallery, [1, 2]) == [1, 2]


def test_deep_pictures_keep_their_levels(tmp_path: Path):
    deep = np.full((16, 20), 12345, np.uint16)
    iio.imwrite(tmp_path / "deep.png", deep)
    make(tmp_path / "deep.mkv", "color=0x808080:s=32x16:d=0.2,format=gray10le", "-c:v", "ffv1")
    np.testing.assert_allclose(open_gallery(tmp_path / "deep.png").at(0), 12345 / 65535, rtol=1e-6)
    film = open_gallery(tmp_path / "deep.mkv").at(1)
    assert film.dtype == np.float32
    assert film.shape == (16, 32, 3)
    np.testing.assert_allclose(film, 0.5, atol=3e-3)


def test_transparency_is_white_to_guides_and_black_to_masks(tmp_path: Path):
    picture = Image.new("RGBA", (40, 16), (255, 255, 255, 0))
    picture.paste((0, 255, 0, 255), (0, 0, 20, 16))
    picture.save(tmp_path / "half.png")
    gallery = open_gallery(tmp_path / "half.png")
    np.testing.assert_allclose(gallery.at(0)[8, [10, 30]], [[0, 1, 0], [1, 1, 1]])
    mask = gallery.mask(0)
    assert (mask.shape, mask.dtype) == ((16, 40), np.float32)
    np.testing.assert_allclose(mask[8, [10, 30]], [0.7152, 0], atol=1e-6)


def test_grey_is_the_luma_of_bt709():
    colours = np.concatenate([np.eye(3), np.ones((1, 3)), np.zeros((1, 3))])[None]
    brightness = grey(colours.astype(np.float32))
    np.testing.assert_allclose(brightness, [[0.2126, 0.7152, 0.0722, 1, 0]], atol=1e-6)
    assert brightness.max() <= 1


def test_the_digest_is_of_the_content_in_its_order(tmp_path: Path, film_path: Path):
    def of(*values: int, names: str = "abc") -> str:
        folder = tmp_path / f"{values} {names}"
        folder.mkdir()
        for name, value in zip(names, values, strict=False):
            write_grey(folder / f"{name}.png", value)
        return open_gallery(folder).digest()

    one = of(1, 2, 3)
    assert len(one) == 64
    assert one == of(1, 2, 3, names="xyz")
    assert one == open_gallery(tmp_path / "(1, 2, 3) abc" / "*.png").digest()
    assert len({one, of(2, 1, 3), of(1, 2), of(1, 2, 4), open_gallery(film_path).digest()}) == 5


def test_what_is_given_out_cannot_be_spoilt(tmp_path: Path):
    write_grey(tmp_path / "still.png", 9)
    with pytest.raises(ValueError, match="read-only"):
        open_gallery(tmp_path / "still.png").at(0)[0, 0, 0] = 1


def test_what_is_no_gallery_is_refused(tmp_path: Path, film_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    (tmp_path / "row").mkdir()
    write_grey(tmp_path / "row" / "1.png", 1)
    (tmp_path / "row" / "2.png").write_text("hello")
    (tmp_path / "cut").mkdir()
    make(tmp_path / "cut" / "cut.png", "testsrc2=s=64x64", "-frames:v", "1")
    whole = (tmp_path / "cut" / "cut.png").read_bytes()
    (tmp_path / "cut" / "cut.png").write_bytes(whole[: len(whole) // 2])
    for path, message in (
        (tmp_path / "none.png", "no picture, folder or film at"),
        (tmp_path / "empty", "folder .*empty holds no picture: name one"),
        (tmp_path / "empty" / "notes.txt", "notes.txt"),
        (tmp_path / "row" / "%d.png", "2.png is not a picture"),
        (tmp_path / "cut", "cut.png is damaged"),
    ):
        with pytest.raises(MediaError, match=message) as caught:
            open_gallery(path)
        assert "\n" not in str(caught.value)
    gallery = open_gallery(film_path)
    for index in (-1, 12):
        with pytest.raises(MediaError, match=f"no picture number {index}: choose 0 to 11"):
            gallery.at(index)


def test_what_has_gone_since_is_told(tmp_path: Path):
    for number in (1, 2):
        write_grey(tmp_path / f"{number}.png", number)
    gallery = open_gallery(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.raises(MediaError, match=r"no picture at .*2.png"):
        gallery.at(1)
    with pytest.raises(MediaError, match=r"2.png cannot be read"):
        gallery.digest()
