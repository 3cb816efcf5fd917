"""The few operations an Inception is made of, in the forms that are quick on a CPU too."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
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
        rngs: nnx.Rngs | None,
    ):
        shape = (*size, channels_in, channels_out)
        if rngs is None:  # it will be filled from a file
            self.kernel = nnx.Param(jnp.zeros(shape))
        else:
            self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(channels_out))
        self.stride = stride
        self.padding: Padding = padding

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, h', w', c')."""
        kernel = self.kernel[...]
        if kernel.shape[:2] == (1, 1) and self.stride == 1:
            # A matrix product: at full width the CPU is quicker at it than at the convolution.
            return jax.lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ()))) + self.bias[...]
        stride, sides = self.stride, zip(x.shape[1:3], kernel.shape[:2], strict=True)
        pads = [padding_of(self.padding, side, size, stride) for side, size in sides]
        convolve = _plain if stride == 1 else _strided
        return convolve(x, kernel, stride, tuple(pads)) + self.bias[...]


Pads: TypeAlias = tuple[tuple[int, int], ...]
"""Pixels before and after the rows, and the columns."""


def _plain(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """(n, h, w, c) with a kernel HWIO -> (n, h', w', c')."""
    if kernel.shape[2] == 3 and kernel.shape[3] < 48:
        # With a fourth colour, of zeros: of three XLA makes few channels up to ten times as slowly
        # on a CPU (measured on two cores, 7x7, 640x360 to 32 channels: 22 ms, and 7 so).
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0)))
    sides = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=sides)


_strided = jax.custom_vjp(_plain, nondiff_argnums=(2, 3))
"""A convolution with a stride, whose gradient is ours.

XLA's own convolves a map with as many zeros between its values, for which CPUs have no quick
program (measured on two cores, of a network's first convolution at 640x360: 41 ms, ours 6).
"""


