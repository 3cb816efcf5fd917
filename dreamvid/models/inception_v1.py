"""Inception V1 (GoogLeNet): TensorFlow's, Caffe's, and one with its batch norm folded.

Source: Szegedy et al. 2014, "Going Deeper with Convolutions", table 1. Layers carry the names of
the TensorFlow network "inception5h".
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from dreamvid.errors import WeightsError
from dreamvid.models.layers import Conv, LocalResponseNorm, Padding, max_pool
from dreamvid.models.spec import ARCHITECTURES, LayerInfo, ModelSpec, Network
from dreamvid.registry import Registry
from dreamvid.types import Activations

STEM = ("conv2d0", "conv2d1", "conv2d2")
BLOCKS = tuple(f"mixed{b}" for b in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))
# Pixels of the image from one position of a layer to the next.
STRIDES = {"conv2d0": 2, "conv2d1": 4, "conv2d2": 4} | {
    name: {"3": 8, "4": 16, "5": 32}[name[len("mixed")]] for name in BLOCKS
}
# A block's convolutions, in the order of the widths in a spec ...
BRANCHES = ("1x1", "3x3_bottleneck", "3x3", "5x5_bottleneck", "5x5", "pool_reduce")
# ... and those whose outputs are the block's.
JOINED = ("1x1", "3x3", "5x5", "pool_reduce")


@dataclass(frozen=True)
class Family:
    """What differs between the published variants."""

    conv_padding: Padding
    pool_padding: Padding
    normalise: LocalResponseNorm | None


FAMILIES: Registry[Family] = Registry("family of inception_v1")
# inception5h: SAME padding everywhere.
FAMILIES.register("tf")(Family("same", "same", LocalResponseNorm(5, 2.0, 1e-4, 0.5)))
# bvlc_googlenet and its kin: explicit padding, pools that round up.
FAMILIES.register("caffe")(Family("symmetric", "ceil", LocalResponseNorm(2, 1.0, 1e-4 / 5, 0.75)))
# Trained with batch norm, which is folded into the kernels.
FAMILIES.register("folded")(Family("symmetric", "symmetric", None))


class Block(nnx.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(self, channels_in: int, widths: tuple[int, ...], padding: Padding, rngs: nnx.Rngs):
        width: dict[str, int] = dict(zip(BRANCHES, widths, strict=True))
        for branch in BRANCHES:
            kernel = int(branch[0]) if branch in ("3x3", "5x5") else 1
            before = width.get(f"{branch}_bottleneck", channels_in)
            conv = Conv(kernel, before, width[branch], padding=padding, rngs=rngs)
            # The branch's name as it stands in files and layers, though no Python identifier.
            setattr(self, branch, conv)

    def __call__(self, name: str, x: jax.Array, acts: Activations) -> jax.Array:
        """(n, h, w, c) -> (n, h, w, c'), adding every layer of the block `name` to `acts`."""

        def branch(kind: str, x: jax.Array) -> jax.Array:
            return rectify(f"{name}_{kind}", getattr(self, kind)(x), acts)

        branch("1x1", x)
        branch("3x3", branch("3x3_bottleneck", x))
        branch("5x5", branch("5x5_bottleneck", x))
        branch("pool_reduce", max_pool(x, 3, 1, "symmetric"))
        for state in ("_pre_relu", ""):
            joined = [acts[f"{name}_{kind}{state}"] for kind in JOINED]
            acts[name + state] = jnp.concatenate(joined, axis=-1)
        return acts[name]


@ARCHITECTURES.register("inception_v1")
class InceptionV1(Network):
    """The stem and nine blocks; a classifier's head is left out."""

    def __init__(self, spec: ModelSpec, rngs: nnx.Rngs):
        widths = dict(spec.widths)
        family = FAMILIES[spec.family]
        self.family = family
        self.conv2d0 = Conv(
            7, 3, *widths["conv2d0"], stride=2, padding=family.conv_padding, rngs=rngs
        )
        self.conv2d1 = Conv(1, *widths["conv2d0"], *widths["conv2d1"], rngs=rngs)
        self.conv2d2 = Conv(
            3, *widths["conv2d1"], *widths["conv2d2"], padding=family.conv_padding, rngs=rngs
        )
        (channels,) = widths["conv2d2"]
        for name in BLOCKS:
            setattr(self, name, Block(channels, widths[name], family.conv_padding, rngs))
            channels = block_channels(widths[name])

    def __call__(self, pixels: jax.Array, wanted: frozenset[str]) -> Activations:
        """See `Network`."""
        acts: Activations = {}
        normalise = self.family.normalise or (lambda x: x)

        def pool(x: jax.Array) -> jax.Array:
            return max_pool(x, 3, 2, self.family.pool_padding)

        x = rectify("conv2d0", self.conv2d0(pixels), acts)
        x = normalise(pool(x))
        x = rectify("conv2d1", self.conv2d1(x), acts)
        x = rectify("conv2d2", self.conv2d2(x), acts)
        x = normalise(x)
        stride = STRIDES["conv2d2"]
        for name in BLOCKS:
            if wanted <= acts.keys():
                break
            if STRIDES[name] != stride:
                x, stride = pool(x), STRIDES[name]
            x = getattr(self, name)(name, x, acts)
        return {name: acts[name] for name in wanted}

    @staticmethod
    def describe(spec: ModelSpec) -> tuple[LayerInfo, ...]:
        """See `Network`."""
        widths = dict(spec.widths)
        for name in (*STEM, *BLOCKS):
            count = len(BRANCHES) if name in BLOCKS else 1
            if len(widths.get(name, ())) != count or min(widths[name]) < 1:
                raise WeightsError(f"its spec needs {count} widths for {name!r}")
        found = []
        for name in (*STEM, *BLOCKS):
            channels = {name: widths[name][0]}
            if name in BLOCKS:
                inside = zip(BRANCHES, widths[name], strict=True)
                channels = {f"{name}_{kind}": width for kind, width in inside}
                channels[name] = block_channels(widths[name])
            for layer, width in channels.items():
                found.append(LayerInfo(f"{layer}_pre_relu", width, STRIDES[name]))
                found.append(LayerInfo(layer, width, STRIDES[name]))
        return tuple(found)


def rectify(name: str, x: jax.Array, acts: Activations) -> jax.Array:
    """The layer `name` from its convolution's output; both are added to `acts`."""
    acts[f"{name}_pre_relu"] = x
    acts[name] = jax.nn.relu(x)
    return acts[name]


def block_channels(widths: tuple[int, ...]) -> int:
    """Channels that a block with these widths puts out."""
    return sum(w for kind, w in zip(BRANCHES, widths, strict=True) if kind in JOINED)
