"""Frames that the tests of clips share."""

import numpy as np

from dreamvid.fields import Size

SIZE = Size(64, 48)


def smooth_frames(count: int, depth: int = 8) -> list[np.ndarray]:
    """Colours that change slowly over the picture and in time: uint8 or uint16 (48, 64, 3)."""
    y, x = np.mgrid[0:1:48j, 0:1:64j]
    waves = [np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x + t / 3)], -1) for t in range(count)]
    kind = np.uint8 if depth == 8 else np.uint16
    return [np.round(np.iinfo(kind).max * wave).astype(kind) for wave in waves]
