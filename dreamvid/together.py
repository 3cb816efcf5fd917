"""Several pictures dreamed at once, for clips that differ in their seeds only."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dreamvid.ascent import dream, network_layers
from dreamvid.models import AnyModel
from dreamvid.options import Ascent
from dreamvid.room import Room
from dreamvid.types import Image, Objective

SMALL = 64
"""Values up to which two objectives' arrays are compared; larger ones are the same or are not."""


@dataclass(frozen=True)
class Wish:
    """A picture to be dreamed: what `dream` takes beside the network."""

    image: Image
    objective: Objective
    ascent: Ascent
    key: jax.Array
    masks: jax.Array | None = None

    def goes_with(self, other: "Wish") -> bool:
        """Whether both can be dreamed at once: only pictures and randomness differ."""
        mine, theirs = (jax.tree.flatten((wish.objective, wish.masks)) for wish in (self, other))
        return (
            self.image.shape == other.image.shape
            and self.ascent == other.ascent
            and mine[1] == theirs[1]
            and all(map(_same, mine[0], theirs[0]))
        )


def _same(one: jax.Array, other: jax.Array) -> bool:
    return one is other or (np.size(one) <= SMALL and np.array_equal(one, other))


class Dreamer:
    """A network on all devices that some clips can be shared among."""

    def __init__(self, model: AnyModel | None, clips: int):
        """Hands the network to the devices.

        Args:
          model: The network; None dreams nothing.
          clips: How many are made at once.
        """
        count = max(n for n in range(1, jax.local_device_count() + 1) if clips % n == 0)
        self._mesh = Mesh(np.array(jax.local_devices()[:count]), ("clips",))
        self._alone = model
        self._room: dict[tuple[object, ...], int] = {}
        self._model = model if count == 1 else jax.device_put(model, self._spread())

    def dream(self, wishes: Sequence[Wish]) -> list[Image]:
        """Dreams pictures, as many at once as go together; one by one the same but for rounding."""
        found: dict[int, Image] = {}
        left = list(range(len(wishes)))
        while left:
            first = wishes[left[0]]
            group = [index for index in left if first.goes_with(wishes[index])]
            group = group[: self._most(first)]
            left = [index for index in left if index not in group]
            dreamed = self._dream_at_once([wishes[index] for index in group])
            found.update(zip(group, dreamed, strict=True))
        return [found[index] for index in range(len(wishes))]

    def _most(self, wish: Wish) -> int:
        """How many such pictures are dreamed at once, on all devices."""
        assert self._alone is not None
        if wish.ascent.tile:  # as many tiles as there are: one picture after the other
            return 1
        layers = tuple(network_layers(wish.objective))
        known = (wish.image.shape, layers)
        # Once a size: what is free changes from frame to frame, and each number is a program.
        if known not in self._room:
            infos = [self._alone.layer(name) for name in layers]
            self._room[known] = Room(self._alone, infos, 0).pictures(wish.image)
        return self._room[known] * self._mesh.size

    def _dream_at_once(self, wishes: list[Wish]) -> list[Image]:
        first = wishes[0]
        if len(wishes) == 1:
            assert self._alone is not None
            rest = (first.objective, first.ascent, first.key)
            return [dream(self._alone, first.image, *rest, masks=first.masks)]
        model, images = self._model, jnp.stack([wish.image for wish in wishes])
        keys = jnp.stack([wish.key for wish in wishes])
        shared = first.objective, first.masks
        if self._mesh.size > 1 and len(wishes) % self._mesh.size == 0:
            images, keys = jax.device_put((images, keys), self._spread("clips"))
            shared = jax.device_put(shared, self._spread())
        else:
            model = self._alone

        def one(image: Image, key: jax.Array) -> Image:
            assert model is not None
            objective, masks = shared
            return dream(model, image, objective, first.ascent, key, masks=masks)

        dreamed = jax.vmap(one)(images, keys)
        # Each clip goes on where it began: what else makes its frames is little work.
        home = self._mesh.devices.flat[0]
        return [jax.device_put(image, home) for image in dreamed]

    def _spread(self, *axes: str) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec(*axes))
