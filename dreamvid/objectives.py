"""What the ascent makes grow: functions of the network's activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from dreamvid.types import Activations, Objective


@jax.tree_util.register_static
@dataclass(frozen=True)
class Layer:
    """Half the squared L2 norm of one layer: whatever it sees already, it shall see more of.

    Its gradient at the layer is the activation itself. Source: google/deepdream, 2015.
    """

    layer: str
    """The layer's name."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer it reads."""
        return (self.layer,)

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise: half the sum of squares."""
        return 0.5 * jnp.sum(activations[self.layer] ** 2)


@partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=["layers"])
@dataclass(frozen=True)
class Mix:
    """Several layers at once, each by its weight, which may animate.

    Each layer's energy is half its squared L2 norm, as in `Layer`; the weighted sum of their
    logarithms grows. So what counts is how many times over each grows, and a layer of many channels
    does not drown one of few. With all weight on one layer the gradient is `Layer`'s, but for its
    length.
    """

    layers: tuple[str, ...]
    """The names of the layers."""
    weights: jax.Array
    """float32 (layers,), at least 0."""

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise: the weighted sum of logarithms."""
        energies = [0.5 * jnp.sum(activations[name] ** 2) for name in self.layers]
        # A layer that sees nothing at all has no direction to grow in.
        return jnp.sum(self.weights * jnp.log(jnp.stack(energies) + 1e-12))


def of_layers(layers: tuple[str, ...], weights: Mapping[str, float]) -> Objective:
    """The objective of one layer, or of several by their weights.

    Args:
      layers: All that are dreamed of in a clip, so that its frames share one compiled program.
      weights: Those of a moment; a layer that is not there has none.
    """
    if len(layers) == 1:
        return Layer(layers[0])
    return Mix(layers, jnp.array([weights.get(name, 0.0) for name in layers], jnp.float32))
