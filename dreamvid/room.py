"""What fits into memory at once: whole pictures where they do, tiles where they do not."""

import logging
import math
from collections.abc import Callable, Sequence

import jax
from jax.core import Tracer

from dreamvid import machine
from dreamvid.errors import DreamError
from dreamvid.models import AnyModel, LayerInfo
from dreamvid.tiles import Tiling, can_tile, cut, least_side, side_for
from dreamvid.types import Image

log = logging.getLogger(__name__)

MOST_ON_CPU = 2 << 30
"""Bytes that a gradient takes on a CPU at most: larger tiles are hardly quicker there."""

_proven: dict[tuple[object, ...], int] = {}
"""Device, layers, tiles asked for and size of a picture -> the side of those it was dreamed in.

A fact about this machine for as long as the process lives; pictures do not depend on it.
"""


class Room:
    """Finds, for the pictures of a dream, how large the tiles may be."""

    def __init__(self, model: AnyModel, layers: Sequence[LayerInfo], tile: int):
        """Asks the device.

        Args:
          model: The network.
          layers: Those that are read.
          tile: Pixels of the side of a tile; 0 has it found.

        Raises:
          DreamError: Tiles are asked for, and these layers cannot be seen in tiles.
        """
        self._layers = layers
        self._tile = tile
        self._can = bool(layers) and can_tile(layers)
        self._side = tile
        if tile and not self._can:
            raise DreamError(
                f"tile is {tile}, but classes, what reads no layer and networks of one's own are "
                "dreamed in one piece: leave tile at 0"
            )
        if self._can and not tile and (free := machine.free_memory()) is not None:
            if jax.default_backend() == "cpu":
                free = min(free, MOST_ON_CPU)
            self._side = side_for(model, layers, free)

    def use(self, image: Image, work: Callable[[Tiling | None], Image]) -> Image:
        """Does work on a picture, in tiles where it takes more memory than there is.

        Args:
          image: float32 (h, w, 3): of its size the picture is.
          work: The work, in the tiles that it is given, or in one piece; it may be called again.

        Returns:
          What the work makes.

        Raises:
          DreamError: Not even the smallest tiles have room, or these layers know no tiles.
        """
        height, width = image.shape[:2]
        if isinstance(image, Tracer):  # of a larger program, which is in one piece
            return work(None)
        known = (jax.default_backend(), tuple(self._layers), self._tile, height, width)
        side = _proven.get(known, self._side)
        while True:
            tiling = self._cut(height, width, side)
            try:
                done = work(tiling)
                if known not in _proven:
                    done.block_until_ready()  # what runs out of memory may say so only here
                    _proven[known] = side
                return done
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                now = math.isqrt(math.prod(tiling.size if tiling else (height, width)))
                side = now // 2
                smallest = least_side(self._layers) if self._can else now
                if now <= smallest:
                    raise DreamError(
                        f"dreaming {width}x{height} pixels takes more memory than there is: "
                        "choose a smaller size"
                    ) from None
                side = max(side, smallest)
            log.warning(
                "%dx%d pixels take more memory than there is: in tiles of %d", width, height, side
            )

    def _cut(self, height: int, width: int, side: int) -> Tiling | None:
        fits = not side or (not self._tile and height * width <= side * side)
        return None if fits or not self._can else cut(height, width, self._layers, side)
