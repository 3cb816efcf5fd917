"""What the ascent makes grow: functions of the network's activations."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dreamvid.types import Activations


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
