"""The few operations an Inception is made of, in the forms that are quick on a CPU too."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

Padding: TypeAlias = Literal["same", "symmetric", "ceil", "none"]
"""How a window meets the border.

"same": TensorFlow's; ceil(size / stride) outputs, the odd pixel of padding at the end.
"symmetric": kernel // 2 on both sides; PyTorch's usual.
"ceil": Caffe's pooling; none at the start, at the end whatever a last, partial window needs.
"none": only whole windows, called VALID elsewhere.
"""


def padding_of(kind: Padding, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels to pad before and after an axis of `size` pixels."""
    if kind == "none":
        return 0, 0
    if kind == "symmetric":
        return kernel // 2, kernel // 2
    if kind == "same":
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2
    # At least one window, so that a map of one pixel still has an output.
    outputs = max(-(-(size - kernel) // stride) + 1, 1)
    return 0, max((outputs - 1) * stride + kernel - size, 0)


class Conv(nnx.Module):
    """A convolution with bias over (n, h, w, c); `kernel` is HWIO."""

    def __init__(
        self,
        size: tuple[int, int],
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        padding: Padding = "symmetric",
        rngs: nnx.Rngs,
    ):
        shape = (*size, channels_in, channels_out)
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(channels_out))
        self.stride = stride
        self.padding: Padding = padding

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, h', w', c')."""
        kernel = self.kernel[...]
        if kernel.shape[:2] == (1, 1) and self.stride == 1:
            # A matrix product: at full width the CPU is quicker at it than at the convolution.
            return jnp.einsum("nhwi,io->nhwo", x, kernel[0, 0]) + self.bias[...]
        stride, sides = self.stride, zip(x.shape[1:3], kernel.shape[:2], strict=True)
        pads = [padding_of(self.padding, side, size, stride) for side, size in sides]
        y = jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + self.bias[...]


class Head(nnx.Module):
    """A classifier: the mean over all positions, and one matrix; `kernel` is (inputs, classes)."""

    def __init__(self, channels: int, classes: int, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jnp.zeros((channels, classes)))
        self.bias = nnx.Param(jnp.zeros(classes))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, 1, 1, classes), the logarithms of odds."""
        return x.mean((1, 2), keepdims=True) @ self.kernel[...] + self.bias[...]


def max_pool(x: jax.Array, kernel: int, stride: int, padding: Padding) -> jax.Array:
    """Max-pool of (n, h, w, c), as a maximum of shifted slices along one axis and then the other.

    On a CPU that makes a whole step of the ascent 2.5 times as quick as with `reduce_window` and
    its select-and-scatter gradient (measured on two cores, 640x360 to mixed4c).
    Where several positions tie, one of them takes the whole gradient, as in Caffe, TensorFlow and
    PyTorch; `jnp.maximum` would share it, which shows on flat pictures.
    """
    for axis in (1, 2):
        slices = _slices(x, axis, kernel, stride, padding, fill=-jnp.inf)
        x = reduce(lambda best, new: jnp.where(new > best, new, best), slices)
    return x


def average_pool(
    x: jax.Array, kernel: int, stride: int, padding: Padding, count_padding: bool
) -> jax.Array:
    """Average-pool of (n, h, w, c), as a sum of shifted slices along one axis and then the other.

    Args:
      x: float32 (n, h, w, c).
      kernel: Side of the window.
      stride: From one window to the next.
      padding: How windows meet the border.
      count_padding: Whether padded zeros count in the mean, as in PyTorch, or not, as in
        TensorFlow.
    """

    def total(x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            x = reduce(operator.add, _slices(x, axis, kernel, stride, padding, fill=0.0))
        return x

    if count_padding:
        return total(x) / (kernel * kernel)
    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def _slices(
    x: jax.Array, axis: int, kernel: int, stride: int, padding: Padding, fill: float
) -> Iterator[jax.Array]:
    """The first value of each window along an axis, the second, and so on."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = padding_of(padding, x.shape[axis], kernel, stride)
    padded = jnp.pad(x, pads, constant_values=fill)
    outputs = (padded.shape[axis] - kernel) // stride + 1
    for first in range(kernel):
        last = first + (outputs - 1) * stride + 1
        yield jax.lax.slice_in_dim(padded, first, last, stride, axis)


@dataclass(frozen=True)
class LocalResponseNorm:
    """x / (bias + alpha * sum of x^2 over the 2 * radius + 1 nearest channels) ** beta.

    Source: Krizhevsky et al. 2012, section 3.3, in TensorFlow's parameters. Caffe divides its alpha
    by the number of channels summed.
    """

    radius: int
    bias: float
    alpha: float
    beta: float

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, h, w, c)."""
        channel = np.arange(x.shape[-1])
        near = abs(channel[:, None] - channel) <= self.radius
        total = jnp.einsum("nhwi,io->nhwo", x * x, near.astype(np.float32))
        return x * (self.bias + self.alpha * total) ** -self.beta