def _strided_forward(
    x: jax.Array, kernel: jax.Array, stride: int, pads: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _plain(x, kernel, stride, pads), (x, kernel)


def _strided_back(
    stride: int, pads: Pads, taken: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = taken
    (for_x,) = jax.vjp(lambda x: _in_blocks(x, kernel, stride, pads), x)[1](gradient)
    (for_kernel,) = jax.vjp(lambda kernel: _plain(x, kernel, stride, pads), kernel)[1](gradient)
    return for_x, for_kernel


_strided.defvjp(_strided_forward, _strided_back)


def _in_blocks(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """The same convolution without a stride: over blocks of stride x stride pixels as channels.

    The columns under a window are channels too, so that the products are of a good size where the
    pixels have few channels. Source: the space-to-depth stem of Ying et al. 2018, "Image
    Classification at Supercomputer Scale".
    """
    taps = [-(-size // stride) for size in kernel.shape[:2]]
    around = []
    for side, size, tap, (before, after) in zip(
        x.shape[1:3], kernel.shape[:2], taps, pads, strict=True
    ):
        outputs = (before + side + after - size) // stride + 1
        # Below 0 where no window reaches the last positions: they are cut off.
        around.append((before, (outputs - 1 + tap) * stride - before - side, 0))
    x = jax.lax.pad(x, x.dtype.type(0), [(0, 0, 0), *around, (0, 0, 0)])
    n, height, width, channels = x.shape
    x = x.reshape(n, height // stride, stride, width // stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, height // stride, width // stride, -1)
    columns = x.shape[2] - taps[1] + 1
    x = jnp.concatenate([x[:, :, i : i + columns] for i in range(taps[1])], axis=-1)
    rest = [(0, tap * stride - size) for tap, size in zip(taps, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, [*rest, (0, 0), (0, 0)])
    kernel = kernel.reshape(taps[0], stride, taps[1], stride, channels, -1)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(taps[0], 1, -1, kernel.shape[-1])
    return _plain(x, kernel, 1, ((0, 0), (0, 0)))


def rectified(x: jax.Array) -> jax.Array:
    """ReLU; where it is 0, so is its gradient.

    `jax.nn.relu` in the fewest operations: a network has fifty, traced anew for each octave.
    """
    nothing = jnp.zeros_like(x)
    return jax.lax.select(jax.lax.le(x, nothing), nothing, x)


class Head(nnx.Module):
    """A classifier: the mean over all positions, and one matrix; `kernel` is (inputs, classes)."""

    def __init__(self, channels: int, classes: int):
        self.kernel = nnx.Param(jnp.zeros((channels, classes)))
        self.bias = nnx.Param(jnp.zeros(classes))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, 1, 1, classes), the logarithms of odds."""
        return x.mean((1, 2), keepdims=True) @ self.kernel[...] + self.bias[...]


def max_pool(x: jax.Array, kernel: int, stride: int, padding: Padding) -> jax.Array:
    """Max-pool of (n, h, w, c), as a maximum of shifted slices along one axis and then the other.

    Where several positions tie, the first of them in reading order takes the whole gradient, as in
    Caffe, TensorFlow and PyTorch; `jnp.maximum` would share it, which shows on flat pictures.
    """
    for axis in (2, 1):
        size = x.shape[axis]
        x = _max_along(x, axis, size, kernel, stride, padding_of(padding, size, kernel, stride))
    return x


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5))
def _max_along(
    x: jax.Array, axis: int, size: int, kernel: int, stride: int, pads: tuple[int, int]
) -> jax.Array:
    """The greatest value of each window along an axis of `size` positions.

    Its gradient is ours, since it is most of a pool's time: it gathers, for each position, from the
    few windows that may have chosen it, where `reduce_window` scatters and slices add up padded
    copies (measured on two cores, of a map of 180x320x64: 3 ms for both passes, 68 and 16 ms).
    """
    return _chosen_along(x, axis, size, kernel, stride, pads)[0]


def _chosen_along(
    x: jax.Array, axis: int, size: int, kernel: int, stride: int, pads: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """The greatest value of each window, and its place in there: int8."""
    slices = _slices(x, axis, kernel, stride, pads, fill=-jnp.inf)
    best = next(slices)
    place = jnp.zeros(best.shape, jnp.int8)
    for index, value in enumerate(slices, start=1):
        better = jax.lax.gt(value, best)
        place = jax.lax.select(better, jnp.full(best.shape, index, jnp.int8), place)
        best = jax.lax.select(better, value, best)
    return best, place


def _shared_along(
    axis: int,
    size: int,
    kernel: int,
    stride: int,
    pads: tuple[int, int],
    place: jax.Array,
    gradient: jax.Array,
) -> tuple[jax.Array]:
    """The gradient of each window handed to the position that it chose."""
    before, _ = pads
    windows = gradient.shape[axis]
    blocks = -(-(before + size) // stride)
    zero = gradient.dtype.type(0)
    nothing = jnp.zeros_like(gradient)
    parts = []
    for phase in range(stride):
        # Position `phase` of block b is at place i in the window that begins (i - phase) / stride
        # blocks earlier.
        total = None
        for index in range(phase, kernel, stride):
            later = (index - phase) // stride
            edges = [(0, 0, 0)] * gradient.ndim
            edges[axis] = (later, blocks - windows - later, 0)
            given = jax.lax.select(place == index, gradient, nothing)
            given = jax.lax.pad(given, zero, edges)
            total = given if total is None else total + given
        parts.append(total)
    shape = list(gradient.shape)
    shape[axis] = blocks * stride
    whole = jnp.stack(parts, axis + 1).reshape(shape)
    return (jax.lax.slice_in_dim(whole, before, before + size, axis=axis),)


_max_along.defvjp(_chosen_along, _shared_along)


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
            pads = padding_of(padding, x.shape[axis], kernel, stride)
            x = reduce(operator.add, _slices(x, axis, kernel, stride, pads, fill=0.0))
        return x

    if count_padding:
        return total(x) / (kernel * kernel)
    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def _slices(
    x: jax.Array, axis: int, kernel: int, stride: int, pads: tuple[int, int], fill: float
) -> Iterator[jax.Array]:
    """The first value of each window along an axis, the second, and so on."""
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (*pads, 0)
    padded = jax.lax.pad(x, x.dtype.type(fill), edges)
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
