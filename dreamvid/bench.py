"""How fast this computer dreams: a short clip rendered, and the time of each part of the work.

Times are of compiled programs, and whatever is timed has left the device's queue. A rate of
floating-point operations is told by two counts of a step's operations: "network" is the network's
convolutions, once forwards and once backwards to the picture, as its architecture has them;
"compiled" is what XLA counts in the program that it has made, with the pools, shifts and norms,
which may miss what it hands to a library. Shares of the peak are by the first.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

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
from dreamvid.errors import DreamError, OptionError
from dreamvid.fields import Size
from dreamvid.flow import grey, match
from dreamvid.following import steps_of
from dreamvid.journal import open_journal, run_folder
from dreamvid.media.codecs import Showing
from dreamvid.media.sinks import open_sink
from dreamvid.models import AnyModel, LayerInfo
from dreamvid.options import Ascent, Output
from dreamvid.plan import Plan, plan_clip
from dreamvid.recipe import Recipe
from dreamvid.reel import Reel
from dreamvid.render import render_clip
from dreamvid.room import Room, is_exhausted
from dreamvid.tiles import Tiling
from dreamvid.types import Image, Objective

LEAST_FRAMES = 5
"""The first ones compile, and the last one waits for no other."""
PATIENCE = 4.0
"""Seconds after which nothing is tried again."""
_LOOKED_AT = 16
"""Pictures of a film that are decoded and matched one by one."""
_COMPILED = "/jax/core/compile/backend_compile_duration"

Figures = dict[str, Any]
"""What was measured, as JSON has it."""


def bench(
    recipe: Recipe, batch: int = 1, say: Callable[[str], None] = lambda line: None
) -> Figures:
    """Renders a clip in a temporary folder, then takes the time of its parts.

    Args:
      recipe: Of a zoom or a film, with the size and the frames of its clip. A film is drawn on the
        spot, so it needs no source.
      batch: So many pictures are also dreamed at once, where it is above 1.
      say: Told what is being done.

    Returns:
      "clip"; "whole", as users get it; "stages", seconds a frame; "compile_seconds"; "dream" and
      "octaves", steps and operations; "batch"; "peak_flops", a second; "memory_bytes". What is not
      known is None.

    Raises:
      DreamError: Something will not do; before anything compiles, but for a batch that needs more
        memory than there is.
    """
    frames = recipe.clip.frames
    if frames is None or frames < LEAST_FRAMES:
        told = f"is {frames or 'endless'}: the first ones compile, give at least {LEAST_FRAMES}"
        raise OptionError("--frames", told)
    with ExitStack() as stack:
        folder = stack.enter_context(_own_folder())
        if recipe.kind == "video":
            recipe = replace(recipe, source=str(folder / "film.mp4"))
            draw_film(folder / "film.mp4", recipe.clip.size or Size(640, 360), frames)
        plan = plan_clip(recipe, folder / "out.mp4")
        if plan.timeline.moment(0).ascent.steps < 1:
            raise OptionError("--steps", "is 0, of which there is nothing to measure: give 1")
        work = Dream.of(plan)
        with _programs_in(folder / "programs"):
            say("compiling, twice")
            compiling = compile_seconds(work)
            say("taking the time of each octave")
            rows = octaves(work)
        say(f"{plan.task}, {frames} frames")
        whole = render(plan)
        used = memory()
        say("taking the time of each stage")
        parts = stages(plan, work)
    if batch > 1:
        say(f"dreaming {batch} pictures at once")
    together = batched(work, batch) if batch > 1 else None
    say("multiplying matrices")
    peak = peak_flops()
    for row in (*rows, *([together] if together else [])):
        row["share_of_peak"] = row["flops_per_second"] and row["flops_per_second"] / peak["float32"]
    return {
        "clip": _clip(plan, work),
        "whole": whole,
        "stages": parts,
        "compile_seconds": compiling,
        "dream": _summed(rows, peak["float32"]),
        "octaves": rows,
        "batch": together,
        "peak_flops": peak,
        "memory_bytes": used,
    }


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
            image = _floats(next(plan.source.film.pictures()))
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


def _seconds(work: Callable[[], object]) -> float:
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
    later = _seconds(lambda: work.run(steps=1))
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

    seconds = _seconds(lambda: room.use(octave.image, climb))
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
        seconds = _seconds(all_steps) / steps
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


def _summed(rows: list[Figures], peak: float) -> Figures:
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


def render(plan: Plan) -> Figures:
    """Renders a clip as its users do, and takes the time of the frames that compiled nothing."""
    with _Clock() as clock:
        render_clip(plan, clock, keep=True)
    dreaming, *encoding = clock.phases
    # The first frames are made together, and while the last one is fetched none is made.
    between = list(pairwise(dreaming))[:-1]
    warm = [after[0] - before[0] for before, after in between if after[1] == before[1]]
    rest = sum(marks[-1][0] - marks[0][0] for marks in encoding)
    frames = plan.recipe.clip.frames or 0
    seconds = {"dreaming": mean(warm) if warm else math.nan, "encoding": rest / frames}
    return {
        "frames_per_second": 1.0 / sum(seconds.values()) if warm else None,
        "seconds_per_frame": seconds if warm else None,
        "warm_frames": len(warm),
        "compiling_frames": len(between) - len(warm),
        "seconds": clock.phases[-1][-1][0] - dreaming[0][0],
    }


class _Clock:
    """Watches a render; a `dreamvid.types.Watcher`.

    Its phases are lists of moments: seconds, and how many programs have been compiled by then.
    """

    stop_asked = False

    def __init__(self) -> None:
        self.phases: list[list[tuple[float, int]]] = []
        self._compiled = 0

    def __enter__(self) -> "_Clock":
        jax.monitoring.register_event_duration_secs_listener(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._count)

    def _count(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        self._compiled += event == _COMPILED

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        self.phases.append([])
        self.advance()

    def advance(self) -> None:
        self.phases[-1].append((time.perf_counter(), self._compiled))

    def made(self, output: Path) -> None:
        self.advance()


def stages(plan: Plan, work: Dream) -> Figures:
    """Seconds that each stage of a rendered clip takes for a frame, one after the other.

    In a render some of them are done at a time. "decode" and "flow" are a film's. "dream" is a
    zoom's, or that of a picture that follows another; "warp" moves what goes into it; "fetch"
    rounds it and brings it from the device; "journal" keeps it without loss and reads it again.
    """
    timeline, found = plan.timeline, {}
    if isinstance(plan.source, Reel):
        found, steps, warp = _film_stages(plan, plan.source, work)
    else:
        steps = work.ascent.steps
        warp = partial(ops.move, work.image, timeline.matrix(0, 1))
    found["warp"] = _seconds(warp)
    found["dream"] = _seconds(lambda: work.run(steps=steps))
    levels = jax.jit(ops.to_16bit if plan.depth == 16 else ops.to_8bit)
    found["fetch"] = _seconds(lambda: np.asarray(levels(work.image)))
    return found | _kept_stages(plan)


def _film_stages(plan: Plan, reel: Reel, work: Dream) -> tuple[Figures, int, Callable[[], object]]:
    """Seconds of decoding and matching; a later picture's steps, and the moving of its dreams."""
    began = time.perf_counter()
    pictures = list(islice(reel.film.pictures(), _LOOKED_AT))
    decoded = time.perf_counter()
    greys = [grey(picture) for picture in pictures]
    for number, now in enumerate(greys):
        for back in reel.earlier(number):
            match(now, greys[back])
    matched = time.perf_counter()
    found = {
        "decode": (decoded - began) / len(pictures),
        "flow": (matched - decoded) / len(pictures),
    }
    with closing(reel.views(len(pictures) - 1)) as views:
        view = next(views)
    moment = plan.timeline.moment(view.number)
    fresh = 1.0 - moment.coherence.coherence * view.known
    steps = steps_of(moment.ascent.steps, fresh, moment.coherence.follow_steps)
    flows = [found.flow for found in view.matches]
    return found, steps, partial(_moved, work.image, flows)


