"""Tile frames of a clip into a contact sheet: python samples/make_sheet.py CLIP SHEET.jpg"""

import sys

import av
import cv2
import imageio.v3 as iio
import numpy as np

COLUMNS, ROWS, WIDTH = 4, 3, 400


def make_sheet(clip: str) -> np.ndarray:
    """COLUMNS x ROWS frames, evenly spaced from first to last: uint8 (h, w, 3)."""
    with av.open(clip) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    height = round(WIDTH * frames[0].shape[0] / frames[0].shape[1])
    chosen = np.linspace(0, len(frames) - 1, COLUMNS * ROWS).round().astype(int)
    tiles = [cv2.resize(frames[i], (WIDTH, height), interpolation=cv2.INTER_AREA) for i in chosen]
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, COLUMNS * ROWS, COLUMNS)])


if __name__ == "__main__":
    iio.imwrite(sys.argv[2], make_sheet(sys.argv[1]), quality=85)
