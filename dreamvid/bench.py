"""How fast this computer dreams: a short clip rendered, and the time of each part of the work."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from dreamvid import ops
from dreamvid.errors import DreamError, OptionError
from dreamvid.fields import Size
from dreamvid.flow import grey, match
from dreamvid.following import steps_of
from dreamvid.journal import open_journal, run_folder
from dreamvid.media.codecs import Showing
from dreamvid.media.sinks import open_sink
from dreamvid.options import Output
from dreamvid.plan import Plan, plan_clip
from dreamvid.recipe import Recipe
from dreamvid.reel import Reel
from dreamvid.render import render_clip
from dreamvid.speed import (
    Dream,
    Figures,
    batched,
    compile_seconds,
    memory,
    octaves,
    peak_flops,
    summed,
    typical_seconds,
)
from dreamvid.types import Image

LEAST_FRAMES = 5
"""The first ones compile, and the last one waits for no other."""
_LOOKED_AT = 16
"""Pictures of a film that are decoded and matched one by one."""
_COMPILED = "/jax/core/compile/backend_compile_duration"


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
        "dream": summed(rows, peak["float32"]),
        "octaves": rows,
        "batch": together,
        "peak_flops": peak,
        "memory_bytes": used,
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
    found["warp"] = typical_seconds(warp)
    found["dream"] = typical_seconds(lambda: work.run(steps=steps))
    levels = jax.jit(ops.to_16bit if plan.depth == 16 else ops.to_8bit)
    found["fetch"] = typical_seconds(lambda: np.asarray(levels(work.image)))
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
