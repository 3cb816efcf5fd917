"""Renders: frames drained into the journal, and from there into files."""

import contextlib
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from dreamvid import __version__
from dreamvid.checkpoints import store
from dreamvid.errors import DreamError, MediaError, OptionError, ScheduleError, Stopped
from dreamvid.journal import Journal, Run, open_journal, read_run, run_folder
from dreamvid.media.audio import read_signals
from dreamvid.media.probe import read_settings
from dreamvid.media.sinks import check_output, depth_of, open_sink
from dreamvid.media.stills import (
    FORMATS,
    Picture,
    check_extent,
    fit,
    read_picture,
    write_picture,
)
from dreamvid.media.target import check_target, frames_at
from dreamvid.models import Model
from dreamvid.models.spec import SMALLEST_SIDE, check_size
from dreamvid.ops import to_8bit, to_16bit
from dreamvid.options import LARGEST_SIDE, Size
from dreamvid.paths import what_is_at
from dreamvid.pipeline import frames
from dreamvid.recipe import Recipe, motion_name, parse_recipe
from dreamvid.schedule import Fade, Scope
from dreamvid.timeline import Timeline

DEFAULT_SIZE = Size(640, 360)
"""A clip has as many pixels as this where the user names no size."""


class Watcher(Protocol):
    """Told how a render goes on."""

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """All has been checked, and the work on `task` begins.

        Args:
          task: What is being done.
          total: Frames there will be; None where there is no end.
          done: Frames that were already there.
        """
        ...

    def advance(self) -> None:
        """Another frame is finished."""
        ...

    def made(self, output: Path) -> None:
        """A file is finished."""
        ...

    @property
    def stop_asked(self) -> bool:
        """Whether the work shall end after this frame."""
        ...


@dataclass(frozen=True)
class Plan:
    """A clip that can be made: everything has been read and checked."""

    recipe: Recipe
    """With the size it will have."""
    output: Path
    source: np.ndarray
    """float32 (h, w, 3) in [0, 1]: the picture it begins with, at the clip's size."""
    model: Model | None
    """None where the camera moves without dreaming."""
    scope: Scope
    run: Run
    settings: str
    """The recipe as it is written into finished files."""

    @property
    def size(self) -> Size:
        """Of the frames."""
        return Size(self.source.shape[1], self.source.shape[0])

    @cached_property
    def timeline(self) -> Timeline:
        """The recipe laid out over its frames."""
        return Timeline(self.recipe, self.scope, self.size)

    @property
    def task(self) -> str:
        """What is being done, for people."""
        how = "moving" if self.model is None else "dreaming"
        return f"{how} {self.size} pixels at {', '.join(self.recipe.layers)}"


def plan_clip(
    recipe: Recipe, output: Path, overwrite: bool = False, motion_only: bool = False
) -> Plan:
    """Reads and checks all that a clip needs; makes nothing.

    Args:
      recipe: What to make.
      output: The clip to make. An endless clip's is numbered: out-0001.mp4 and so on.
      overwrite: Whether an existing file may be replaced.
      motion_only: Whether the camera moves without dreaming.

    Raises:
      DreamError: Something about the files, the network or the recipe will not do.
    """
    if recipe.clip.frames is None and "%" in output.name:
        raise MediaError(f"output {output}: an endless clip is numbered by itself, name a clip")
    check_output(
        output, recipe.clip.size, recipe.clip.fps, recipe.output, overwrite=True, sound=recipe.sound
    )
    still = _read(recipe.picture)
    size = recipe.clip.size or like(still.size, DEFAULT_SIZE)
    recipe = replace(recipe, clip=replace(recipe.clip, size=size))  # as it will be remembered
    source = fit(still.flattened(), size)
    signals = read_signals(recipe.sound, Scope().fps) if recipe.sound else {}
    scope = recipe.scope(signals)
    recipe.check(scope)
    model = None if motion_only else _load(recipe)
    digests = {
        "picture sha256": _digest(recipe.picture),
        "network sha256": "none" if motion_only else store.digest(recipe.network),
        **({"sound sha256": _digest(recipe.sound)} if recipe.sound else {}),
    }
    device = jax.devices()[0]
    fingerprint = {
        **_flat(recipe),
        **digests,
        "dreamvid": __version__,
        "jax": jax.__version__,
        "device": f"{device.platform} {device.device_kind}",
        "bits": str(depth_of(output, recipe.output)),
    }
    target = output.absolute()
    folder = str(recipe.folder.absolute())
    run = Run(recipe.to_toml(), folder, str(target), overwrite, motion_only, fingerprint)
    plan = Plan(recipe, output, source, model, scope, run, recipe.to_toml(digests))
    _ = plan.timeline.margin  # raises where the camera looks behind itself
    _check_names(plan)
    return plan


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
    size, clip, overwrite = plan.size, plan.recipe.clip, plan.run.overwrite
    folder, depth = run_folder(plan.output), depth_of(plan.output, plan.recipe.output)
    with open_journal(folder, plan.run, size, clip.fps, depth, overwrite) as journal:
        _dream(plan, journal, watcher)
        if clip.frames is not None:
            _encode(plan, journal, plan.output, clip.frames, watcher)
        if not keep:
            journal.remove()


