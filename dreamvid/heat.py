"""Heat maps: where in a picture the channels of a layer are active, laid over it."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from dreamvid.models.layers import padding_of
from dreamvid.models.network import (
    ARCHITECTURES,
    PIXELS,
    AveragePool,
    Classifier,
    Convolution,
    MaxPool,
)
from dreamvid.models.spec import ModelSpec

DIM = 0.42
"""Brightness of the picture below the heat."""
OPAQUE = 0.85
"""How far the greatest heat hides it."""


def energy(activations: np.ndarray) -> np.ndarray:
    """How strongly each channel is excited: the rms of its positive part.

    Of the positive part, since that is all that the layers above see: before a ReLU, and in a
    classifier, values far below zero say that there is nothing.

    Args:
      activations: float32 (h', w', c).

    Returns:
      float32 (c,).
    """
    return np.sqrt(np.square(np.maximum(activations, 0.0)).mean((0, 1)))


def centres(spec: ModelSpec, layer: str, side: int) -> np.ndarray:
    """Where in a picture the middle of what each position of a layer sees lies, along one axis.

    Not simply spread over the picture: where pads are even, the first position looks at the very
    corner, and where a pool has none at the start, half a stride and more inside of it.

    Args:
      spec: The network's facts.
      layer: A layer of it, by our own name.
      side: Pixels of the picture along the axis.

    Returns:
      float64 (positions,), from 0 at the picture's one edge to 1 at its other.
    """
    # Each node's pixel of its first position's middle, pixels to the next one, positions.
    known = {PIXELS: (0.0, 1, side)}
    for node in ARCHITECTURES[spec.architecture].nodes(spec):
        first, step, count = known[node.sources[0]]
        # Kernels that are no squares are padded evenly, where their size makes no difference.
        match node.operation:
            case (
                Convolution(kernel=(kernel, _))
                | MaxPool(kernel=kernel)
                | AveragePool(kernel=kernel)
            ):
                stride = node.operation.stride
                before, after = padding_of(node.operation.padding, count, kernel, stride)
                first += ((kernel - 1) / 2 - before) * step
                count = (count + before + after - kernel) // stride + 1
                step *= stride
            case Classifier():
                first, count = (side - 1) / 2, 1
        known[node.name] = first, step, count
    first, step, count = known[layer.removesuffix("_pre_relu")]
    return (first + step * np.arange(count) + 0.5) / side


def overlays(
    picture: np.ndarray,
    activations: np.ndarray,
    channels: Sequence[int],
    rows: np.ndarray,
    columns: np.ndarray,
) -> Iterator[np.ndarray]:
    """The picture, dimmed and grey, under the heat of one channel after the other.

    Args:
      picture: uint8 (h, w, 3), of any size.
      activations: float32 (h', w', c).
      channels: Which to show.
      rows: Where in the picture those of the activations lie: see `centres`.
      columns: Likewise.

    Yields:
      uint8 (h, w, 3). A channel is brightest at its own maximum, and shows nothing at zero and
      below; where there is but one position, at the largest of all channels.
    """
    grey = DIM * cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    most = np.maximum(activations.max((0, 1)), 0.0)
    if activations.shape[:2] == (1, 1):
        most[:] = most.max()
    y, x = (
        np.interp((np.arange(side) + 0.5) / side, places, np.arange(len(places)))
        for side, places in zip(picture.shape[:2], (rows, columns), strict=True)
    )
    across, down = (place.astype(np.float32) for place in np.meshgrid(x, y))
    for channel in channels:
        heat = np.maximum(activations[..., channel], 0.0) / (most[channel] or 1.0)
        smooth = cv2.remap(heat, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        smooth = np.clip(smooth, 0.0, 1.0)  # cubic curves overshoot
        colour = cv2.applyColorMap(np.round(255.0 * smooth).astype(np.uint8), cv2.COLORMAP_INFERNO)
        share = OPAQUE * smooth[..., None]
        yield np.round((1.0 - share) * grey + share * colour[..., ::-1]).astype(np.uint8)
