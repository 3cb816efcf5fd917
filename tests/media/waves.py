"""Frames that the tests of clips share."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from dreamvid.fields import Size
from dreamvid.media.codecs import Showing
from dreamvid.media.sinks import encoding_of
from dreamvid.options import Output

SIZE = Size(64, 48)


def smooth_frames(count: int, depth: int = 8) -> list[np.ndarray]:
    """Colours that change slowly over the picture and in time: uint8 or uint16 (48, 64, 3)."""
    y, x = np.mgrid[0:1:48j, 0:1:64j]
    waves = [np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x + t / 3)], -1) for t in range(count)]
    kind = np.uint8 if depth == 8 else np.uint16
    return [np.round(np.iinfo(kind).max * wave).astype(kind) for wave in waves]


def depth_of(path: Path, output: Output) -> int:
    """Bits of a channel that a sink wants."""
    return encoding_of(path, Showing(fps=Fraction(1)), output).depth