@jax.jit
def _moved(image: Image, flows: list[jax.Array | np.ndarray]) -> Image:
    """A dream along several flows, as it goes on to a film's next picture."""
    seen = [ops.places(*image.shape[:2]) + flow for flow in flows]
    moved = [(ops.warp_bilinear if n else ops.warp)(image, at) for n, at in enumerate(seen)]
    return sum(moved, jnp.zeros_like(image))


def _kept_stages(plan: Plan) -> Figures:
    """Seconds of the journal and of encoding, by what the render has left in its run folder."""
    facts = (plan.size, plan.recipe.clip.fps, plan.depth)
    frames = plan.recipe.clip.frames or 0
    with open_journal(run_folder(plan.output), plan.run, *facts, restart=False) as journal:
        pictures, carry = list(journal.pictures(0, frames)), journal.carry
        assert carry
        journal.remove()
    output = plan.output.with_stem("again")
    began = time.perf_counter()
    with open_journal(run_folder(output), plan.run, *facts, restart=False) as journal:
        for index, picture in enumerate(pictures):
            journal.write(replace(carry, index=index), picture)
        journal.checkpoint()
        for _ in journal.pictures(0, frames):
            pass
        kept = time.perf_counter()
        journal.remove()
    begun = time.perf_counter()
    showing = plan.showing(frames)
    with open_sink(output, showing, plan.settings, plan.recipe.output, overwrite=False) as sink:
        for picture in pictures:
            sink.write(picture)
    ended = time.perf_counter()
    return {"journal": (kept - began) / frames, "encode": (ended - begun) / frames}


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


