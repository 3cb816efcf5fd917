"""Decoded frames as RGB, by the colour matrix and range of their file."""

from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from dreamvid.errors import MediaError
from dreamvid.media.hdr import CURVES, tone_map

MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""Colour matrix as files number it (ITU-T H.273) -> as swscale does."""
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Colour matrix as swscale numbers it -> the weights of red and blue in luma. Source: H.273."""
BT709, BT601 = 1, 5
LUMA = np.array([0.2126, 0.7152, 0.0722])
"""Luma of encoded R, G and B. Source: ITU-R BT.709."""
RGB, UNKNOWN = 0, 2
LIMITED, FULL = 1, 2
"""Ranges of levels: 16 to 235, or 0 to 255."""
# SWS_BILINEAR, FULL_CHR_H_INT and ACCURATE_RND, which older PyAV has no names for: without them
# swscale takes the nearest colour sample and rounds down.
EXACT = 2 | 0x2000 | 0x40000


def depth_of(frame: VideoFrame) -> int:
    """The depth of `to_rgb`'s pixels: 16 where the frame has more than 8 bits a channel."""
    return 16 if frame.format.components[0].bits > 8 else 8


def to_rgb(frame: VideoFrame, path: Path, curve: int | None = None) -> np.ndarray:
    """A frame's pixels as they are stored, neither turned nor scaled.

    Colours follow the frame's matrix and range; where it names none, limited range and BT.709 from
    720 lines on or BT.601 below, as players do.

    Args:
      frame: Of any pixel format.
      path: Its file, for messages.
      curve: The transfer curve (ITU-T H.273) of its stream. Frames on one of `hdr.CURVES` are
        tone-mapped.

    Returns:
      (h, w, 3), RGB, uint8 or uint16 as `depth_of` says.

    Raises:
      MediaError: Its colours are of an unknown kind.
    """
    # Floating-point grey has no range, as RGB has none.
    bits = frame.format.components[0].bits
    coded = not (frame.format.is_rgb or frame.format.has_palette or bits > 16)
    matrix, levels = (_matrix(frame, path), _range(frame)) if coded else (BT709, FULL)
    if depth_of(frame) == 8:
        pixels = _shallow(frame, matrix, levels)
    else:
        pixels = _deep(frame, matrix, levels) if coded else frame.to_ndarray(format="rgb48le")
    if curve not in CURVES:
        return pixels
    return to_depth(tone_map(to_depth(pixels, 16), curve), depth_of(frame))


def to_depth(pixels: np.ndarray, depth: int) -> np.ndarray:
    """uint8 or uint16 pixels with 8 or 16 bits a channel, black and white unchanged."""
    if depth == 8 * pixels.itemsize:
        return pixels
    if depth == 16:
        return pixels.astype(np.uint16) * np.uint16(257)
    # Not by swscale, which would make it half a level too bright.
    return cv2.convertScaleAbs(pixels, alpha=1 / 257)


def _shallow(frame: VideoFrame, matrix: int, levels: int) -> np.ndarray:
    return frame.to_ndarray(
        format="rgb24",
        src_colorspace=matrix,
        # Another one, or older PyAV sees nothing to convert; RGB itself has no matrix.
        dst_colorspace=BT601 if matrix == BT709 else BT709,
        src_color_range=levels,
        dst_color_range=FULL,
        interpolation=EXACT,
    )


def _deep(frame: VideoFrame, matrix: int, levels: int) -> np.ndarray:
    """By our own matrix: swscale's 16-bit RGB is 256ths of 8-bit, 0.4 % short of white."""
    bits = frame.format.components[0].bits
    low, luma, chroma = (share << (bits - 8) for share in (16, 219, 224))
    if levels == FULL:
        low, luma, chroma = 0, (1 << bits) - 1, (1 << bits) - 1
    if len(frame.format.components) < 3:  # grey, perhaps with alpha
        planes = frame.planes[:1] * 3
        zero, span, back = [low] * 3, [luma] * 3, np.eye(3)
    else:
        planes = frame.reformat(
            format=f"yuv444p{bits}le",  # of the same depth: that of full range changes unevenly
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=levels,
            dst_color_range=levels,
            interpolation=EXACT,
        ).planes
        zero, span = [low, 1 << (bits - 1), 1 << (bits - 1)], [luma, chroma, chroma]
        red, blue = WEIGHTS[matrix]
        cb, cr = 2 - 2 * blue, 2 - 2 * red
        green = (-cb * blue / (1 - red - blue), -cr * red / (1 - red - blue))
        back = np.array([[1, 0, cr], [1, *green], [1, cb, 0]])
    back = back * (65535 / np.array(span))
    pixels = cv2.merge([levels_of(plane, np.uint16)[:, : frame.width] for plane in planes])
    return cv2.transform(pixels, np.column_stack([back, -back @ np.array(zero)]))


def levels_of(plane: VideoPlane, kind: type[np.unsignedinteger]) -> np.ndarray:
    """A plane of a frame, (h, at least w): rows may end in padding, which is anything."""
    values = np.frombuffer(memoryview(plane), kind)
    across = plane.line_size // values.itemsize
    return values[: plane.height * across].reshape(plane.height, across)


def _matrix(frame: VideoFrame, path: Path) -> int:
    if frame.colorspace in (RGB, UNKNOWN):
        return BT709 if frame.height >= 720 else BT601
    if frame.colorspace not in MATRICES:
        raise MediaError(f"{path} has colours of kind {frame.colorspace} (ITU-T H.273): convert it")
    return MATRICES[frame.colorspace]


def _range(frame: VideoFrame) -> int:
    return frame.color_range or (FULL if frame.format.name.startswith("gray") else LIMITED)
