"""Figures of a clip: whether it drifts, blurs, grows grainy, burns out, dreams on, and loops."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn

from dreamvid.errors import MediaError, OptionError
from dreamvid.media.colours import LUMA

if TYPE_CHECKING:
    from dreamvid.models import Model

CUTOFF = 0.25
"""Cycles a pixel, in any direction, above which detail counts as high-frequency."""
REFERENCE = 50
"""The frame that others are compared with: by then a zoom has dreamed all over its source."""
NOTHING = 1e-9
"""Below this an energy or objective is rounding, of which no ratio can be told."""

Score = Callable[[np.ndarray], float]
"""What a network makes of a frame, uint8 (h, w, 3)."""


@dataclass(frozen=True)
class FrameFigures:
    """What is measured of one frame. Levels are 8-bit ones, 0 to 255."""

    index: int
    """Counted from 0."""
    brightness: float
    """Mean luma, in levels."""
    contrast: float
    """Standard deviation of luma, in levels."""
    cb: float
    """Mean blueness, in levels: 0 is grey."""
    cr: float
    """Mean redness, in levels: 0 is grey."""
    high_frequency: float
    """Variance of luma from waves above CUTOFF, in levels squared."""
    clipped: float
    """Percent of the values of all channels that are 0 or 255."""
    neighbour_psnr: float | None
    """Likeness to the frame before, in dB; infinite where they are the same, None without one."""
    first_psnr: float | None
    """Likeness to the clip's first frame, likewise."""
    objective: float | None
    """Half the mean square of the activations; None where no network was asked."""

    @property
    def chroma(self) -> float:
        """How far the mean colour is from grey, in levels."""
        return math.hypot(self.cb, self.cr)


@dataclass(frozen=True)
class Summary:
    """What a clip does from its reference frame on; the loop is that of the whole clip."""

    frames: int
    """All frames of the clip."""
    reference: int
    """The number of the reference frame."""
    brightness_drift: float
    """Largest difference of mean luma from the reference's, in levels."""
    chroma_drift: float
    """Largest distance of the mean (Cb, Cr) from the reference's, in levels."""
    high_frequency_low: float
    """Least high-frequency energy over the reference's: below 1 detail is lost."""
    high_frequency_high: float
    """Greatest high-frequency energy over the reference's: above 1 grain piles up."""
    objective_low: float | None
    """Least objective over the reference's: below 1 the dream fades."""
    clipped: float
    """Largest percent of clipped values."""
    loop_psnr: float | None
    """Likeness of the last frame to the first, in dB: in a loop no less than neighbours'."""
    neighbour_psnr: float | None
    """Median likeness of neighbours, in dB."""


def figures(frames: Iterable[np.ndarray], score: Score | None = None) -> Iterator[FrameFigures]:
    """Measures a clip frame by frame; holds three of them in memory.

    Args:
      frames: uint8 (h, w, 3) RGB, all of one size.
      score: Gives each frame's objective, for example from `layer_score`.

    Yields:
      The figures of each frame, in order.
    """
    first = before = None
    for index, frame in enumerate(frames):
        luma = frame @ LUMA
        brightness = float(luma.mean())
        red, _, blue = frame.mean((0, 1))
        yield FrameFigures(
            index=index,
            brightness=brightness,
            contrast=float(luma.std()),
            cb=float((blue - brightness) / (2 * (1 - LUMA[2]))),
            cr=float((red - brightness) / (2 * (1 - LUMA[0]))),
            high_frequency=high_frequency(luma),
            clipped=100 * float(((frame == 0) | (frame == 255)).mean()),
            neighbour_psnr=None if before is None else psnr(before, frame),
            first_psnr=None if first is None else psnr(first, frame),
            objective=None if score is None else score(frame),
        )
        first = frame if first is None else first
        before = frame


def high_frequency(luma: np.ndarray) -> float:
    """The part of a picture's variance that waves above CUTOFF make up.

    Waves are those of the discrete cosine transform, which sees the picture mirrored about its
    borders: nothing jumps there, so no window has to favour the centre. White noise of deviation s
    has s^2 * (1 - pi * CUTOFF^2), a fine wave of amplitude a has a^2 / 2.

    Args:
      luma: float (h, w), in levels.

    Returns:
      Levels squared.
    """
    height, width = luma.shape
    y, x = np.arange(height) / (2 * height), np.arange(width) / (2 * width)  # cycles a pixel
    power = np.asarray(dctn(luma, norm="ortho")) ** 2
    return float(power[np.hypot(y[:, None], x) > CUTOFF].sum() / luma.size)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures of one shape, in dB; infinite for equals."""
    error = float(np.square(one.astype(np.float32) - other).mean(dtype=np.float64))
    return 10 * math.log10(255**2 / error) if error else math.inf


def layer_score(model: "Model", layers: Sequence[str]) -> Score:
    """Scores a frame by half the mean squared activation of a layer.

    That is the 2015 objective over the layer's size, so that clips of different sizes compare. Of
    several layers it is the geometric mean, as each is to count by how many times over it grows.

    Args:
      model: The network.
      layers: Names of its layers, at least one.

    Raises:
      UnknownNameError: There is no such layer. The score raises DreamError for a frame that is too
        small for the network.
    """
    import jax.numpy as jnp  # here, since all other figures need no JAX

    for layer in layers:
        model.layer(layer)

    def score(frame: np.ndarray) -> float:
        seen = model.activations(jnp.asarray(frame, jnp.float32) / 255, tuple(layers))
        energies = [0.5 * float(jnp.mean(seen[layer] ** 2)) for layer in layers]
        return math.prod(energies) ** (1 / len(energies))

    return score


def choose_reference(count: int, wanted: int | None = None) -> int:
    """The frame to compare others with: the one wanted, or REFERENCE, or a short clip's middle.

    Raises:
      MediaError: The clip has no frames.
      OptionError: It has not the one wanted.
    """
    if count == 0:
        raise MediaError("a clip of no frames has no figures: name one that has some")
    if wanted is None:
        return REFERENCE if count > REFERENCE else count // 2
    if not 0 <= wanted < count:
        raise OptionError("--reference", f"is {wanted}: the clip has frames 0 to {count - 1}")
    return wanted


def summary(measured: Sequence[FrameFigures], reference: int) -> Summary:
    """Sums up the figures of a clip's frames from number `reference` on."""
    base, rest = measured[reference], measured[reference:]
    energies = [_ratio(f.high_frequency, base.high_frequency) for f in rest]
    objectives = [
        _ratio(f.objective, base.objective)
        for f in rest
        if f.objective is not None and base.objective is not None
    ]
    neighbours = [f.neighbour_psnr for f in measured if f.neighbour_psnr is not None]
    return Summary(
        frames=len(measured),
        reference=reference,
        brightness_drift=max(abs(f.brightness - base.brightness) for f in rest),
        chroma_drift=max(math.hypot(f.cb - base.cb, f.cr - base.cr) for f in rest),
        high_frequency_low=min(energies),
        high_frequency_high=max(energies),
        objective_low=min(objectives, default=None),
        clipped=max(f.clipped for f in rest),
        loop_psnr=measured[-1].first_psnr,
        neighbour_psnr=median(neighbours) if neighbours else None,
    )


def _ratio(value: float, base: float) -> float:
    if base > NOTHING:
        return value / base
    return math.inf if value > NOTHING else 1.0