def finish_clip(plan: Plan, watcher: Watcher) -> None:
    """Makes a file of what an unfinished run has so far; the run stays as it is.

    Args and Raises: as `render_clip`.
    """
    size, clip = plan.size, plan.recipe.clip
    folder, depth = run_folder(plan.output), depth_of(plan.output, plan.recipe.output)
    with open_journal(folder, plan.run, size, clip.fps, depth, restart=False) as journal:
        done = journal.carry.index + 1 if journal.carry else 0
        if done <= journal.start:
            raise DreamError(f"{folder} has no finished frame yet: resume it first")
        output = plan.output
        if clip.frames is None:
            output = part_name(output, journal.start // clip.part + 1)
        _write(plan, journal, output, range(journal.start, done), watcher)


def plan_of(folder: Path) -> Plan:
    """The plan that a run folder was made for.

    Raises:
      DreamError: It is no run folder, or what it needs has gone or changed.
    """
    if what_is_at(folder) != "folder":
        raise DreamError(f"no run folder at {folder}: name one such as out.mp4.run")
    run = read_run(folder)
    try:
        recipe = parse_recipe(run.recipe, Path(run.folder))
    except DreamError as error:
        raise DreamError(f"{folder} was made by another dreamvid: {error}") from None
    # Beside the folder, wherever both were moved to.
    output = folder.absolute().parent / Path(run.output).name
    if run_folder(output).name != folder.absolute().name:
        raise DreamError(f"{folder} was renamed: call it {run_folder(output).name} again")
    if what_is_at(recipe.picture) == "nothing":  # it may have been moved as well
        along = os.path.relpath(run.folder, Path(run.output).parent)
        recipe = replace(recipe, folder=Path(os.path.normpath(output.parent / along)))
    with contextlib.suppress(ValueError):
        output = output.relative_to(Path.cwd())
    plan = plan_clip(recipe, output, run.overwrite, run.motion_only)
    if difference := plan.run.differs_from(run):
        raise DreamError(f"{folder} cannot go on, it was begun with {difference}")
    return plan


def part_name(output: Path, number: int) -> Path:
    """The name of a part of an endless clip."""
    return output.with_name(f"{output.stem}-{number:04d}{output.suffix}")


def render_still(recipe: Recipe, output: Path, overwrite: bool, watcher: Watcher) -> None:
    """Dreams one picture at its own size, as a file; its alpha is kept.

    Args:
      recipe: What to make.
      output: The picture to make.
      overwrite: Whether an existing file may be replaced.
      watcher: Told of the beginning and the end.

    Raises:
      DreamError: Something about the files, the network or the recipe will not do; `output` is
        then as it was before.
    """
    check_target(output, FORMATS, overwrite)
    picture = recipe.picture
    still = _read(picture)
    check_extent(output, still.size)
    recipe = replace(recipe, kind="image", clip=replace(recipe.clip, frames=1, loop="none"))
    recipe.check(recipe.scope())
    model = _load(recipe)
    digests = {
        "picture sha256": _digest(picture),
        "network sha256": store.digest(recipe.network),
    }
    watcher.begin(f"dreaming {still.size} pixels at {', '.join(recipe.layers)}", 1)
    with _enough_memory(still.size):
        ((frame, _),) = frames(recipe, model, still.rgb)
        dreamed = np.asarray(frame.image)
    write_picture(output, Picture(dreamed, still.alpha), recipe.to_toml(digests), overwrite)
    watcher.advance()
    watcher.made(output)


def like(shape: Size, area: Size) -> Size:
    """The even size that has one's shape and about the other's number of pixels.

    Args:
      shape: Gives the ratio of the sides.
      area: Gives the number of pixels.

    Returns:
      A size with even sides that can be dreamed and encoded.
    """
    scale = math.sqrt(area.width * area.height / (shape.width * shape.height))
    even = (2 * round(side * scale / 2) for side in (shape.width, shape.height))
    return Size(*(min(max(side, SMALLEST_SIDE), LARGEST_SIDE) for side in even))


def _dream(plan: Plan, journal: Journal, watcher: Watcher) -> None:
    """Makes the frames that the journal lacks; of an endless clip also its parts."""
    clip, timeline = plan.recipe.clip, plan.timeline
    carry = journal.carry
    total = plan.recipe.dreamed_frames
    first = timeline.first
    done = carry.index - first + 1 if carry else 0
    expected = None if total is None else total - first
    if carry:
        part = (carry.index + 1) // clip.part
        if clip.frames is None and journal.start < part * clip.part:
            _write_part(plan, journal, part, watcher)  # it was stopped just before
    if done == expected:
        return
    watcher.begin(plan.task, expected, done)
    convert: Callable = _levels[depth_of(plan.output, plan.recipe.output)]
    with _enough_memory(plan.size):
        clip_frames = frames(plan.recipe, plan.model, plan.source, carry, plan.scope)
        for frame, carry in clip_frames:
            picture = np.asarray(convert(frame.image)) if frame.index >= 0 else None
            journal.write(carry, picture)
            watcher.advance()
            if clip.frames is None and (frame.index + 1) % clip.part == 0:
                journal.checkpoint()
                _write_part(plan, journal, (frame.index + 1) // clip.part, watcher)
                watcher.begin(plan.task, expected, frame.index + 1)
            if watcher.stop_asked:
                break
    journal.checkpoint()
    if watcher.stop_asked and carry and carry.index + 1 != total:
        raise Stopped(
            f"stopped after {max(carry.index + 1, 0)} frames; "
            f"go on with: dreamvid resume {journal.folder}"
        )


def _write_part(plan: Plan, journal: Journal, number: int, watcher: Watcher) -> None:
    clip = plan.recipe.clip
    stop = number * clip.part
    output = part_name(plan.output, number)
    _write(plan, journal, output, range(stop - clip.part, stop), watcher)
    journal.drop(stop)


def _encode(plan: Plan, journal: Journal, output: Path, frames: int, watcher: Watcher) -> None:
    made = plan.recipe.dreamed_frames or frames
    back = range(made - 2, made - 2 - (frames - made), -1)
    _write(plan, journal, output, range(made), watcher, back)


def _write(
    plan: Plan,
    journal: Journal,
    output: Path,
    forth: range,
    watcher: Watcher,
    back: range = range(0),
) -> None:
    recipe = plan.recipe
    overwrite = plan.run.overwrite or _is_from(output, plan.settings)
    watcher.begin(f"encoding {output.name}", len(forth) + len(back))
    sound = recipe.sound if recipe.clip.frames is not None else None
    with open_sink(
        output,
        plan.size,
        recipe.clip.fps,
        plan.settings,
        recipe.output,
        overwrite,
        sound,
        owner=str(journal.folder.absolute()),
    ) as sink:
        ways = [journal.pictures(forth.start, forth.stop)]
        if back:
            ways.append(journal.pictures(back.stop + 1, back.start + 1, reverse=True))
        for picture in itertools.chain(*ways):
            sink.write(picture)
            watcher.advance()
            if watcher.stop_asked:
                raise Stopped(
                    f"stopped while encoding, all frames are safe; "
                    f"go on with: dreamvid resume {journal.folder}"
                )
    watcher.made(output)


_levels = {8: jax.jit(to_8bit), 16: jax.jit(to_16bit)}


def _check_names(plan: Plan) -> None:
    """Refuses an output that is there already, unless it is this very render's."""
    recipe = plan.recipe
    endless = recipe.clip.frames is None
    output = part_name(plan.output, 1) if endless else plan.output
    folder = run_folder(plan.output)
    begun = what_is_at(folder / "journal.json") == "file" and not plan.run.differs_from(
        read_run(folder)
    )
    overwrite = plan.run.overwrite or (begun and (endless or _is_from(output, plan.settings)))
    check_output(output, plan.size, recipe.clip.fps, recipe.output, overwrite, recipe.sound)


def _is_from(output: Path, settings: str) -> bool:
    """Whether what is there, all of it, was made with these settings."""
    try:
        return all(read_settings(path) == settings for path in frames_at(output) or [output])
    except MediaError:
        return False


def _read(picture: Path) -> Picture:
    still = read_picture(picture)
    check_size(still.size.width, still.size.height, str(picture))
    return still


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flat(recipe: Recipe) -> dict[str, str]:
    """The options that decide the frames, by name."""
    flat = {"camera.motion": motion_name(recipe.camera)}
    for name, group in recipe.groups.items():
        if name != "output":
            flat |= {f"{name}.{key}": str(value) for key, value in vars(group).items()}
    return flat


@contextlib.contextmanager
def _enough_memory(size: Size) -> Iterator[None]:
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise DreamError(
                f"dreaming {size} pixels takes more memory than there is: choose a smaller size"
            ) from None
        raise


def _load(recipe: Recipe) -> Model:
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where it must not use the CPU
        reason = str(error) or "none of the kind that JAX_PLATFORMS names"
        raise DreamError(f"JAX finds no device ({reason}): unset JAX_PLATFORMS") from None
    model = store.load(recipe.network)
    for layer in recipe.layers:
        try:
            model.layer(layer)  # raises where there is none
        except DreamError as error:
            fade, excerpt = recipe.ascent.layer, ""
            if isinstance(fade, Fade):
                excerpt = ScheduleError("", fade.text, fade.position_of(layer)).excerpt()
            raise OptionError("--layer:", str(error), excerpt) from None
    return model
