from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dreamvid.models.layers import Conv, LocalResponseNorm, Padding, max_pool, padding_of

PADDINGS: tuple[Padding, ...] = ("same", "symmetric", "ceil")


def windows(x: np.ndarray, kernel: int, stride: int, padding: Padding, fill: float) -> np.ndarray:
    """(h, w, c) -> (h', w', c, kernel, kernel)."""
    pads = [padding_of(padding, side, kernel, stride) for side in x.shape[:2]]
    padded = np.pad(x, [*pads, (0, 0)], constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (0, 1))[
        ::stride, ::stride
    ]


@pytest.mark.parametrize(
    ("padding", "size", "kernel", "stride", "outputs"),
    [
        # TensorFlow: ceil(size / stride).
        ("same", 224, 7, 2, 112),
        ("same", 225, 7, 2, 113),
        ("same", 1, 3, 2, 1),
        # PyTorch, with its default of rounding down.
        ("symmetric", 224, 7, 2, 112),
        ("symmetric", 112, 3, 2, 56),
        ("symmetric", 1, 3, 2, 1),
        # Caffe's pools round up: 112 -> 56 -> 28 -> 14 -> 7 in GoogLeNet.
        ("ceil", 112, 3, 2, 56),
        ("ceil", 56, 3, 2, 28),
        ("ceil", 14, 3, 2, 7),
        ("ceil", 2, 3, 2, 1),
        ("ceil", 1, 3, 2, 1),
    ],
)
def test_sizes_are_those_of_the_frameworks(
    padding: Padding, size: int, kernel: int, stride: int, outputs: int
):
    before, after = padding_of(padding, size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == outputs


def test_same_padding_is_jaxs():
    for size, kernel, stride in product((1, 2, 9, 10), (1, 3, 7), (1, 2)):
        ours = padding_of("same", size, kernel, stride)
        assert [ours] == jax.lax.padtype_to_pads([size], [kernel], [stride], "SAME")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("shape", [(9, 12, 2), (2, 7, 1), (1, 1, 3)])
def test_max_pool_is_the_maximum_of_each_window(
    padding: Padding, stride: int, shape: tuple[int, int, int]
):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = windows(x, 3, stride, padding, -np.inf).max((-1, -2))
    np.testing.assert_array_equal(max_pool(jnp.asarray(x[None]), 3, stride, padding)[0], expected)


def test_where_positions_tie_one_takes_the_whole_gradient():
    flat = jnp.ones((1, 8, 8, 1))
    gradient = jax.grad(lambda x: max_pool(x, 3, 2, "symmetric").sum())(flat)
    assert gradient.sum() == 16
    assert set(np.unique(gradient)) <= {0.0, 1.0, 2.0, 4.0}


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_convolution_is_a_sum_over_windows(size: int):
    conv = Conv((size, size), 3, 4, rngs=nnx.Rngs(0))
    conv.bias[...] = jnp.arange(4.0)
    x = np.random.default_rng(1).standard_normal((6, 7, 3)).astype(np.float32)
    patches = windows(x, size, 1, "symmetric", 0.0)
    expected = np.einsum("hwiyx,yxio->hwo", patches, conv.kernel[...]) + np.arange(4)
    np.testing.assert_allclose(conv(jnp.asarray(x[None]))[0], expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_few_channels_of_three_colours_are_as_among_many(stride: int):
    few, many = (
        Conv((3, 3), 3, channels, stride=stride, rngs=nnx.Rngs(0)) for channels in (32, 64)
    )
    few.kernel[...] = many.kernel[...][..., :32]
    x = jnp.asarray(np.random.default_rng(1).standard_normal((1, 9, 8, 3), np.float32))
    np.testing.assert_allclose(few(x), many(x)[..., :32], rtol=1e-5, atol=1e-5)
    slopes = [jax.grad(lambda x: (conv(x)[..., :32] ** 2).sum())(x) for conv in (few, many)]  # noqa: B023
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-4)


def test_local_response_norm_is_its_formula():
    norm = LocalResponseNorm(radius=2, bias=1.5, alpha=0.1, beta=0.75)
    x = np.random.default_rng(2).standard_normal((3, 4, 7)).astype(np.float32)
    expected = np.empty_like(x)
    for c in range(7):
        near = x[..., max(c - 2, 0) : c + 3]
        expected[..., c] = x[..., c] / (1.5 + 0.1 * (near**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(norm(jnp.asarray(x[None]))[0], expected, rtol=1e-5)
