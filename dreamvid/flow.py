"""Optical flow between two pictures, and how far it can be trusted."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from dreamvid.media.colours import to_depth

FINE = 1280 * 720
"""Up to so many pixels flow is refined down to half the resolution, above to a quarter."""
LEAST_SIDE = 64
"""Pictures with less are padded, since DIS halves them several times."""
_NOISE = 1.0
"""Pixels of blur: less of the camera's noise is taken for motion, and no edge is moved."""
_CONTRAST = 16.0
"""OpenCV's Farneback adds 1e-3 to a determinant that grows with the contrast to the fourth, and so
takes what has little texture for still. At this contrast it no longer does."""


@dataclass(frozen=True)
class Match:
    """Where each pixel of one picture was in another, and how far that can be trusted.

    Attributes:
      flow: float32 (h, w, 2): (dx, dy) in pixels, from this picture's pixel to the other's.
      trust: float32 (h, w) in [0, 1]: 0 where the pixel was hidden or out of the frame, or where
        motions meet; softened.
    """

    flow: np.ndarray
    trust: np.ndarray


def grey(picture: np.ndarray) -> np.ndarray:
    """The luma that flow is sought in.

    Args:
      picture: uint8 or uint16 (h, w, 3) RGB.

    Returns:
      uint8 (h, w).
    """
    return to_depth(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 8)


def match(now: np.ndarray, then: np.ndarray) -> Match:
    """Finds where each pixel of a picture was in an earlier one.

    Args:
      now: uint8 (h, w), grey.
      then: uint8 (h, w), grey, of the same size.

    Returns:
      The flow from now to then, and its trust.

    Source: Ruder et al. 2016, "Artistic style transfer for videos", equations 4 to 6.
    """
    size = now.shape[1], now.shape[0]
    here, there = _halved(now), _halved(then)
    back, forth = _flow(here, there, size), _flow(there, here, size)
    return Match(back, trust(back, forth))


def trust(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """How far a flow can be trusted, by the flow the other way.

    Args:
      back: float32 (h, w, 2), in pixels.
      forth: float32 (h, w, 2), from where that leads.

    Returns:
      float32 (h, w): `seen`, softened by a pixel on either side of its borders, where it is at most
      0.5 outside and at least that within.
    """
    inside = seen(back, forth).astype(np.float32)
    softened = cv2.GaussianBlur(inside, (0, 0), 1.0)
    return np.clip(softened, 0.5 * inside, 0.5 + 0.5 * inside)


def seen(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """Which pixels can be seen in the other picture, and do not lie where motions meet.

    Args:
      back: float32 (h, w, 2), in pixels.
      forth: float32 (h, w, 2), from where that leads.

    Returns:
      bool (h, w).

    Source: Ruder et al. 2016, "Artistic style transfer for videos", equations 5 and 6.
    """
    returned = warp(forth, back)
    off = _squared(back + returned)
    hidden = off >= 0.01 * (_squared(back) + _squared(returned)) + 0.5
    along_y, along_x = (np.gradient(back, axis=axis) for axis in (0, 1))
    torn = _squared(along_x) + _squared(along_y) > 0.01 * _squared(back) + 0.002
    height, width = back.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + back[..., 0], y + back[..., 1]
    outside = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
    return ~(hidden | torn | outside)


def warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A picture as seen along a flow: each pixel is read where its flow leads, linearly.

    Args:
      picture: (h, w) or (h, w, channels).
      flow: float32 (h, w, 2), in pixels.
    """
    how = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    nothing: Any = None  # the flow holds both coordinates
    return cv2.remap(picture, flow, nothing, how, borderMode=cv2.BORDER_REFLECT_101)


def dis_medium(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Flow for measuring: DIS at full resolution, with OpenCV's medium preset.

    Source: Kroeger et al. 2016, "Fast optical flow using dense inverse search".
    """
    return _dis(now, then)


def farneback(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Flow for measuring, by another method altogether.

    Source: Farneback 2003, "Two-frame motion estimation based on polynomial expansion".
    """
    one, other = (picture.astype(np.float32) * _CONTRAST for picture in (now, then))
    flow = np.zeros((*now.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(one, other, flow, 0.5, 6, 15, 5, 5, 1.1, 0)


def draw_flow(flow: np.ndarray, largest: float | None = None) -> np.ndarray:
    """A flow as colours: the hue is where it leads, and what is still is white.

    Args:
      flow: float32 (h, w, 2), in pixels.
      largest: The length that has full colour; None takes the flow's own 99th percentile, and a
        pixel at least.

    Returns:
      uint8 (h, w, 3), RGB.

    Source: Baker et al. 2011, "A database and evaluation methodology for optical flow", for the
      idea of the wheel.
    """
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    if largest is None:
        largest = max(float(np.percentile(length, 99)), 1.0)
    colour = np.minimum(length / largest, 1.0)
    wheel = cv2.cvtColor(np.dstack([angle, colour, np.ones_like(angle)]), cv2.COLOR_HSV2RGB)
    return np.round(255 * wheel).astype(np.uint8)


def draw_trust(trust: np.ndarray) -> np.ndarray:
    """A trust as grey, uint8 (h, w, 3): white is trusted."""
    return np.repeat(np.round(255 * trust).astype(np.uint8)[..., None], 3, axis=2)


def _halved(grey: np.ndarray) -> np.ndarray:
    height, width = grey.shape
    half = (max(width // 2, 1), max(height // 2, 1))
    softened = cv2.GaussianBlur(grey, (0, 0), _NOISE)
    return cv2.resize(softened, half, interpolation=cv2.INTER_AREA)


def _flow(now: np.ndarray, then: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The flow by which dreams are moved, for pictures of (width, height) twice as large.

    It is as exact as between these, and quicker: on drawn scenes of 640x360 it errs by 0.06 pixels
    (full size: 0.06), on static noise of 3 levels by 0.25 (0.29).
    """
    height, width = now.shape
    finest = 0 if size[0] * size[1] <= FINE else 1
    flow = cv2.resize(cv2.medianBlur(_dis(now, then, finest), 5), size)
    return flow * np.array([size[0] / width, size[1] / height], np.float32)


def _dis(now: np.ndarray, then: np.ndarray, finest: int | None = None) -> np.ndarray:
    height, width = now.shape
    below, beside = max(LEAST_SIDE - height, 0), max(LEAST_SIDE - width, 0)
    if below or beside:
        now, then = (
            cv2.copyMakeBorder(grey, 0, below, 0, beside, cv2.BORDER_REPLICATE)
            for grey in (now, then)
        )
    # One for each call, since no two threads may share one.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if finest is not None:
        dis.setFinestScale(finest)
    flow = dis.calc(now, then, np.zeros((*now.shape, 2), np.float32))
    return flow[:height, :width]


def _squared(vectors: np.ndarray) -> np.ndarray:
    x, y = vectors[..., 0], vectors[..., 1]
    return x * x + y * y  # much quicker than a sum along so short an axis
