"""What the ascent makes grow: functions of the network's activations."""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from dreamvid.types import Activations


@partial(jax.tree_util.register_dataclass, data_fields=["weight"], meta_fields=["layer"])
@dataclass(frozen=True)
class Layer:
    """Half the squared L2 norm of one layer: whatever it sees already, it shall see more of.

    Its gradient at the layer is the activation itself. Source: google/deepdream, 2015.
    """

    layer: str
    """The layer's name."""
    weight: jax.Array | float = field(default=1.0)
    """Its share, where objectives are added."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer it reads."""
        return (self.layer,)

    def __call__(self, activations: Activations) -> jax.Array:
        """The scalar to raise: weight * 0.5 * sum of squares."""
        return self.weight * 0.5 * jnp.sum(activations[self.layer] ** 2)
