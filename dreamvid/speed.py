"""How fast a network dreams: steps, compiling, the peak of the device, memory.

Times are of compiled programs, and whatever is timed has left the device's queue. A rate of
floating-point operations is told by two counts of a step's operations: "network" is the network's
convolutions, once forwards and once backwards to the picture, as its architecture has them;
"compiled" is what XLA counts in the program that it has made, with the pools, shifts and norms,
which may miss what it hands to a library. Shares of the peak are by the first.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid import ops
from dreamvid.ascent import (
    Climb,
    ascend,
    dream,
    frame_key,
    network_layers,
    octave_sizes,
    smallest_octave,
    step,
    take_step,
)
from dreamvid.errors import OptionError
from dreamvid.fields import Size
from dreamvid.models import AnyModel, LayerInfo
from dreamvid.options import Ascent
from dreamvid.plan import Plan
from dreamvid.reel import Reel
from dreamvid.room import Room, is_exhausted
from dreamvid.tiles import Tiling
from dreamvid.types import Image, Objective

PATIENCE = 4.0
"""Seconds after which nothing is tried again."""

Figures = dict[str, Any]
"""What was measured, as JSON has it."""


@dataclass(frozen=True)
class Dream:
    """A picture, and all that its dream takes."""

    model: AnyModel
    image: Image
    """float32 (h, w, 3), as large as it is dreamed."""
    objective: Objective
    ascent: Ascent
    weight: jax.Array | None = None
    masks: jax.Array | None = None
    key: jax.Array = field(default_factory=lambda: frame_key(0, 0))

    @classmethod
    def of(cls, plan: Plan) -> "Dream":
        """The dream of a clip's first frame; a film's is weighted as those that follow are."""
        timeline, weight = plan.timeline, None
        assert plan.model
        if isinstance(plan.source, Reel):
            image = ops.from_levels(next(plan.source.film.pictures()))
            weight = jnp.ones((*image.shape[:2], 1))
        else:
            margin = timeline.margin
            image = ops.pad(jnp.asarray(plan.source, jnp.float32), margin.height, margin.width)
        objective, masks = plan.aim.objective(timeline, 0), plan.aim.masks(timeline, 0)
        return cls(plan.model, image, objective, timeline.moment(0).ascent, weight, masks)

    def run(self, **changes: Any) -> Image:
        """Dreams it, with some options of the ascent changed."""
        ascent = replace(self.ascent, **changes)
        rest = (self.objective, ascent, self.key, self.weight, self.masks)
        return dream(self.model, self.image, *rest)

    def in_octaves(self) -> Iterator["Dream"]:
        """The same at the size of each octave, largest first."""
        height, width = self.image.shape[:2]
        for size in octave_sizes(height, width, self.ascent, smallest_octave(self.layers)):
            image, weight, masks = (
                None if places is None else ops.resize_bilinear(places, *size)
                for places in (self.image, self.weight, self.masks)
            )
            assert image is not None
            yield replace(self, image=image, weight=weight, masks=masks)

    @property
    def layers(self) -> list[LayerInfo]:
        """The layers of the network that are read."""
        return [self.model.layer(name) for name in network_layers(self.objective)]

    @property
    def flops(self) -> float | None:
        """Operations of the network in a step, forwards and backwards; None where not known."""
        height, width = self.image.shape[:2]
        # The deepest of several layers needs what the others do.
        return 2.0 * max((info.flops for info in self.layers), default=0.0) * height * width or None


def seconds_of(work: Callable[[], object], tries: int = 3) -> list[float]:
    """What work takes, try by try, after one that may compile.

    Args:
      work: What it returns is waited for.
      tries: How many at most; fewer where they take longer than PATIENCE.
    """
    jax.block_until_ready(work())
    found: list[float] = []
    while len(found) < tries and sum(found) < PATIENCE:
        began = time.perf_counter()
        jax.block_until_ready(work())
        found.append(time.perf_counter() - began)
    return found


def typical_seconds(work: Callable[[], object]) -> float:
    """The median of `seconds_of`."""
    return median(seconds_of(work))


def compile_seconds(work: Dream) -> Figures:
    """What the first picture waits for: by a dream of one step an octave, beyond a later one.

    JAX's persistent cache is to be empty, as it first is for a new size or layer ("cold"); then
    all but that is forgotten, as in a new process ("cached").
    """
    first = []
    for _ in range(2):
        jax.clear_caches()
        began = time.perf_counter()
        work.run(steps=1).block_until_ready()
        first.append(time.perf_counter() - began)
    later = typical_seconds(lambda: work.run(steps=1))
    cold, cached = (max(seconds - later, 0.0) for seconds in first)
    return {"cold": cold, "cached": cached}


def octaves(work: Dream) -> list[Figures]:
    """The speed of the ascent at the size of each octave, largest first."""
    rows = []
    for octave in work.in_octaves():
        seconds, tiled = _step_seconds(octave)
        rows.append(
            {
                "size": _size(octave.image),
                "steps": octave.ascent.steps,
                "milliseconds_per_step": 1e3 * seconds,
                "flops_per_step": {
                    "network": octave.flops,
                    "compiled": None if tiled else compiled_flops(octave),
                },
                "flops_per_second": octave.flops and octave.flops / seconds,
            }
        )
    return rows


def _step_seconds(octave: Dream) -> tuple[float, bool]:
    """Seconds of a step as a dream takes it, and whether it did so in tiles."""
    room, tiled = Room(octave.model, octave.layers, octave.ascent.tile), False

    def climb(tiling: Tiling | None) -> Image:
        nonlocal tiled
        tiled = tiling is not None
        image = jnp.array(octave.image)  # which it gives up
        rest = (octave.objective, octave.ascent, octave.key, octave.weight, octave.masks)
        return ascend(octave.model, image, *rest, tiling)

    seconds = typical_seconds(lambda: room.use(octave.image, climb))
    return seconds / octave.ascent.steps, tiled


def compiled_flops(octave: Dream) -> float | None:
    """Operations that XLA counts in the compiled step; None where it does not say."""
    climb = Climb.of(octave.ascent)
    rest = (octave.objective, climb, octave.key, 0, octave.weight, octave.masks)
    lowered = step.lower(octave.model, octave.image, climb.begin(octave.image), *rest)
    flops = float((lowered.compile().cost_analysis() or {}).get("flops", 0.0))
    return flops if flops > 0 else None


def batched(work: Dream, count: int) -> Figures:
    """The speed of steps that several pictures take at once, at the size of the largest octave.

    Raises:
      DreamError: They take more memory than there is.
    """
    octave = next(work.in_octaves())
    climb, steps = Climb.of(octave.ascent), octave.ascent.steps
    axes = (None, 0, 0, None, None, 0, None, None, None)
    take = jax.jit(jax.vmap(take_step, in_axes=axes), donate_argnums=(1, 2))
    keys = jax.random.split(octave.key, count)

    def all_steps() -> Image:
        images = jnp.stack([octave.image] * count)
        state = jax.vmap(climb.begin)(images)
        for index in range(steps):
            rest = (octave.objective, climb, keys, index, octave.weight, octave.masks)
            images, state = take(octave.model, images, state, *rest)
        return images

    try:
        seconds = typical_seconds(all_steps) / steps
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_exhausted(error):
            raise
        told = f"is {count}: so many pictures of {_size(octave.image)} pixels take more memory "
        raise OptionError("--batch", told + "than there is, give fewer") from None
    flops = octave.flops and count * octave.flops
    return {
        "pictures": count,
        "size": _size(octave.image),
        "milliseconds_per_step": 1e3 * seconds,
        "picture_steps_per_second": count / seconds,
        "flops_per_step": {"network": flops},
        "flops_per_second": flops and flops / seconds,
    }


def summed(rows: list[Figures], peak: float) -> Figures:
    """The speed of all octaves together."""
    steps = sum(row["steps"] for row in rows)
    seconds = sum(row["steps"] * row["milliseconds_per_step"] for row in rows) / 1e3
    flops = sum(row["steps"] * (row["flops_per_step"]["network"] or 0.0) for row in rows)
    return {
        "steps": steps,
        "steps_per_second": steps / seconds,
        "flops_per_second": flops / seconds or None,
        "share_of_peak": flops / seconds / peak or None,
    }


def peak_flops() -> dict[str, float]:
    """Operations a second of the best of several matrix products.

    "float32" is as JAX multiplies by default, which some devices do in fewer bits; "bfloat16" is
    there on an accelerator.
    """
    on_cpu = jax.default_backend() == "cpu"
    # Of all kinds: on what is all the same, some devices are quicker.
    numbers = np.random.default_rng(0).standard_normal(4099, np.float32)
    multiply = jax.jit(jnp.matmul)
    found = {}
    for kind in ("float32",) if on_cpu else ("float32", "bfloat16"):
        rates = []
        for side in (512, 1024, 2048) if on_cpu else (2048, 4096, 8192):
            matrix = jnp.asarray(np.resize(numbers, (side, side)), kind)
            rates.append(2.0 * side**3 / min(seconds_of(partial(multiply, matrix, matrix), 5)))
        found[kind] = max(rates)
    return found


def memory() -> dict[str, int | None]:
    """The most bytes that this process has held so far, and those on its first device."""
    host = None
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        host = used if sys.platform == "darwin" else used << 10  # elsewhere it is in KiB
    known = jax.local_devices()[0].memory_stats() or {}
    return {"host": host, "device": known.get("peak_bytes_in_use")}


def _size(image: Image) -> str:
    return str(Size(image.shape[1], image.shape[0]))
