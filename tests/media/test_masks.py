"""Masks lie on a film's pictures as the user drew them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.film import Film, survey
from dreamvid.media.masks import read_mask
from dreamvid.options import Footage
from films import make, write_levels


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of 96x48."""
    path = tmp_path_factory.mktemp("masks") / "film.mkv"
    make(path, "testsrc2=s=96x48:r=25:d=0.4", "-c:v", "ffv1")
    return path


@pytest.fixture(scope="module")
def film(path: Path) -> Film:
    return survey(path, Footage())


def half(width: int, height: int) -> Image.Image:
    """White on the right."""
    picture = Image.new("L", (width, height))
    picture.paste(255, (width // 2, 0, width, height))
    return picture


def test_a_still_is_the_mask_of_all_pictures(tmp_path: Path, film: Film):
    half(192, 96).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", film, feather=0)
    masks = list(mask.masks())
    assert len(masks) == 10
    assert len(list(mask.masks(7))) == 3
    assert {m.dtype.name for m in masks} == {"float32"}
    expected = np.repeat([0, 1], 48) * np.ones((48, 1))
    assert all((m == expected).all() for m in masks)


def test_brightness_and_opacity_count(tmp_path: Path, film: Film):
    picture = Image.new("RGBA", (96, 48), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (0, 0, 24, 48))
    picture.paste((0, 255, 0, 255), (24, 0, 48, 48))
    picture.paste((128, 128, 128, 255), (48, 0, 72, 48))
    picture.save(tmp_path / "mask.png")
    first = next(read_mask(tmp_path / "mask.png", film, feather=0).masks())
    np.testing.assert_allclose(first[0, 12::24], [1, 0.7152, 128 / 255, 0], atol=1e-4)


@pytest.mark.parametrize("feather", [4.0, 20.0, 60.0])
def test_edges_are_softened_as_far_as_asked(tmp_path: Path, feather: float):
    for number in range(2):
        half(480, 60).save(tmp_path / f"{number}.png")
    film = survey(tmp_path / "%d.png", Footage())
    first = next(read_mask(tmp_path / "0.png", film, feather).masks())
    row = first[30]
    assert (np.diff(row) > -1e-6).all()
    assert abs(row[239] + row[240] - 1) < 0.02
    # A Gaussian edge has 2.3 % and 97.7 % two deviations away.
    edge = round(240 - feather)
    assert 0.005 < row[edge] < 0.05
    assert 0.95 < row[479 - edge] < 0.995


def test_a_film_masks_picture_by_picture(tmp_path: Path, film: Film):
    write_levels(tmp_path / "mask.mkv", 10)
    mask = read_mask(tmp_path / "mask.mkv", film, feather=8)
    levels = [m.mean() * 255 for m in mask.masks()]
    np.testing.assert_allclose(levels, 12 + 4 * np.arange(10), atol=1)
    np.testing.assert_allclose([m.mean() * 255 for m in mask.masks(6)], levels[6:])
    assert next(mask.masks()).shape == (48, 96)
    assert len(mask.digest()) == 64


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_mask_of_whole_pictures_is_cut_as_they_are(tmp_path: Path, path: Path, fit: str):
    film = survey(path, Footage(size=Size(48, 48), fit=fit))
    half(96, 48).save(tmp_path / "whole.png")
    half(24, 24).save(tmp_path / "fits.png")
    whole = next(read_mask(tmp_path / "whole.png", film, 0).masks())
    fits = next(read_mask(tmp_path / "fits.png", film, 0).masks())
    assert whole.shape == fits.shape == (48, 48)
    assert whole[24].tolist() == [0] * 24 + [1] * 24
    assert whole[2].tolist() == ([0] * 24 + [1] * 24 if fit == "crop" else [0] * 48)
    assert abs(fits[2, 36:].mean() - 1) < 1e-3


def test_masks_that_do_not_fit_are_refused(tmp_path: Path, film: Film):
    write_levels(tmp_path / "short.mkv", 7)
    with pytest.raises(MediaError, match=r"short.mkv has 7 pictures, .*film.mkv 10"):
        read_mask(tmp_path / "short.mkv", film, 8)
    with pytest.raises(MediaError, match="no clip at"):
        read_mask(tmp_path / "none.png", film, 8)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(MediaError, match="not a picture"):
        read_mask(tmp_path / "text.png", film, 8)
