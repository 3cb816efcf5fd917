"""Footage whose motion is known to the pixel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dreamvid.fields import Size

SIZE = Size(192, 128)
WAVES = 64
"""Of so many a texture is made."""
WAVELENGTHS = (5.0, 80.0)
"""The shortest and the longest, in pixels: something to hold on to at every scale of a search."""

Pair = tuple[float, float]
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Colours at columns (w,) and rows (h,), whole or not: float (h, w, 3), about 20 to 235."""


@dataclass(frozen=True)
class Scene:
    """A textured disc that moves over a textured background, which moves too.

    Attributes:
      pictures: uint8 (frames, h, w, 3) RGB.
      flow: float32 (frames, h, w, 2), (dx, dy) in pixels: from a frame's pixel to where the same
        thing was in the frame before. 0 in the first frame of a shot.
      hidden: bool (frames, h, w): not to be seen in the frame before, since the disc lay over it,
        it was out of the frame, or the shot begins.
      disc: bool (frames, h, w): wholly of the disc.
      ground: bool (frames, h, w): wholly of the background.
    """

    pictures: np.ndarray
    flow: np.ndarray
    hidden: np.ndarray
    disc: np.ndarray
    ground: np.ndarray


def moving_scene(
    frames: int = 4,
    size: Size = SIZE,
    velocity: Pair = (3.0, -1.5),
    pan: Pair = (-0.6, 0.35),
    noise: float = 0.0,
    cut: int | None = None,
    seed: int = 0,
) -> Scene:
    """Films a disc, which passes the middle half-way through its shot.

    Its textures are sums of waves, which are exact at any fraction of a pixel.

    Args:
      frames: How many.
      size: Of the pictures.
      velocity: (x, y) of the disc, in pixels a frame.
      pan: (x, y) of the background, in pixels a frame.
      noise: Standard deviation of what the camera adds anew to each frame, in levels.
      cut: The frame that begins a second shot of another disc and another background.
      seed: Of the textures and the noise.
    """
    rng = np.random.default_rng(seed)
    shots = [(0, frames)] if cut is None else [(0, cut), (cut, frames)]
    made = [_shot(rng, last - first, size, velocity, pan) for first, last in shots]
    scene = [np.concatenate(parts) for parts in zip(*made, strict=True)]
    levels = scene[0] + noise * rng.standard_normal(scene[0].shape)
    return Scene(np.clip(np.round(levels), 0, 255).astype(np.uint8), *scene[1:])


def _shot(
    rng: np.random.Generator, frames: int, size: Size, velocity: Pair, pan: Pair
) -> tuple[np.ndarray, ...]:
    face, ground = _texture(rng), _texture(rng)
    columns, rows = np.arange(size.width), np.arange(size.height)
    shape = (frames, size.height, size.width)
    levels = np.empty((*shape, 3))
    flow = np.zeros((*shape, 2), np.float32)
    hidden = np.ones(shape, bool)
    covered = np.empty(shape)
    for frame in range(frames):
        moved = np.multiply(velocity, frame)
        panned = np.multiply(pan, frame)
        covered[frame] = _disc(size, velocity, frame - (frames - 1) / 2)(columns, rows)
        over = covered[frame][..., None]
        levels[frame] = over * face(columns - moved[0], rows - moved[1])
        levels[frame] += (1 - over) * ground(columns - panned[0], rows - panned[1])
        if frame:
            on_disc = covered[frame] >= 0.5
            flow[frame] = -np.where(on_disc[..., None], velocity, pan)
            before = _disc(size, velocity, frame - 1 - (frames - 1) / 2)
            uncovered = before(columns - pan[0], rows - pan[1]) >= 0.5
            x, y = columns + flow[frame, ..., 0], rows[:, None] + flow[frame, ..., 1]
            inside = (x >= 0) & (x <= size.width - 1) & (y >= 0) & (y <= size.height - 1)
            hidden[frame] = ~inside | (uncovered & ~on_disc)
    return levels, flow, hidden, covered == 1, covered == 0


def _texture(rng: np.random.Generator) -> Texture:
    low, high = np.log(WAVELENGTHS)
    length = np.exp(rng.uniform(low, high, WAVES))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
    x, y = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length
    strength = np.sqrt(length)[:, None] * rng.uniform(0.3, 1, (WAVES, 3))
    strength *= 38 * np.sqrt(2 / np.square(strength).sum(0))
    middle = rng.uniform(110, 146, 3)

    def texture(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        # cos(x + y) = Re(exp(ix) exp(iy)): one product of matrices for all waves and pixels.
        across = np.exp(1j * x[:, None] * columns)
        down = np.exp(1j * (y[:, None] * rows + phase[:, None]))
        channels = [(down * strength[:, c, None]).T @ across for c in range(3)]
        return middle + np.real(np.stack(channels, -1))

    return texture


def _disc(size: Size, velocity: Pair, moment: float) -> Callable[..., np.ndarray]:
    """How much of each pixel the disc covers, so many frames after it passed the middle."""
    radius = 0.28 * min(size.width, size.height)
    x = (size.width - 1) / 2 + velocity[0] * moment
    y = (size.height - 1) / 2 + velocity[1] * moment

    def covered(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        away = np.hypot(columns - x, rows[:, None] - y)
        return np.clip(radius + 0.5 - away, 0, 1)

    return covered
