"""What fits into memory at once: whole pictures where they do, tiles where they do not."""

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from jax.core import Tracer

from dreamvid.errors import DreamError
from dreamvid.fields import Size
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
        """Asks nothing yet.

        Args:
          model: The network.
          layers: Those that are read.
          tile: Pixels of the side of a tile; 0 has it found.

        Raises:
          DreamError: Tiles are asked for, and these layers cannot be seen in tiles.
        """
        self._model = model
        self._layers = layers
        self._tile = tile
        self._can = bool(layers) and can_tile(layers)
        if tile and not self._can:
            raise DreamError(
                f"tile is {tile}, but classes, what reads no layer and networks of one's own are "
                "dreamed in one piece: leave tile at 0"
            )

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
        known = self._known(image)
        # Once a size: what is free changes from frame to frame, and each side is a program.
        side = _proven[known] if known in _proven else self._largest()
        while True:
            tiling = self._cut(height, width, side)
            try:
                done = work(tiling)
                if known not in _proven:
                    done.block_until_ready()  # what runs out of memory may say so only here
                    _proven[known] = side
                return done
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if not is_exhausted(error):
                    raise
                now = math.isqrt(math.prod(tiling.size if tiling else (height, width)))
                side = now // 2
                smallest = least_side(self._layers) if self._can else now
                if now <= smallest:
                    raise too_large(Size(width, height)) from None
                side = max(side, smallest)
            log.warning(
                "%dx%d pixels take more memory than there is: in tiles of %d", width, height, side
            )

    def pictures(self, image: Image) -> int:
        """How many of its size have room at once, at least 1; any number where that is unknown."""
        side = self._largest() or sys.maxsize
        return max(side**2 // math.prod(image.shape[:2]), 1)

    def is_new(self, image: Image) -> bool:
        """Whether this is the first picture of its size, and is to be dreamed in one piece."""
        if isinstance(image, Tracer) or self._known(image) in _proven:
            return False
        height, width = image.shape[:2]
        return self._cut(height, width, self._largest()) is None

    def _known(self, image: Image) -> tuple[object, ...]:
        height, width = image.shape[:2]
        return (jax.default_backend(), tuple(self._layers), self._tile, height, width)

    def _largest(self) -> int:
        """Pixels of the side of what has room at once; 0 where that is not known, or not asked."""
        if self._tile or not self._can or (free := free_memory()) is None:
            return self._tile
        if jax.default_backend() == "cpu":
            free = min(free, MOST_ON_CPU)
        return side_for(self._model, self._layers, free)

    def _cut(self, height: int, width: int, side: int) -> Tiling | None:
        fits = not side or (not self._tile and height * width <= side * side)
        return None if fits or not self._can else cut(height, width, self._layers, side)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory has run out, the computer's or the device's."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def too_large(size: Size) -> DreamError:
    """What is told of a picture that no memory is left for."""
    return DreamError(
        f"dreaming {size} pixels takes more memory than there is: choose a smaller size"
    )


def free_memory() -> int | None:
    """Bytes that the first device has left; None where that is not known.

    Of a computer's own memory, a half: others use it too.
    """
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        known = device.memory_stats() or {}
        return known["bytes_limit"] - known["bytes_in_use"] if "bytes_limit" in known else None
    free = []
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):  # "max" where a container has no limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(limit - used)
    return min(free) // 2 if free else None
