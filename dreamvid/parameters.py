"""How a picture is made from free numbers, so that an ascent on these finds it from noise.

What they are decides which way is short for an ascent: on pixels that is static, on waves that are
scaled as in photographs it is forms of every size.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.registry import Registry
from dreamvid.types import Image

Params: TypeAlias = Any
"""The free numbers: a pytree of float32."""

DEVIATION = 0.01
"""Of the free numbers at the start."""

_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
"""Square root of the correlation of red, green and blue in ImageNet: what makes of three unrelated
numbers a colour as photographs have them. Source: lucid, `optvis/param/color.py`."""
_AS_LUCID = 0.1
"""Cycles a pixel: waves of this length have lucid's size, whatever the slope."""
_TO_RGB = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()


class Parameters(Protocol):
    """A way to make pictures from free numbers."""

    def begin(self, key: jax.Array, height: int, width: int) -> Params:
        """The free numbers of a picture of faint noise."""
        ...

    def picture(self, params: Params, height: int, width: int) -> Image:
        """The picture that they stand for: float32 (height, width, 3) in [0, 1]."""
        ...


PARAMETERS: Registry[Parameters] = Registry("parameters")
"""Name -> way to make a picture."""


@dataclass(frozen=True)
class Pixel:
    """The pixels themselves. Source: lucid, `param/spatial.py`, `pixel_image`."""

    def begin(self, key: jax.Array, height: int, width: int) -> Params:
        """See `Parameters`: (height, width, 3)."""
        return DEVIATION * jax.random.normal(key, (height, width, 3))

    def picture(self, params: Params, height: int, width: int) -> Image:
        """See `Parameters`."""
        return to_rgb(params)


@dataclass(frozen=True)
class Fourier:
    """The waves of its spectrum, each the larger the longer it is, as in photographs.

    The picture goes on at its right where it began at its left, and below as above.
    Source: lucid, `param/spatial.py`, `fft_image`, with two changes of our own. With both, 128
    steps bring channels of mixed4c and mixed5b to 0.93 of what 512 bring them to without, instead
    of to 0.89, and with a tenth of its power in waves beyond 0.35 cycles a pixel (measured).
    """

    slope: float = 1.25
    """Power of the length by which waves are larger; lucid's is 1, which is greyer."""
    finest: float = 0.4
    """Cycles a pixel from which waves are held back: networks with strides dream of a halftone."""

    def begin(self, key: jax.Array, height: int, width: int) -> Params:
        """See `Parameters`: real and imaginary part, (2, height, width // 2 + 1, 3)."""
        return DEVIATION * jax.random.normal(key, (2, height, width // 2 + 1, 3))

    def picture(self, params: Params, height: int, width: int) -> Image:
        """See `Parameters`."""
        y, x = np.fft.fftfreq(height)[:, None, None], np.fft.rfftfreq(width)[None, :, None]
        frequency = np.maximum(np.hypot(y, x), 1.0 / max(height, width))
        scale = (frequency / _AS_LUCID) ** -self.slope / _AS_LUCID * math.sqrt(height * width) / 4.0
        scale *= np.exp(-((frequency / self.finest) ** 4))
        waves = scale.astype(np.float32) * jax.lax.complex(params[0], params[1])
        return to_rgb(jnp.fft.irfft2(waves, (height, width), (0, 1)))


@dataclass(frozen=True)
class Laplacian:
    """A sum of pictures, each of half the size of the one before, enlarged.

    Source: lucid, `optvis/param/lowres.py`, `lowres_tensor`; Burt and Adelson
    1983, "The Laplacian pyramid as a compact image code".
    """

    levels: int = 4

    def begin(self, key: jax.Array, height: int, width: int) -> Params:
        """See `Parameters`: (height / 2**n, width / 2**n, 3) for each level n, rounded up."""
        shapes = [(-(-height // 2**n), -(-width // 2**n), 3) for n in range(self.levels)]
        keys = jax.random.split(key, self.levels)
        drawn = (jax.random.normal(*each) for each in zip(keys, shapes, strict=True))
        return tuple(DEVIATION * noise for noise in drawn)

    def picture(self, params: Params, height: int, width: int) -> Image:
        """See `Parameters`."""
        total = jnp.zeros((height, width, 3))
        for level in params:
            total += jax.image.resize(level, total.shape, "linear")
        return to_rgb(total)


PARAMETERS.register("fourier")(Fourier())
PARAMETERS.register("pixel")(Pixel())
PARAMETERS.register("laplacian")(Laplacian())


def to_rgb(values: jax.Array) -> Image:
    """Unbounded numbers (h, w, 3) without a relation -> RGB in [0, 1] with photographs' colours."""
    return jax.nn.sigmoid(jnp.einsum("hwc,rc->hwr", values, _TO_RGB, precision="highest"))
