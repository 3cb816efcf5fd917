"""What a notebook displays is what was shown."""

import base64
import io
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dreamvid.display import ShownClip, ShownPicture, show
from dreamvid.errors import DreamError
from dreamvid.types import Frame


def of_picture(shown: Any) -> np.ndarray:
    assert isinstance(shown, ShownPicture)
    with Image.open(io.BytesIO(shown._repr_png_())) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def of_clip(shown: Any) -> tuple[np.ndarray, list[int]]:
    """The pictures (n, h, w, 3), and how many milliseconds each is shown."""
    assert isinstance(shown, ShownClip)
    match = re.fullmatch(
        r'<img width="(\d+)" height="(\d+)" alt="(.+)" src="data:image/webp;base64,(.+)">',
        shown._repr_html_(),
    )
    assert match
    assert match[3] == repr(shown)
    with Image.open(io.BytesIO(base64.b64decode(match[4]))) as clip:
        assert clip.size == (int(match[1]), int(match[2]))
        assert clip.info["loop"] == 0 or not clip.is_animated  # type: ignore[attr-defined]
        pictures, spans = [], []
        for number in range(clip.n_frames):  # type: ignore[attr-defined]
            clip.seek(number)
            pictures.append(np.asarray(clip.convert("RGB")))
            spans.append(clip.info["duration"])
    return np.stack(pictures), spans


def flat(count: int) -> np.ndarray:
    """A clip whose pictures are greys, 20 levels apart: float32 (count, 24, 32, 3)."""
    levels = np.arange(count, dtype=np.float32)[:, None, None, None] * 20 / 255
    return np.broadcast_to(levels, (count, 24, 32, 3))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(17, 23, 3), (17, 23)])
def test_a_picture_is_shown_without_loss(shape: tuple[int, ...], kind: type):
    values = np.random.default_rng(0).random(shape).astype(kind)
    shown = show(values)
    np.testing.assert_array_equal(of_picture(shown), np.round(values.astype(np.float32) * 255))
    assert repr(shown) == "a picture of 23x17 pixels"
    assert not hasattr(shown, "_repr_html_")


def test_pictures_of_any_make():
    levels = np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8)
    image = jnp.asarray(levels, jnp.float32) / 255
    for picture in (levels, image, Frame(0, image)):
        np.testing.assert_array_equal(of_picture(show(picture)), levels)


def test_what_rounds_to_black_and_white_is_in_range():
    values = np.array([[-1e-3, 1 + 1e-3]], np.float32)
    np.testing.assert_array_equal(of_picture(show(values)), [[0, 255]])


def test_a_clip_is_shown_in_its_order():
    clip = flat(7)
    shown = show(clip)
    assert repr(shown) == "a clip of 7 frames of 32x24 pixels"
    assert not hasattr(shown, "_repr_png_")
    pictures, spans = of_clip(shown)
    assert pictures.shape == clip.shape
    np.testing.assert_allclose(pictures, clip * 255, atol=2)
    assert spans == [33, 34, 33, 33, 34, 33, 33]  # 7/30 of a second


def test_clips_of_any_make():
    clip = flat(3)
    expected, _ = of_clip(show(clip))
    frames = [Frame(number, jnp.asarray(picture)) for number, picture in enumerate(clip)]
    for pictures in (jnp.asarray(clip), list(clip), iter(clip), tuple(frames), iter(frames)):
        np.testing.assert_array_equal(of_clip(show(pictures))[0], expected)
    np.testing.assert_array_equal(of_clip(show(list(clip[..., 0])))[0], expected)  # grey


def test_a_clip_looks_as_it_should():
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    clip = np.stack([np.dstack([x, y, 1 - x]), np.dstack([y, 1 - x, x * y])])
    pictures, _ = of_clip(show(clip))
    np.testing.assert_allclose(pictures / 255, clip, atol=0.05)


def test_a_clip_may_be_one_picture():
    shown = show([flat(2)[1]])
    assert repr(shown) == "a clip of 1 frame of 32x24 pixels"
    assert of_clip(shown)[0].shape == (1, 24, 32, 3)


def test_the_rate_is_kept():
    assert of_clip(show(flat(4), fps=2))[1] == [500] * 4
    assert of_clip(show(flat(3), fps=90))[1] == [11] * 3


def test_pictures_may_be_drawn_one_over_another():
    canvas = np.zeros((24, 32, 3), np.uint8)

    def draw():
        for value in (0, 100, 200):
            canvas[:] = value
            yield canvas

    np.testing.assert_allclose(of_clip(show(draw()))[0][:, 0, 0, 0], [0, 100, 200], atol=2)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (np.zeros(5), r"the picture is float64 \(5,\): an array"),
        (np.zeros((8, 8, 4)), r"the picture is float64 \(8, 8, 4\)"),
        (np.zeros((0, 8, 3)), r"the picture is float64 \(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), "the picture is int64"),
        (np.full((8, 8), 255.0), "the picture has values from 255 to 255: clip or scale"),
        (np.full((8, 8), np.nan), "the picture has values from nan"),
        (np.zeros((2, 8, 8, 1)), r"picture 0 is float64 \(8, 8, 1\)"),
        (np.zeros((2, 2, 8, 8, 3)), "picture 0 is float64"),
        ([np.zeros((8, 8)), np.zeros((8, 9))], "2 pictures of 2 shapes are no clip"),
        ([(Frame(0, jnp.zeros((8, 8, 3))), None)], "picture 0 is of type tuple"),
        ([], "0 pictures of 0 shapes are no clip: show some"),
        (3, "the picture is of type int: an array"),
        ("clip.mp4", "picture 0 is of type str"),
    ],
)
def test_what_cannot_be_shown_is_refused(pictures: Any, message: str):
    with pytest.raises(DreamError, match=message) as caught:
        show(pictures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fps", [0, -1, 91, float("nan")])
def test_rates_that_browsers_do_not_keep_are_refused(fps: float):
    with pytest.raises(DreamError, match=r"fps is .*: choose 0.01 to 90"):
        show(flat(2), fps)
