"""Pictures are read as a person sees them, and come out whole."""

import json
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.probe import read_settings
from dreamvid.media.stills import FORMATS, Picture, fit, read_picture, upright, write_picture
from small import random_picture

RGB = np.round(np.asarray(random_picture(12, 20)) * 255).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, mode: str = "RGB", **how: object) -> Path:
    Pillow.fromarray(pixels).convert(mode).save(path, **how)  # type: ignore[arg-type]
    return path


def test_grey_becomes_three_equal_channels(tmp_path: Path):
    grey = RGB[..., 0]
    picture = read_picture(saved(tmp_path / "grey.png", grey, "L"))
    np.testing.assert_allclose(picture.rgb, np.repeat(grey[..., None], 3, 2) / 255, atol=1e-6)
    assert picture.alpha is None


def test_black_and_white_is_read(tmp_path: Path):
    picture = read_picture(saved(tmp_path / "lines.png", RGB[..., 0], "1"))
    assert set(np.unique(picture.rgb)) == {0.0, 1.0}


def test_a_palette_is_looked_up(tmp_path: Path):
    few = RGB // 128 * 255
    for name in ("few.png", "few.gif"):
        picture = read_picture(saved(tmp_path / name, few, "P"))
        assert np.abs(picture.rgb - few / 255).mean() < 0.02


def test_a_print_colour_jpeg_is_read_as_rgb(tmp_path: Path):
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    picture = read_picture(saved(tmp_path / "cmyk.jpg", flat, "CMYK"))
    np.testing.assert_allclose(picture.rgb, flat / 255, atol=0.03)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_apart(tmp_path: Path, mode: str):
    alpha = np.linspace(0, 255, 20).astype(np.uint8)[None].repeat(12, 0)
    picture = read_picture(saved(tmp_path / "clear.png", np.dstack([RGB, alpha]), mode))
    assert picture.alpha is not None
    np.testing.assert_allclose(picture.alpha, alpha / 255, atol=1e-6)
    np.testing.assert_allclose(picture.flattened()[:, 0], 1.0, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_all_read(tmp_path: Path, suffix: str, channels: int):
    deep = np.random.default_rng(0).integers(0, 65536, (12, 20, channels), np.uint16)
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), deep[..., [2, 1, 0, 3][:channels]] if channels > 1 else deep)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.rgb, deep[..., :3] / np.ones(3) / 65535, atol=1e-6)
    assert (picture.alpha is not None) == (channels == 4)
    if picture.alpha is not None:
        np.testing.assert_allclose(picture.alpha, deep[..., 3] / 65535, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_turned_photograph_is_put_upright(tmp_path: Path, orientation: int, mode: str):
    blocks = (RGB > 128).astype(np.uint8).repeat(8, 0).repeat(8, 1) * 255
    # How a camera held that way stores the scene: the inverse of what the viewer does.
    stored = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "turned.jpg", upright(blocks, stored), mode, exif=exif, quality=95)
    expected = np.asarray(Pillow.fromarray(blocks).convert(mode).convert("RGB")) / 255
    picture = read_picture(path)
    assert picture.rgb.shape == expected.shape
    assert np.abs(picture.rgb - expected).mean() < 0.05


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_a_deep_picture_is_put_upright_too(tmp_path: Path, suffix: str):
    stored = np.zeros((4, 6), np.uint16)
    stored[0, 0] = 65535
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the first pixel belongs at the top right
    Pillow.fromarray(stored).save(tmp_path / f"deep{suffix}", exif=exif)
    assert np.argwhere(read_picture(tmp_path / f"deep{suffix}").rgb[..., 0]).tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("orientation", "corner"),
    # Where the picture's first stored pixel is to be seen (row, column), by the EXIF standard.
    list(enumerate([(0, 0), (0, -1), (-1, -1), (-1, 0), (0, 0), (0, -1), (-1, -1), (-1, 0)], 1)),
)
def test_orientations_are_exifs(orientation: int, corner: tuple[int, int]):
    stored = np.zeros((2, 3, 1))
    stored[0, 0] = 1
    turned = upright(stored, orientation)
    assert turned[corner] == 1
    assert turned.shape == ((3, 2, 1) if orientation > 4 else (2, 3, 1))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("transparent", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, transparent: bool):
    smooth = cv2.resize(RGB[::4, ::4], (40, 24)) / np.float32(255)
    alpha = np.tile(np.linspace(0.2, 1, 40, dtype=np.float32), (24, 1)) if transparent else None
    written = Picture(smooth, alpha)
    path = tmp_path / f"picture{suffix}"
    settings = '# dreamvid 0\nsource = "a “quoted” name.png"\n'
    write_picture(path, written, settings, overwrite=False)
    found = read_picture(path)
    assert np.abs(found.flattened() - written.flattened()).mean() < 0.02
    assert (found.alpha is None) == (not transparent or suffix in (".jpg", ".jpeg"))
    assert read_settings(path) == settings
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_values_of_no_known_range_are_refused(tmp_path: Path, kind: type):
    Pillow.fromarray(np.zeros((16, 16), kind)).save(tmp_path / "odd.tiff")
    with pytest.raises(MediaError, match=f"holds {kind.__name__} values: save it with 8 or 16"):
        read_picture(tmp_path / "odd.tiff")


def test_a_picture_is_scaled_and_cut_evenly():
    ramp = np.tile(np.linspace(0, 1, 90, dtype=np.float32)[None, :, None], (30, 1, 3))
    fitted = fit(ramp, Size(32, 32))
    assert fitted.shape == (32, 32, 3)
    np.testing.assert_allclose(fitted[16, [0, -1], 0], [1 / 3, 2 / 3], atol=0.02)
    np.testing.assert_array_equal(fit(ramp, Size(90, 30)), ramp)
    assert fit(ramp, Size(16384, 16)).shape == (16, 16384, 3)


@pytest.mark.parametrize("name", ["photo.jpg", "art.png", "deep.png", "scan.tiff", "web.webp"])
def test_a_picture_that_breaks_off_is_refused(tmp_path: Path, name: str):
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    cv2.imwrite(str(path), noise if name == "deep.png" else (noise >> 8).astype(np.uint8))
    data = path.read_bytes()
    for kept in (10, len(data) // 2):
        path.write_bytes(data[:kept])
        with pytest.raises(MediaError, match=f"{name} is (damaged|not a picture)"):
            read_picture(path)


def test_a_picture_beyond_all_bounds_is_refused(tmp_path: Path):
    Pillow.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    with pytest.raises(MediaError, match=r"huge\.png has too many pixels"):
        read_picture(tmp_path / "huge.png")


def test_what_is_no_picture_is_refused(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "data.jpg").write_text(json.dumps({"a": 1}))
    for name, complaint in {
        "none.png": "no picture at",
        ".": "is a folder",
        "empty.png": "is empty",
        "text.png": "is not a picture",
        "data.jpg": "is not a picture",
    }.items():
        with pytest.raises(MediaError, match=complaint):
            read_picture(tmp_path / name)


def test_a_file_without_settings_says_so(tmp_path: Path):
    iio.imwrite(tmp_path / "plain.png", RGB)
    for name in ("plain.png", "none.png"):
        with pytest.raises(MediaError):
            read_settings(tmp_path / name)
