"""From a gradient to the change of a step: how it is normalised, and what is remembered of others.

Both are chosen by name, which shapes the compiled program; the numbers they are called with may be
traced. All of it jits and vmaps, and a gradient's scale does not matter: only its direction does.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp

from dreamvid.registry import Registry
from dreamvid.types import Image

FAINTEST = float(jnp.finfo(jnp.float32).tiny)
"""A mean gradient below this is none at all: dividing by it would blow up rounding errors."""
FLATTEST = 1e-5
"""A deviation below this share of the mean gradient is none, for the same reason."""

State: TypeAlias = Any
"""What an optimizer remembers from step to step: a pytree."""


class Normalise(Protocol):
    """How a gradient becomes a direction."""

    def __call__(self, gradient: Image, index: jax.Array | int, count: jax.Array | int, /) -> Image:
        """The direction of a step.

        Args:
          gradient: float32 (h, w, 3), of any scale, at least 5 pixels high and wide.
          index: The step's number in its octave, from 0 on.
          count: Steps of the octave.

        Returns:
          float32 (h, w, 3), of about unit size; zeros where the gradient is zero, or is not finite.
        """
        ...


class Optimizer(Protocol):
    """What the steps of an octave make of their directions."""

    def begin(self, image: Image) -> State:
        """What it remembers before the first step on a picture, float32 (h, w, 3)."""
        ...

    def update(self, direction: Image, state: State) -> tuple[Image, State]:
        """The change of a step.

        Args:
          direction: float32 (h, w, 3), of about unit size.
          state: What it remembers.

        Returns:
          float32 (h, w, 3), of about unit size, and what it remembers from now on.
        """
        ...


GRADIENTS: Registry[Normalise] = Registry("gradient")
"""How a gradient can be normalised, by name."""
OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
"""What can be made of directions, by name."""


# --- Normalised ---


@GRADIENTS.register("mean")
def over_mean(gradient: Image, index: jax.Array | int, count: jax.Array | int) -> Image:
    """By the mean of its absolute values. Source: google/deepdream, `dream.ipynb`, 2015."""
    return _over(gradient, jnp.mean(jnp.abs(gradient)), FAINTEST)


@GRADIENTS.register("std")
def over_deviation(gradient: Image, index: jax.Array | int, count: jax.Array | int) -> Image:
    """By its standard deviation; zeros if it is flat. Source: TensorFlow's DeepDream tutorial."""
    even = over_mean(gradient, index, count)
    return _over(even, jnp.std(even), FLATTEST)


@GRADIENTS.register("smooth")
@jax.jit
def smoothed(gradient: Image, index: jax.Array | int, count: jax.Array | int) -> Image:
    """Blurred by three Gaussians, more with each step, and then brought to mean 0 and deviation 1.

    Zeros if it is flat once it is blurred. Source: gordicaleksa/pytorch-deepdream,
    `CascadeGaussianSmoothing`; the deviation is the unbiased one, PyTorch's.
    """
    # Planes, over whose long rows the sums take half the time.
    planes = jnp.moveaxis(over_mean(gradient, index, count), 2, 0)
    kernels = _gaussians((index + 1) / count * 2.0 + 0.5)
    blurred = sum(_blur(_blur(planes, kernel, 1), kernel, 2) for kernel in kernels)
    smooth = jnp.moveaxis(blurred / len(kernels), 0, 2)
    return _over(smooth - jnp.mean(smooth), jnp.std(smooth, ddof=1), FLATTEST)


@GRADIENTS.register("laplacian")
@jax.jit
def scale_by_scale(gradient: Image, index: jax.Array | int, count: jax.Array | int) -> Image:
    """Each level of its Laplacian pyramid by that level's root mean square.

    So coarse shapes grow as strongly as fine ones. Source: TensorFlow's
    `examples/tutorials/deepdream/deepdream.ipynb`, `lap_normalize`, 2016.
    """
    low, levels = over_mean(gradient, index, count), []
    for _ in range(LEVELS):
        lower = _halve(low)
        levels.append(low - _double(lower, low))
        low = lower
    merged = _over_rms(low)
    for level in reversed(levels):
        merged = _double(merged, level) + _over_rms(level)
    return merged


def _over(values: Image, size: jax.Array, least: float) -> Image:
    """Divided by their size; zeros where that is not finite, or too little to divide by."""
    usable = jnp.isfinite(size) & (size >= least)
    return jnp.where(usable, values / jnp.where(usable, size, 1.0), 0.0)


def _over_rms(values: Image) -> Image:
    return values / jnp.maximum(jnp.sqrt(jnp.mean(values**2)), 1e-10)


