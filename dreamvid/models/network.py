"""Networks as tables: an architecture lists its nodes, and all else follows from the list."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from dreamvid.errors import WeightsError
from dreamvid.models.layers import (
    Conv,
    Head,
    LocalResponseNorm,
    Padding,
    average_pool,
    max_pool,
    rectified,
)
from dreamvid.models.spec import LayerInfo, ModelSpec
from dreamvid.registry import Registry
from dreamvid.types import Activations

PIXELS = "pixels"
"""The network's input, as a node's source."""
LOGITS = "logits"
"""The classifier's layer, one channel a class, where a network has one."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with bias and the ReLU behind it: a layer, and one before its ReLU."""

    channels: int
    kernel: tuple[int, int] = (1, 1)
    """Height and width."""
    stride: int = 1
    padding: Padding = "symmetric"


@dataclass(frozen=True)
class MaxPool:
    """The greatest value of each window."""

    kernel: int
    stride: int
    padding: Padding

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, h', w', c)."""
        return max_pool(x, self.kernel, self.stride, self.padding)


@dataclass(frozen=True)
class AveragePool:
    """The mean of each window."""

    kernel: int
    stride: int
    padding: Padding
    count_padding: bool
    """Whether padded zeros count."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) -> (n, h', w', c)."""
        return average_pool(x, self.kernel, self.stride, self.padding, self.count_padding)


@dataclass(frozen=True)
class Join:
    """Several maps side by side, along the channels: a layer, and one before the ReLUs."""


@dataclass(frozen=True)
class Classifier:
    """The mean over all positions, and one matrix."""

    classes: int


Operation: TypeAlias = Convolution | MaxPool | AveragePool | LocalResponseNorm | Join | Classifier


@dataclass(frozen=True)
class Node:
    """One operation of a network."""

    name: str
    """The layer's name, where it is one that can be dreamed of."""
    operation: Operation
    sources: tuple[str, ...]
    """The nodes that it takes."""

    @property
    def path(self) -> tuple[str, ...]:
        """Where its parameters lie: "mixed4c_3x3" has mixed4c/3x3/kernel."""
        if isinstance(self.operation, Classifier):
            return ("head",)
        return tuple(self.name.split("_", 1))


class Folder(nnx.Module):
    """Holds the convolutions of a block, by their names in files."""


class Network(nnx.Module):
    """A network built from its table of nodes; architectures say which, and register themselves.

    Parameters are `nnx.Param`s whose path is their tensor's name in a file.
    """

    NAMES: ClassVar[dict[str, dict[str, str]]] = {}
    """Framework -> {our name of a layer: its name there}."""
    FAVOURITES: ClassVar[dict[str, str]] = {}
    """Kind of recipe -> the layer that is dreamed of where the user names none."""

    @classmethod
    def favourites(cls, spec: ModelSpec) -> dict[str, str]:
        """Those of a variant, where they differ."""
        return cls.FAVOURITES

    @staticmethod
    def nodes(spec: ModelSpec) -> tuple[Node, ...]:
        """The whole network, each node after its sources.

        Raises:
          WeightsError: The spec does not describe a network of this architecture.
          UnknownNameError: There is no such family.
        """
        raise NotImplementedError

    def __init__(self, spec: ModelSpec, rngs: nnx.Rngs | None = None):
        self.spec = spec
        nodes = self.nodes(spec)
        known = _reaches(nodes)
        for node in nodes:
            layer = node.operation
            if isinstance(layer, Convolution):
                before = known[node.sources[0]].channels
                made = Conv(
                    layer.kernel,
                    before,
                    layer.channels,
                    stride=layer.stride,
                    padding=layer.padding,
                    rngs=rngs,
                )
            elif isinstance(layer, Classifier):
                made = Head(known[node.sources[0]].channels, layer.classes)
            else:
                continue
            folder: nnx.Module = self
            for name in node.path[:-1]:
                if not hasattr(folder, name):
                    setattr(folder, name, Folder())
                folder = getattr(folder, name)
            # The name as it stands in files, though "3x3" is no Python identifier.
            setattr(folder, node.path[-1], made)

    def __call__(self, pixels: jax.Array, wanted: frozenset[str]) -> Activations:
        """(n, h, w, 3) -> the layers in `wanted`, each (n, h, w, c); computes no further."""
        acts: Activations = {PIXELS: pixels}
        convolved = set()
        for node in self.nodes(self.spec):
            if wanted <= acts.keys():
                break
            taken = [acts[name] for name in node.sources]
            match node.operation:
                case Convolution():
                    acts[f"{node.name}_pre_relu"] = self._module(node)(*taken)
                    acts[node.name] = rectified(acts[f"{node.name}_pre_relu"])
                    convolved.add(node.name)
                case Classifier():
                    acts[node.name] = self._module(node)(*taken)
                case Join():
                    # A pool has no ReLU of its own.
                    before = [acts.get(f"{name}_pre_relu", acts[name]) for name in node.sources]
                    acts[f"{node.name}_pre_relu"] = jnp.concatenate(before, axis=-1)
                    acts[node.name] = jnp.concatenate(taken, axis=-1)
                case MaxPool() as pool if node.sources[0] in convolved:
                    # The greatest of rectified values is the greatest value, rectified: less work.
                    acts[node.name] = rectified(pool(acts[f"{node.sources[0]}_pre_relu"]))
                case operation:
                    acts[node.name] = operation(*taken)
        return {name: acts[name] for name in wanted}

    def _module(self, node: Node) -> Any:
        module = self
        for name in node.path:
            module = getattr(module, name)
        return module


