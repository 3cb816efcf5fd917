"""The network while it learns: Inception V1 with batch norm; folded for dreaming, and unfolded.

Source: Ioffe and Szegedy 2015, "Batch Normalization"; for classifiers on layers within, Szegedy et
al. 2014, section 5, and Lee et al. 2015, "Deeply-Supervised Nets".
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dreamvid.models import Model, ModelSpec
from dreamvid.models.inception_v1 import BRANCHES, JOINED, WIDTHS, InceptionV1
from dreamvid.models.layers import Head
from dreamvid.models.network import LOGITS, Convolution, Node

MEAN, SCALE = 117.0, 1 / 60
"""The network sees (255 * picture - MEAN) * SCALE."""
MULTIPLE = 8
"""Widths are multiples of this: other numbers of channels are no quicker."""
EPSILON = 1e-3
AUXILIARY = "mixed4c"
"""The layer that a second classifier learns from: stills are dreamed at it."""


def spec_of(width: float, labels: tuple[str, ...], origin: str) -> ModelSpec:
    """The facts about a network to be trained.

    Args:
      width: Of the paper's numbers of channels, which are rounded down to multiples of 8.
      labels: The classes.
      origin: Where its weights will come from.
    """
    widths = tuple(
        (name, tuple(max(int(count * width) // MULTIPLE * MULTIPLE, MULTIPLE) for count in counts))
        for name, counts in WIDTHS
    )
    mean, scale = (MEAN, MEAN, MEAN), (SCALE, SCALE, SCALE)
    return ModelSpec("inception_v1", "folded", widths, mean, scale, origin=origin, labels=labels)


class Learner(InceptionV1):
    """Inception V1 with a norm behind each convolution, as it is trained.

    The dreamed network is the same table of nodes without the norms: they are folded into the
    kernels.
    """

    head: Head
    auxiliary: Head | None
    """Classifies by `AUXILIARY`, so that this layer comes to know things; no part of the result."""

    def __init__(
        self, spec: ModelSpec, rngs: nnx.Rngs, dtype: Any = jnp.float32, auxiliary: bool = False
    ):
        super().__init__(spec, rngs)
        self.dtype = dtype
        self.norms = nnx.Dict(
            {
                node.name: nnx.BatchNorm(
                    self._module(node).bias.shape[0],
                    momentum=0.9,
                    epsilon=EPSILON,
                    dtype=dtype,
                    rngs=rngs,
                )
                for node in convolutions(spec)
            }
        )
        widths = zip(BRANCHES, dict(spec.widths)[AUXILIARY], strict=True)
        channels = sum(width for branch, width in widths if branch in JOINED)
        self.auxiliary = Head(channels, len(spec.labels)) if auxiliary else None

    def classify(self, pixels: jax.Array) -> jax.Array:
        """What it takes pictures for.

        Args:
          pixels: float32 (n, h, w, 3), RGB in [0, 1].

        Returns:
          float32 (n, classes): logarithms of odds.
        """
        return self.odds(pixels)[0]

    def odds(
        self, pixels: jax.Array, dropout: float = 0.0, key: Any = None
    ) -> tuple[jax.Array, ...]:
        """What each of its classifiers takes pictures for, the last layer's first.

        Args:
          pixels: float32 (n, h, w, 3), RGB in [0, 1].
          dropout: Share of the last layer's channels that are left out.
          key: Decides which; needed where the share is not 0.

        Returns:
          float32 (n, classes) each: logarithms of odds.
        """
        seen = ((255.0 * pixels - MEAN) * SCALE).astype(self.dtype)
        last = self.nodes(self.spec)[-1]
        top = last.sources[0]
        acts = self(seen, frozenset({top, AUXILIARY}))
        if dropout:
            # The same channels at all positions, as if left out of their mean.
            left_out = nnx.Dropout(dropout, broadcast_dims=(1, 2))
            acts[top] = left_out(acts[top], rngs=nnx.Rngs(dropout=key))
        heads = {top: super()._module(last), AUXILIARY: self.auxiliary}
        return tuple(
            self._of_dtype(head)(acts[layer])[:, 0, 0].astype(jnp.float32)
            for layer, head in heads.items()
            if head is not None
        )

    def _module(self, node: Node) -> Any:
        module = super()._module(node)
        if not hasattr(self, "norms") or node.name not in self.norms:
            return module
        norm = self.norms[node.name]
        return lambda x: norm(self._of_dtype(module)(x))

    def _of_dtype(self, module: Any) -> Any:
        """A module computing in the network's numbers; its parameters stay float32."""
        if self.dtype == jnp.float32:
            return module
        graph, state = nnx.split(module)
        return nnx.merge(graph, jax.tree.map(lambda x: x.astype(self.dtype), state))