REACH = 4
"""Pixels to either side that a Gaussian reaches, however wide it is."""
LEVELS = 4
"""Times that the Laplacian pyramid halves the picture."""
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""The kernel of the Laplacian pyramid, along each axis."""


def _gaussians(deviation: jax.Array | float) -> jax.Array:
    """Kernels of half a deviation in pixels, of it and of twice it: float32 (3, 2 * REACH + 1)."""
    deviations = deviation * jnp.array([[0.5], [1.0], [2.0]], jnp.float32)
    weights = jnp.exp(-0.5 * (jnp.arange(-REACH, REACH + 1) / deviations) ** 2)
    return weights / weights.sum(1, keepdims=True)


def _blur(planes: jax.Array, kernel: jax.Array, axis: int) -> jax.Array:
    """Planes (3, h, w) under a kernel of that reach, mirrored at the outermost pixels."""
    margins = [(REACH, REACH) if a == axis else (0, 0) for a in range(3)]
    return _weigh(jnp.pad(planes, margins, "reflect"), kernel, axis)


def _halve(image: Image) -> Image:
    """The next lower level, with zeros outside: (h, w, 3) -> (ceil(h / 2), ceil(w / 2), 3)."""
    for axis in (0, 1):
        # TensorFlow's "SAME": where the zeros cannot be shared evenly, more of them come last.
        padded = _pad(image, axis, 1 + image.shape[axis] % 2, 2)
        image = _weigh(padded, BINOMIAL, axis, stride=2)
    return image


def _double(lower: Image, like: Image) -> Image:
    """The level below at the size of another: the adjoint of `_halve`, as strong as before."""
    for axis in (0, 1):
        padded = _pad(lower, axis, 3 - like.shape[axis] % 2, 2, between=1)
        lower = 2 * _weigh(padded, BINOMIAL, axis)
    return lower


def _pad(image: Image, axis: int, before: int, after: int, between: int = 0) -> Image:
    margins = [(before, after, between) if a == axis else (0, 0, 0) for a in range(3)]
    return jax.lax.pad(image, jnp.zeros((), image.dtype), margins)


def _weigh(
    padded: jax.Array, kernel: jax.Array | tuple[float, ...], axis: int, stride: int = 1
) -> jax.Array:
    """Sums of neighbours along an axis, weighted by a symmetric kernel; none past the ends.

    Not a convolution, which takes ten times as long on a CPU and has fewer digits on a GPU.
    """
    reach = len(kernel) // 2
    end = padded.shape[axis] - 2 * reach
    taps = [jax.lax.slice_in_dim(padded, i, i + end, stride, axis) for i in range(len(kernel))]
    sides = (kernel[i] * (taps[i] + taps[-1 - i]) for i in range(reach))
    return sum(sides, kernel[reach] * taps[reach])


# --- Remembered ---


@dataclass(frozen=True)
class Plain:
    """Nothing is remembered: the direction is the change, as in 2015."""

    def begin(self, image: Image) -> State:
        """Nothing."""
        return ()

    def update(self, direction: Image, state: State) -> tuple[Image, State]:
        """The direction itself."""
        return direction, state


class Mean(NamedTuple):
    """What momentum remembers."""

    steps: jax.Array
    """int32 scalar: those so far."""
    mean: jax.Array
    """float32 (h, w, 3): the running mean of the directions."""


@dataclass(frozen=True)
class Momentum:
    """A running mean of the directions, in which what they agree on prevails.

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods", each
    direction weighted so that the weights add up to 1 and the change stays of unit size.
    """

    decay: float = 0.9
    """The share of the mean that a step leaves."""

    def begin(self, image: Image) -> State:
        """The mean, of nothing yet."""
        return Mean(jnp.zeros((), jnp.int32), jnp.zeros_like(image))

    def update(self, direction: Image, state: State) -> tuple[Image, State]:
        """The mean, moved towards the direction, freed of the zeros that it began with."""
        steps = state.steps + 1
        mean = self.decay * state.mean + (1.0 - self.decay) * direction
        return mean / _filled(self.decay, steps), Mean(steps, mean)


class Moments(NamedTuple):
    """What Adam remembers."""

    steps: jax.Array
    """int32 scalar: those so far."""
    mean: jax.Array
    """float32 (h, w, 3): the running mean of the directions."""
    square: jax.Array
    """float32 (h, w, 3): the running mean of their squares."""


@dataclass(frozen=True)
class Adam:
    """Each value moves by about one, the less the more its directions have differed.

    Source: Kingma & Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.
    """

    decay: float = 0.9
    """The share of the mean that a step leaves."""
    decay_square: float = 0.999
    """The share of the mean square that a step leaves."""
    epsilon: float = 1e-8
    """Added to the root mean square, which may be zero."""

    def begin(self, image: Image) -> State:
        """Means of nothing yet."""
        return Moments(jnp.zeros((), jnp.int32), jnp.zeros_like(image), jnp.zeros_like(image))

    def update(self, direction: Image, state: State) -> tuple[Image, State]:
        """The mean over the root mean square, both freed of the zeros that they began with."""
        steps = state.steps + 1
        mean = self.decay * state.mean + (1.0 - self.decay) * direction
        square = self.decay_square * state.square + (1.0 - self.decay_square) * direction**2
        unbiased = mean / _filled(self.decay, steps)
        deviation = jnp.sqrt(square / _filled(self.decay_square, steps))
        return unbiased / (deviation + self.epsilon), Moments(steps, mean, square)


def _filled(decay: float, steps: jax.Array) -> jax.Array:
    """The share of a running mean that does not come from the zero it began with."""
    # Not 1 - decay**steps, of which float32 keeps four digits.
    return -jnp.expm1(steps * math.log(decay))


OPTIMIZERS.register("plain")(Plain())
OPTIMIZERS.register("momentum")(Momentum())
OPTIMIZERS.register("adam")(Adam())
