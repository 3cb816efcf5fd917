"""HDR pictures tone-mapped for common screens."""

from functools import cache

import cv2
import numpy as np

PQ, HLG = 16, 18
CURVES = {PQ: "PQ", HLG: "HLG"}
"""Transfer curves (ITU-T H.273) whose levels are not those of a common screen."""
PEAK = 1000.0
"""Nits of the brightest light that is told apart, and of HLG's white. Source: ITU-R BT.2100."""
WHITE = 203.0
"""Nits of diffuse white, and of the brightest that an SDR screen shows. Source: ITU-R BT.2408."""
WEIGHTS = np.array([0.2627, 0.6780, 0.0593], np.float32)
"""Of R, G and B in luminance. Source: ITU-R BT.2020."""
TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ]
)
"""Linear BT.2020 -> linear BT.709. Source: ITU-R BT.2087."""
FINE = 65535
"""Steps of the tables, which are over the square root of light: finer in the dark."""


def tone_map(pixels: np.ndarray, curve: int) -> np.ndarray:
    """Brings HDR pictures down to SDR: BT.709 on a screen after BT.1886.

    Light up to about 90 nits stays as it is, what is brighter is rolled off until `PEAK` becomes
    white: diffuse white has nine tenths of the levels. All channels shrink by the same factor,
    so that hues stay.

    Args:
      pixels: uint16 (h, w, 3), BT.2020 R'G'B'.
      curve: PQ or HLG.

    Returns:
      uint16 (h, w, 3), R'G'B' of BT.709.

    Source: the roll-off is the EETF of ITU-R BT.2390, section 5.4.
    """
    light = _light_of(curve)[pixels]
    if curve == HLG:  # the picture of the screen from that of the scene: BT.2100's OOTF
        light *= _square_steps(light @ WEIGHTS, _bright_scene())[..., None]
    most = cv2.max(cv2.max(light[..., 0], light[..., 1]), light[..., 2])
    light *= _square_steps(most, _gain())[..., None]
    shown = np.clip(cv2.transform(light, TO_BT709), 0, 1)
    return _square_steps(shown, _levels())


def _square_steps(light: np.ndarray, table: np.ndarray) -> np.ndarray:
    """What a table makes of light in [0, 1]."""
    return table[(np.sqrt(light) * FINE + 0.5).astype(np.uint16)]


@cache
def _light_of(curve: int) -> np.ndarray:
    """Of each level: float32 light in [0, 1], 1 is PEAK; of HLG the scene's, else the screen's."""
    level = np.arange(65536) / 65535
    if curve == PQ:
        light = np.minimum(_pq_to_nits(level) / PEAK, 1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)
    return np.clip(light, 0, 1).astype(np.float32)


@cache
def _bright_scene() -> np.ndarray:
    """What HLG's screen does to each luminance of the scene: a factor."""
    return _steps() ** np.float32(0.2)


@cache
def _gain() -> np.ndarray:
    """SDR light, 1 is white, over HDR light, of each light of the brightest channel."""
    source = _nits_to_pq(np.array(PEAK))
    most = _nits_to_pq(np.array(WHITE)) / source
    knee = 1.5 * most - 0.5
    light = _steps().astype(float)
    level = _nits_to_pq(light * PEAK) / source
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee
    rolled += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    shown = _pq_to_nits(rolled * source) / PEAK / np.maximum(light, 1e-9)
    return (PEAK / WHITE * np.where(level < knee, 1, shown)).astype(np.float32)


@cache
def _levels() -> np.ndarray:
    """uint16 levels of SDR light. Source: ITU-R BT.1886, with a black of no light."""
    return np.round(65535 * _steps().astype(float) ** (1 / 2.4)).astype(np.uint16)


def _steps() -> np.ndarray:
    return (np.arange(FINE + 1, dtype=np.float32) / FINE) ** 2


# Of the PQ curve. Source: SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_to_nits(level: np.ndarray) -> np.ndarray:
    root = level ** (1 / _M2)
    return 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _nits_to_pq(nits: np.ndarray) -> np.ndarray:
    root = (nits / 10_000) ** _M1
    return ((_C1 + _C2 * root) / (1 + _C3 * root)) ** _M2