def draw_film(path: Path, size: Size, count: int) -> None:
    """Makes a film of striped discs that move over a waving ground, which moves too.

    Args:
      path: The file.
      size: Of its pictures.
      count: How many.

    Raises:
      DreamError: It cannot be written.
    """
    y, x = np.mgrid[: size.height, : size.width].astype(np.float32)
    radius = min(size.width, size.height) / 6
    with open_sink(path, Showing(size=size, fps=Fraction(30)), "", Output(), False) as sink:
        for number in range(count):
            right, down = x + 0.8 * number, y - 0.5 * number
            waves = [np.sin(right / a) + np.sin(down / b) for a, b in ((7, 19), (11, 5), (23, 9))]
            picture = 128 + 30 * np.stack(waves, axis=-1)
            for disc, motion in enumerate(((2.5, 1.0), (-1.5, 2.0), (1.0, -2.5))):
                right = x - size.width * (disc + 1) / 4 - motion[0] * number
                down = y - size.height / 2 - motion[1] * number
                stripes = 128 + 90 * np.sin((right + (disc - 1) * down) / (3 + disc))
                face = stripes[..., None] + np.roll((90, 0, -90), disc)
                picture = np.where((np.hypot(right, down) < radius)[..., None], face, picture)
            sink.write(np.clip(picture, 0, 255).astype(np.uint8))


@contextmanager
def _own_folder() -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="dreamvid-bench-")
    except OSError as error:
        told = f"no temporary folder can be made ({error.strerror}): name another in TMPDIR"
        raise DreamError(told) from None
    with made as name:
        yield Path(name)


@contextmanager
def _programs_in(folder: Path) -> Iterator[None]:
    """Within it, JAX keeps every program that it compiles in a folder, a new one."""
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_enable_compilation_cache": True,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # or the folder that it has begun with would stay
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def _clip(plan: Plan, work: Dream) -> Figures:
    recipe, ascent = plan.recipe, work.ascent
    return {
        "kind": recipe.kind,
        "size": str(plan.size),
        "frames": recipe.clip.frames,
        "model": recipe.network,
        "layers": list(plan.aim.layers),
        "octaves": len(list(work.in_octaves())),
        "steps": ascent.steps,
    }


def _floats(picture: np.ndarray) -> Image:
    return jnp.asarray(picture, jnp.float32) / np.iinfo(picture.dtype).max


def _size(image: Image) -> str:
    return str(Size(image.shape[1], image.shape[0]))
