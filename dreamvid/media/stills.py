"""Still pictures: read as a person sees them, written with the settings that made them."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
from PIL import Image as Pillow

from dreamvid.errors import MediaError
from dreamvid.fields import Size
from dreamvid.media.exif import DESCRIPTION
from dreamvid.media.target import replacing
from dreamvid.paths import check_is_file


@dataclass(frozen=True)
class Format:
    """How a kind of still is written."""

    options: dict[str, Any]
    """What Pillow is told."""
    largest_side: int = 2**31 - 1
    """Pixels; the format has no room for more."""
    transparent: bool = True
    """Whether it can hold alpha."""


_JPEG = Format({"quality": 95, "subsampling": 0}, largest_side=65500, transparent=False)
_TIFF = Format({"compression": "tiff_adobe_deflate"})
FORMATS = {
    ".png": Format({}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format({"quality": 95}, largest_side=16383),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""Extension -> format."""


@dataclass(frozen=True)
class Picture:
    """A still picture in memory."""

    rgb: np.ndarray
    """float32 (h, w, 3) in [0, 1], as encoded."""
    alpha: np.ndarray | None = None
    """float32 (h, w) in [0, 1], 1 is opaque; None where the picture has no transparency."""

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.rgb.shape[1], self.rgb.shape[0])

    def flattened(self) -> np.ndarray:
        """float32 (h, w, 3): the picture on white, for what cannot be transparent."""
        if self.alpha is None:
            return self.rgb
        return self.rgb * self.alpha[..., None] + (1.0 - self.alpha[..., None])


def read_picture(path: Path) -> Picture:
    """Reads a still as a person sees it: upright, in colour, of any bit depth.

    Args:
      path: PNG, JPEG, WebP, TIFF or anything else Pillow reads; of several frames, the first.

    Raises:
      MediaError: There is no such file, or it is no whole picture.
    """
    check_is_file(path, "picture", MediaError)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}") from None
    if not data:
        raise MediaError(f"{path} is empty: it holds no picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        pixels, kind, orientation = _decode(path, data)
    deep = _read_deep(data)
    if deep is None and kind not in (np.uint8, np.bool_):
        raise MediaError(f"{path} holds {kind} values: save it with 8 or 16 bits a channel")
    pixels = upright(pixels if deep is None else deep, orientation)
    values = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    opaque = pixels.shape[2] == 3 or bool((values[..., 3] == 1.0).all())
    return Picture(values[..., :3].copy(), None if opaque else values[..., 3].copy())


def _decode(path: Path, data: bytes) -> tuple[np.ndarray, np.dtype, int]:
    """The pixels, uint8 (h, w, 4), the type the file stores them in, and its EXIF orientation."""
    try:
        opened = iio.imopen(data, "r", plugin="pillow")
    except Exception as error:  # Pillow raises nearly every kind, here and below
        if isinstance(error.__cause__, Pillow.DecompressionBombError):
            raise MediaError(f"{path} has too many pixels to be read: scale it down") from None
        known = "PNG, JPEG, WebP and TIFF are, and films are for dreamvid video"
        raise MediaError(f"{path} is not a picture of a known format: {known}") from None
    with opened as file:
        try:
            kind = file.properties(index=0).dtype
            # Decoded in any case: Pillow, unlike OpenCV, refuses a picture that breaks off.
            pixels = file.read(index=0, mode="RGBA")  # pyright: ignore[reportCallIssue]
            facts = file.metadata(index=0, exclude_applied=False)
        except Exception as error:
            reason = str(error).split("\n")[0].split("<")[0].strip() or type(error).__name__
            raise MediaError(f"{path} is damaged: {reason}. Save it anew") from None
    return pixels, kind, facts.get("Orientation", 1)


def _read_deep(data: bytes) -> np.ndarray | None:
    """The pixels, uint16 (h, w, 3 or 4), of a 16-bit PNG or TIFF; None for all else."""
    deep_png = data[:4] == b"\x89PNG" and data[24] == 16
    if not (deep_png or data[:4] in (b"II*\0", b"MM\0*")):
        return None
    # Pillow has no 16-bit colour and cuts it down to 8.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    order = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}.get(pixels.shape[2])
    return None if order is None else cv2.cvtColor(pixels, order)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(h, w, c) turned as its EXIF orientation (1 to 8; others are taken as 1) asks."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def fit(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Scales a picture to fill a size, and cuts off what hangs over, evenly on both sides.

    Args:
      pixels: float32 (h, w, 3) in [0, 1].
      size: The size to fill.

    Returns:
      float32 (size.height, size.width, 3) in [0, 1].
    """
    height, width = pixels.shape[:2]
    scale = max(size.width / width, size.height / height)
    cut = [max(round(side / scale), 1) for side in (size.width, size.height)]
    cut = [min(cut[0], width), min(cut[1], height)]
    left, top = (width - cut[0]) // 2, (height - cut[1]) // 2
    kept = pixels[top : top + cut[1], left : left + cut[0]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(kept, (size.width, size.height), interpolation=how)
    return np.clip(resized, 0.0, 1.0)


def within(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Scales a picture down until no side has more pixels; a smaller one stays as it is.

    Args:
      pixels: float32 (h, w, 3) in [0, 1].
      longest: Pixels of the longer side.

    Returns:
      float32 (h', w', 3) in [0, 1].
    """
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    return fit(pixels, Size(*(max(round(side * scale), 1) for side in (width, height))))


def write_picture(path: Path, picture: Picture, settings: str, overwrite: bool) -> None:
    """Writes an 8-bit still with its settings inside; the file appears whole or not at all.

    Args:
      path: Its extension, one of FORMATS, chooses the format.
      picture: Its alpha is kept, or flattened onto white in a JPEG.
      settings: A text, readable again with `read_settings`.
      overwrite: Whether an existing file may be replaced.

    Raises:
      MediaError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    form = FORMATS[suffix]
    if picture.alpha is not None and form.transparent:
        values = np.dstack([picture.rgb, picture.alpha])
    else:
        values = picture.flattened()
    pixels = np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
    # As bytes, since Pillow would keep only the ASCII of a text.
    exif = Pillow.Exif()
    exif[DESCRIPTION] = settings.encode()
    note = {"exif": exif.tobytes()}
    if form is _TIFF:
        note = {"description": settings.encode()}
    # Into memory first, where encoders cannot trip over a full disk.
    encoded = iio.imwrite(
        "<bytes>",
        pixels,
        plugin="pillow",
        extension=suffix,
        **note,
        **form.options,
    )
    with replacing(path, overwrite) as scratch:
        try:
            scratch.write_bytes(encoded)
        except OSError as error:
            raise MediaError(f"output {path} cannot be written: {error.strerror}") from None


def check_extent(path: Path, size: Size) -> None:
    """Refuses a picture larger than the format of `path` can hold.

    Raises:
      MediaError: It is.
    """
    largest = FORMATS[path.suffix.lower()].largest_side
    if max(size.width, size.height) > largest:
        raise MediaError(
            f"output {path} cannot hold {size} pixels, only {largest} on a side: choose .png"
        )


def read_settings(path: Path) -> str | None:
    """The text that `write_picture` left in a still; None where there is none."""
    try:
        return iio.immeta(path, plugin="pillow").get("ImageDescription")
    except Exception:  # see read_picture
        return None