ARCHITECTURES: Registry[type[Network]] = Registry("architecture")


def describe(spec: ModelSpec) -> tuple[LayerInfo, ...]:
    """All layers of a network that can be dreamed of, in the order of computation.

    Raises:
      WeightsError: The spec does not describe a network of its architecture.
      UnknownNameError: There is no such architecture or family.
    """
    nodes = ARCHITECTURES[spec.architecture].nodes(spec)
    return tuple(_layers(nodes))


def shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """The tensors that a network needs: name in a file -> shape.

    Raises:
      WeightsError: The spec does not describe a network of its architecture.
      UnknownNameError: There is no such architecture or family.
    """
    nodes = ARCHITECTURES[spec.architecture].nodes(spec)
    known, needed = _reaches(nodes), {}
    for node in nodes:
        if isinstance(node.operation, Convolution | Classifier):
            kernel = node.operation.kernel if isinstance(node.operation, Convolution) else ()
            path, width = "/".join(node.path), known[node.name].channels
            needed[f"{path}/kernel"] = (*kernel, known[node.sources[0]].channels, width)
            needed[f"{path}/bias"] = (width,)
    return needed


@cache
def aliases(architecture: str) -> dict[str, str]:
    """What layers are called in other frameworks -> our names."""
    known = {}
    for names in ARCHITECTURES[architecture].NAMES.values():
        for ours, theirs in names.items():
            known[theirs] = ours
            if ours != LOGITS:
                known[f"{theirs}_pre_relu"] = f"{ours}_pre_relu"
    return known


def _reaches(nodes: tuple[Node, ...]) -> dict[str, LayerInfo]:
    """What there is to know of each node, those that are no layers too."""
    found = {PIXELS: LayerInfo(PIXELS, 3, 1, (1, 1), 1, 0.0)}
    below: dict[str, frozenset[str]] = {PIXELS: frozenset()}
    cost = {PIXELS: 0.0}
    for node in nodes:
        sources = [found[name] for name in node.sources]
        first, operation = sources[0], node.operation
        channels, stride, kernel, padded = sum(s.channels for s in sources), 1, (1, 1), True
        cost[node.name] = 0.0
        if isinstance(operation, Convolution):
            kernel, stride = operation.kernel, operation.stride
            products = kernel[0] * kernel[1] * first.channels * operation.channels
            channels = operation.channels
            cost[node.name] = 2 * products / (first.stride * stride) ** 2
        elif isinstance(operation, MaxPool | AveragePool):
            kernel, stride = (operation.kernel, operation.kernel), operation.stride
        elif isinstance(operation, Classifier):
            channels = operation.classes
        if isinstance(operation, Convolution | MaxPool | AveragePool):
            padded = operation.padding != "none"
        below[node.name] = frozenset({node.name}).union(*(below[name] for name in node.sources))
        high, wide = (
            max(s.field[axis] for s in sources) + (kernel[axis] - 1) * first.stride
            for axis in (0, 1)
        )
        smallest = max(s.smallest for s in sources)
        if not padded:
            smallest += (max(kernel) - 1) * first.stride
        flops = sum(cost[name] for name in below[node.name])
        found[node.name] = LayerInfo(
            node.name, channels, first.stride * stride, (high, wide), smallest, flops
        )
    return found


def _layers(nodes: tuple[Node, ...]) -> Iterator[LayerInfo]:
    known = _reaches(nodes)
    for node in nodes:
        info = known[node.name]
        match node.operation:
            case Convolution() | Join():
                yield info.renamed(f"{node.name}_pre_relu")
                yield info
            case Classifier():
                yield info


def widths_of(spec: ModelSpec, counts: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """The widths in a spec, checked.

    Args:
      spec: The spec.
      counts: Each part of the network -> how many convolutions it has.

    Raises:
      WeightsError: Other parts have widths, or a part has another number of them.
    """
    widths = dict(spec.widths)
    if unknown := sorted(widths.keys() - counts.keys()):
        raise WeightsError(f"its spec has widths for {unknown[0]!r}, which it does not have")
    for name, count in counts.items():
        if len(widths.get(name, ())) != count or min(widths[name]) < 1:
            raise WeightsError(f"its spec needs {count} widths for {name!r}")
    return widths