def convolutions(spec: ModelSpec) -> tuple[Node, ...]:
    """The nodes that have kernels and a norm."""
    return tuple(n for n in InceptionV1.nodes(spec) if isinstance(n.operation, Convolution))


def folded(learner: Learner) -> dict[str, np.ndarray]:
    """The network's tensors without norms: they are scales and shifts, and so are in the kernels.

    Returns:
      float32 arrays as `Model.from_tensors` reads them, for the same function of pictures.
    """
    tensors = {}
    for node in convolutions(learner.spec):
        norm: Any = learner.norms[node.name]
        conv = InceptionV1._module(learner, node)
        mean, var, scale, shift = (
            np.asarray(value[...], np.float64)
            for value in (norm.mean, norm.var, norm.scale, norm.bias)
        )
        gain = scale / np.sqrt(var + EPSILON)
        path = "/".join(node.path)
        tensors[f"{path}/kernel"] = np.asarray(conv.kernel[...], np.float64) * gain
        tensors[f"{path}/bias"] = shift + (np.asarray(conv.bias[...], np.float64) - mean) * gain
    tensors["head/kernel"], tensors["head/bias"] = (
        np.asarray(value[...]) for value in (learner.head.kernel, learner.head.bias)
    )
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def unfold(learner: Learner, model: Model, pictures: Iterable[jax.Array]) -> None:
    """Gives a learner the function of a network whose norms are folded, so that it learns on.

    What each convolution's output is like on some pictures becomes its norm's statistics. The
    classifier is taken over where it has the same classes.

    Args:
      learner: Of the same widths.
      model: The network.
      pictures: Of those to be learned from: float32 (h, w, 3).
    """
    names = [f"{node.name}_pre_relu" for node in convolutions(model.spec)]
    total, squares, count = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), 0
    for picture in pictures:
        for name, value in model.activations(picture, names).items():
            value = np.asarray(value, np.float64)
            total[name] += value.mean((0, 1))
            squares[name] += (value**2).mean((0, 1))
        count += 1
    tensors = model.to_tensors()
    for node, name in zip(convolutions(model.spec), names, strict=True):
        mean = total[name] / count
        # A channel that never changes is left as it is.
        spread = np.sqrt(np.maximum(squares[name] / count - mean**2, 1e-6))
        path = "/".join(node.path)
        norm: Any = learner.norms[node.name]
        conv = InceptionV1._module(learner, node)
        kernel, bias = tensors[f"{path}/kernel"], tensors[f"{path}/bias"]
        conv.kernel[...] = jnp.asarray(kernel / spread, jnp.float32)
        conv.bias[...] = jnp.zeros_like(conv.bias[...])
        norm.scale[...] = jnp.asarray(spread * np.sqrt(1 + EPSILON), jnp.float32)
        norm.bias[...] = jnp.asarray(mean, jnp.float32)
        norm.mean[...] = jnp.asarray((mean - bias) / spread, jnp.float32)
        norm.var[...] = jnp.ones_like(norm.var[...])
    if LOGITS in model.layers and model.labels == learner.spec.labels:
        learner.head.kernel[...] = jnp.asarray(tensors["head/kernel"])
        learner.head.bias[...] = jnp.asarray(tensors["head/bias"])
