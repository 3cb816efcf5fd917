"""Renders: frames drained into the journal, and from there into files."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np

from dreamvid.encoding import Encoder, stopped
from dreamvid.errors import DreamError, Stopped
from dreamvid.fields import Size
from dreamvid.journal import Journal, open_journal, run_folder
from dreamvid.media.stills import Picture, write_picture
from dreamvid.ops import to_8bit, to_16bit
from dreamvid.pipeline import frames
from dreamvid.plan import Plan, StillPlan, part_name
from dreamvid.room import is_exhausted, too_large
from dreamvid.timeline import Timeline
from dreamvid.types import Carry, Frame, Watcher, ZoomCarry
from dreamvid.zooming import zooms

_LEVELS: dict[int, Callable[[jax.Array], jax.Array]] = {8: jax.jit(to_8bit), 16: jax.jit(to_16bit)}


def render_clip(plan: Plan, watcher: Watcher, keep: bool = False) -> None:
    """Makes a clip, or goes on where an earlier run of the same was stopped.

    Args:
      plan: From `plan_clip`.
      watcher: Told how it goes on.
      keep: Whether the run folder stays.

    Raises:
      DreamError: The run folder holds another render, or something cannot be written; what was
        rendered is then in the run folder.
      Stopped: The watcher asked for it.
    """
    with _opened(plan, plan.run.overwrite) as journal:
        _make(plan, journal, watcher)
        if not keep:
            journal.remove()


def render_variants(plans: Sequence[Plan], watcher: Watcher, keep: bool = False) -> None:
    """Makes zooms that differ in their seeds only, whose frames are dreamed at once.

    Each has a run folder and a file of its own; which of them are made together shows in nothing
    but the last bits.

    Args:
      plans: From `plan_clip`; none is endless or a film.
      watcher: Told how it goes on.
      keep: Whether the run folders stay.

    Raises:
      DreamError and Stopped: as `render_clip`.
    """
    with contextlib.ExitStack() as stack:
        journals = [stack.enter_context(_opened(plan, plan.run.overwrite)) for plan in plans]
        _dream_variants(plans, journals, watcher)
        for plan, journal in zip(plans, journals, strict=True):
            _write(plan, journal, plan.output, watcher, *plan.timeline.order)
        if not keep:
            for journal in journals:
                journal.remove()


def _dream_variants(plans: Sequence[Plan], journals: Sequence[Journal], watcher: Watcher) -> None:
    """Makes the frames that the journals lack."""
    first, timelines = plans[0], [plan.timeline for plan in plans]
    carries = [journal.carry for journal in journals]
    done = [
        carry.index - timeline.first + 1 if carry else 0
        for carry, timeline in zip(carries, timelines, strict=True)
    ]
    frames = first.recipe.dreamed_frames
    assert frames is not None
    expected = len(plans) * (frames - first.timeline.first)
    if sum(done) == expected:
        return
    watcher.begin(_task_of(plans), expected, sum(done))
    sources = cast("list[np.ndarray]", [plan.source for plan in plans])
    making = zooms(
        timelines, first.model, first.aim, sources, cast("list[ZoomCarry | None]", carries)
    )
    with _enough_memory(first.size), contextlib.closing(making) as made:
        for together in made:
            for which, frame, carry in together:
                levels = _LEVELS[first.depth](frame.image)
                journals[which].write(carry, np.asarray(levels) if carry.index >= 0 else None)
                done[which] += 1
                watcher.advance()
            if watcher.stop_asked:
                break
    for journal in journals:
        journal.checkpoint()
    if watcher.stop_asked and sum(done) < expected:
        made_so_far = f"stopped after {sum(done)} of {expected} frames"
        raise Stopped(f"{made_so_far}; the same command goes on from there")


def finish_clip(plan: Plan, watcher: Watcher) -> None:
    """Makes a file of what an unfinished run has so far; the run stays as it is.

    Args and Raises: as `render_clip`.
    """
    clip = plan.recipe.clip
    with _opened(plan, restart=False) as journal:
        done = journal.carry.index + 1 if journal.carry else 0
        if done <= journal.start:
            raise DreamError(f"{journal.folder} has no finished frame yet: resume it first")
        output = plan.output
        if clip.frames is None:
            output = part_name(output, journal.start // clip.part + 1)
        _write(plan, journal, output, watcher, range(journal.start, done))


def render_stills(plans: Sequence[StillPlan], watcher: Watcher) -> None:
    """Dreams pictures at their own size, each as a file of its own; its alpha is kept.

    Args:
      plans: From `plan_still`; several differ in their seeds only, and are dreamed at once.
      watcher: Told how it goes on.

    Raises:
      DreamError: One cannot be written; what was there is then as it was before.
    """
    first = plans[0]
    watcher.begin(_task_of(plans), len(plans))
    timelines = [Timeline(plan.recipe, plan.recipe.scope(), plan.picture.size) for plan in plans]
    pictures = [plan.picture.rgb for plan in plans]
    with _enough_memory(first.picture.size):
        making = zooms(timelines, first.model, first.aim, pictures, [None] * len(plans))
        (dreamed,) = making
        levels = [np.asarray(frame.image) for _, frame, _ in dreamed]
    for plan, rgb in zip(plans, levels, strict=True):
        picture = Picture(rgb, plan.picture.alpha)
        write_picture(plan.output, picture, plan.settings, plan.overwrite)
        watcher.advance()
        watcher.made(plan.output)


def _task_of(plans: Sequence[Plan] | Sequence[StillPlan]) -> str:
    """What is being done, for people."""
    several = f", {len(plans)} seeds at once" if len(plans) > 1 else ""
    return plans[0].task + several


def _opened(plan: Plan, restart: bool) -> contextlib.AbstractContextManager[Journal]:
    folder, fps = run_folder(plan.output), plan.recipe.clip.fps
    return open_journal(folder, plan.run, plan.size, fps, plan.depth, restart)


def _make(plan: Plan, journal: Journal, watcher: Watcher) -> None:
    """Makes the frames that the journal lacks, and the file of them; without end, part by part."""
    clip, timeline = plan.recipe.clip, plan.timeline
    making = frames(plan.recipe, plan.model, plan.source, journal.carry, timeline, plan.aim)
    with contextlib.closing(making):
        made = _begun_ahead(making, _LEVELS[plan.depth])
        if clip.frames is not None:
            stop = plan.recipe.dreamed_frames
            assert stop is not None
            _fill(plan, journal, watcher, made, stop, plan.output, *timeline.order)
            return
        while True:
            stop = journal.start + clip.part
            output = part_name(plan.output, stop // clip.part)
            _fill(plan, journal, watcher, made, stop, output, range(journal.start, stop))
            journal.drop(stop)


def _fill(
    plan: Plan,
    journal: Journal,
    watcher: Watcher,
    made: Iterator[tuple[jax.Array, Carry]],
    stop: int,
    output: Path,
    *order: range,
) -> None:
    """Makes frames up to one, which is not made, and encodes a file of them meanwhile."""
    first, total = plan.timeline.first, plan.recipe.dreamed_frames
    with Encoder(plan, journal, output, *order) as encoder:
        done = journal.carry.index + 1 if journal.carry else first
        if done < stop:
            watcher.begin(plan.task, None if total is None else total - first, done - first)
            with _enough_memory(plan.size):
                for levels, carry in made:
                    picture = np.asarray(levels) if carry.index >= 0 else None
                    journal.write(carry, picture)
                    encoder.offer(carry.index, picture)
                    watcher.advance()
                    done = carry.index + 1
                    if watcher.stop_asked or done == stop:
                        break
            journal.checkpoint()
            if watcher.stop_asked and done < stop:
                raise stopped(f"after {max(done, 0)} frames", journal)
        encoder.finish(watcher)


def _begun_ahead(
    made: Iterator[tuple[Frame, Carry]], convert: Callable[[jax.Array], jax.Array]
) -> Iterator[tuple[jax.Array, Carry]]:
    """Each frame in levels, handed over once the work on the next one has been begun.

    So the device is at work while a frame is fetched from it and written.
    """
    before = None
    for frame, carry in made:
        now = convert(frame.image), carry
        now[0].copy_to_host_async()
        if before is not None:
            yield before
        before = now
    if before is not None:
        yield before


def _write(plan: Plan, journal: Journal, output: Path, watcher: Watcher, *order: range) -> None:
    """Encodes a file of frames that the journal has."""
    with Encoder(plan, journal, output, *order) as encoder:
        encoder.finish(watcher)


@contextlib.contextmanager
def _enough_memory(size: Size) -> Iterator[None]:
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if is_exhausted(error):
            raise too_large(size) from None
        raise
