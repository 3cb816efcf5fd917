"""Plans: recipes whose every file has been read and checked, so that nothing fails late."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from glob import escape
from pathlib import Path

import jax
import numpy as np

from dreamvid import __version__
from dreamvid.aims import Aim
from dreamvid.checkpoints import store
from dreamvid.errors import DreamError, MediaError, OptionError, ScheduleError
from dreamvid.fields import Size
from dreamvid.journal import Run, read_run, run_folder
from dreamvid.media.codecs import Showing
from dreamvid.media.film import Film
from dreamvid.media.numbered import frames_at
from dreamvid.media.probe import read_settings
from dreamvid.media.sinks import SINKS, check_output, encoding_of, track_notes
from dreamvid.media.stills import FORMATS, Picture, check_extent
from dreamvid.media.target import check_target
from dreamvid.media.tracks import Tracks
from dreamvid.models import LayerInfo, Model
from dreamvid.models.model import check_size
from dreamvid.opening import open_film, open_picture, read_source
from dreamvid.options import Clip
from dreamvid.paths import sha256_of, what_is_at
from dreamvid.recipe import LONGEST, Recipe, motion_name, parse_recipe
from dreamvid.reel import Reel
from dreamvid.schedule import Fade, Scope
from dreamvid.timeline import Timeline

NETWORK_DIGEST = "network sha256"
"""What a finished file and a run call the digest of their network."""
AIM_DIGEST = "guides sha256"
"""What they call that of the files that their objective names."""


@dataclass(frozen=True)
class Plan:
    """A clip that can be made: everything has been read and checked."""

    recipe: Recipe
    """With the size it will have."""
    output: Path
    source: np.ndarray | Reel
    """The picture it begins with, float32 (h, w, 3) in [0, 1] at the clip's size; or the film."""
    model: Model | None
    """None where nothing is dreamed."""
    aim: Aim
    """What is dreamed of."""
    scope: Scope
    run: Run
    settings: str
    """The recipe as it is written into finished files."""

    @property
    def film(self) -> Film | None:
        """What is dreamed, where that is a film."""
        return self.source.film if isinstance(self.source, Reel) else None

    @property
    def size(self) -> Size:
        """Of the frames."""
        assert self.recipe.clip.size
        return self.recipe.clip.size

    def showing(self, count: int | None = None) -> Showing:
        """How a file shows the first frames, or all of them, and what is heard with them."""
        film, fps = self.film, self.recipe.clip.fps
        if film is None:
            return Showing(size=self.size, fps=fps, sound=self.sound)
        end = None  # all that there is
        if count is not None and count < film.count:
            end, fps = film.start + film.times[count], count / film.times[count]
        elif self.recipe.footage.end is not None:
            end = film.start + film.duration
        tracks = Tracks(film.path, film.start, end) if film.path.is_file() else None
        times = None if film.constant else film.times[:count]
        return Showing(size=self.size, fps=fps, times=times, aspect=film.aspect, tracks=tracks)

    @property
    def notes(self) -> list[str]:
        """What the user should know of a film before it is dreamed, a line each."""
        if self.film is None:
            return []
        tracks = self.showing().tracks
        return [*self.film.notes, *(track_notes(self.output, tracks) if tracks else ())]

    @property
    def sound(self) -> Path | None:
        """What is muxed into the clip; nothing where the format is silent or the clip endless."""
        silent = SINKS[self.output.suffix.lower()].sound is None or self.recipe.clip.frames is None
        return None if silent else self.recipe.sound

    @cached_property
    def depth(self) -> int:
        """Bits a channel of the frames that are kept: 8 or 16."""
        return encoding_of(self.output, self.showing(), self.recipe.output).depth

    @cached_property
    def timeline(self) -> Timeline:
        """The recipe laid out over its frames."""
        times = self.film.times if self.film else None
        return Timeline(self.recipe, self.scope, self.size, times)

    @property
    def task(self) -> str:
        """What is being done, for people."""
        if self.model is None:
            done = f"showing the {self.recipe.coherence.show} of" if self.film else "moving"
            return f"{done} {self.size} pixels"
        return _task(self.recipe, self.size)


def plan_clip(
    recipe: Recipe,
    output: Path,
    overwrite: bool = False,
    motion_only: bool = False,
    begun: Run | None = None,
    watch: Callable[[int], None] | None = None,
) -> Plan:
    """Reads and checks all that a clip needs; makes nothing.

    Args:
      recipe: What to make.
      output: The clip to make. An endless clip's is numbered: out-0001.mp4 and so on.
      overwrite: Whether an existing file may be replaced.
      motion_only: Whether the camera moves without dreaming.
      begun: A run that shall be finished as it is, for which the network need not be at hand.
      watch: Told how many pictures of a film have been looked through.

    Raises:
      DreamError: Something about the files, the network or the recipe will not do.
    """
    if recipe.clip.frames is None and "%" in output.name:
        raise MediaError(f"output {output}: an endless clip is numbered by itself, name a clip")
    dreaming = not motion_only and recipe.coherence.show == "dream"
    model, network = None, "none"
    aim = Aim(recipe)
    recipe = _with_network(recipe)
    if begun:
        network = begun.fingerprint.get(NETWORK_DIGEST, "unknown")
    elif dreaming:
        recipe, model, aim = _load(recipe)
        network = store.digest(recipe.network)
    if recipe.kind == "video":
        showing = Showing(size=recipe.footage.size, fps=recipe.footage.fps or Fraction(1))
        # Before it is looked through, which may take a while.
        replaces = overwrite or what_is_at(run_folder(output)) != "nothing"
        check_output(output, showing, recipe.output, replaces)
        opened = open_film(recipe, output, watch)
    else:
        showing = Showing(size=recipe.clip.size, fps=recipe.clip.fps)
        check_output(output, showing, recipe.output, overwrite=True)
        opened = open_picture(recipe, output)
    recipe = opened.recipe
    scope = recipe.scope(opened.signals)
    recipe.check(scope, opened.moments)
    assert recipe.clip.size
    aim = replace(aim, recipe=recipe)
    if model:
        _check_layers(aim, model, recipe.clip.size)
    for times in recipe.times(opened.moments):
        aim.check(times, scope)
    of_aim = aim.digest() or (begun.fingerprint.get(AIM_DIGEST, "") if begun else "")
    digests = {
        **opened.digests,
        NETWORK_DIGEST: network,
        **({AIM_DIGEST: of_aim} if of_aim else {}),
        **({"tables sha256": scope.digest()} if scope.digest() else {}),
        **({"camera only": "not dreamed"} if motion_only else {}),
    }
    device = jax.devices()[0]
    fingerprint = {
        **_flat(recipe),
        **digests,
        "dreamvid": __version__,
        "jax": jax.__version__,
        "device": f"{device.platform} {device.device_kind}",
        "bits": str(encoding_of(output, showing, recipe.output).depth),
    }
    target = output.absolute()
    folder = str(recipe.folder.absolute())
    run = Run(recipe.to_toml(), folder, str(target), overwrite, motion_only, fingerprint)
    settings = _settings(recipe, output, digests)
    plan = Plan(recipe, output, opened.source, model, aim, scope, run, settings)
    _ = plan.timeline.margin  # raises where the camera looks behind itself
    _check_names(plan)
    return plan


@dataclass(frozen=True)
class StillPlan:
    """A still that can be made: everything has been read and checked."""

    recipe: Recipe
    output: Path
    overwrite: bool
    picture: Picture
    """What is dreamed."""
    model: Model
    aim: Aim
    """What is dreamed of."""
    settings: str
    """The recipe as it is written into the file."""

    @property
    def task(self) -> str:
        """What is being done, for people."""
        return _task(self.recipe, self.picture.size)


def plan_still(recipe: Recipe, output: Path, overwrite: bool = False) -> StillPlan:
    """Reads and checks all that a still needs; makes nothing.

    Args:
      recipe: What to make.
      output: The picture to make.
      overwrite: Whether an existing file may be replaced.

    Raises:
      DreamError: Something about the files, the network or the recipe will not do.
    """
    check_target(output, FORMATS, overwrite)
    picture = read_source(recipe.picture, output)
    check_extent(output, picture.size)
    recipe = _with_network(replace(recipe, kind="image", clip=Clip(frames=1)))
    recipe.check(recipe.scope())
    recipe, model, aim = _load(recipe)
    _check_layers(aim, model, picture.size)
    aim.check(np.zeros(1), recipe.scope())
    of_aim = aim.digest()
    digests = {
        "picture sha256": sha256_of(recipe.picture),
        NETWORK_DIGEST: store.digest(recipe.network),
        **({AIM_DIGEST: of_aim} if of_aim else {}),
    }
    settings = _settings(recipe, output, digests)
    return StillPlan(recipe, output, overwrite, picture, model, aim, settings)


def plan_of(
    folder: Path, dreaming: bool = True, watch: Callable[[int], None] | None = None
) -> Plan:
    """The plan that a run folder was made for.

    Args:
      folder: The run folder.
      dreaming: Whether more frames will be dreamed, for which the network must be at hand.
      watch: As `plan_clip` has it.

    Raises:
      DreamError: It is no run folder, or what it needs has gone or changed.
    """
    if what_is_at(folder) != "folder":
        raise DreamError(f"no run folder at {folder}: name one such as {run_folder(folder).name}")
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
    if dreaming and not run.motion_only:
        try:
            store.find(recipe.network)
        except DreamError as error:
            raise DreamError(f"{folder} needs the network it was begun with: {error}") from None
    begun = None if dreaming else run
    plan = plan_clip(recipe, output, run.overwrite, run.motion_only, begun, watch)
    if difference := plan.run.differs_from(run):
        end = ", or finish it as it is with --finish" if dreaming else ""
        raise DreamError(
            f"{folder} cannot go on, it was begun with {difference}: give that again{end}"
        )
    return plan


def part_name(output: Path, number: int) -> Path:
    """The name of a part of an endless clip."""
    return output.with_name(f"{output.stem}-{number:04d}{output.suffix}")


def is_from(output: Path, settings: str) -> bool:
    """Whether what is there, all of it, was made with these settings."""
    try:
        return all(read_settings(path) == settings for path in frames_at(output) or [output])
    except MediaError:
        return False


def _check_names(plan: Plan) -> None:
    """Refuses an output that is there already, unless it is this very render's."""
    recipe, output = plan.recipe, plan.output
    folder = run_folder(output)
    begun = what_is_at(folder / "journal.json") == "file"
    own = begun and not plan.run.differs_from(read_run(folder))
    if recipe.clip.frames is not None:
        overwrite = plan.run.overwrite or (own and is_from(output, plan.settings))
        check_output(output, plan.showing(), recipe.output, overwrite)
        return
    check_output(output, plan.showing(), recipe.output, overwrite=True)
    for part in sorted(output.parent.glob(f"{escape(output.stem)}-[0-9]*{output.suffix}")):
        if not (plan.run.overwrite or (own and is_from(part, plan.settings))):
            raise MediaError(f"output {part} exists: add --overwrite, or choose another name")


def _with_network(recipe: Recipe) -> Recipe:
    """The same with the network that it will use by name, where it says "auto"."""
    model = store.resolve(recipe.general.model)
    return replace(recipe, general=replace(recipe.general, model=model))


def _task(recipe: Recipe, size: Size) -> str:
    of = recipe.ascent.objective or ", ".join(recipe.layers)
    return f"dreaming {size} pixels at {of} of {recipe.network}"


def _load(recipe: Recipe) -> tuple[Recipe, Model, Aim]:
    """The recipe with the layers that it will dream of, all of the network; that; and the aim."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where it must not use the CPU
        reason = str(error) or "none of the kind that JAX_PLATFORMS names"
        raise DreamError(f"JAX finds no device ({reason}): unset JAX_PLATFORMS") from None
    precision = recipe.general.precision
    if precision == "auto":
        precision = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    model = store.load(recipe.network).in_precision(precision)
    recipe = recipe.with_layer(model.favourite(recipe.kind))
    aim = Aim.of(recipe, model)
    _check_layers(aim, model)
    return recipe, model, aim


def _check_layers(aim: Aim, model: Model, size: Size | None = None) -> None:
    """Refuses layers that the network has not, or that need larger frames."""
    recipe = aim.recipe
    for layer in aim.layers:
        try:
            smallest = model.layer(layer).smallest  # raises where there is no such layer
            if size:
                check_size(size.width, size.height, f"a frame dreamed at {layer}", smallest)
        except DreamError as error:
            fade, excerpt = recipe.ascent.layer, ""
            if isinstance(fade, Fade):
                excerpt = ScheduleError("", fade.text, fade.position_of(layer)).excerpt()
            named = "--layer:" if recipe.ascent.objective is None else "--objective:"
            raise OptionError(named, _refusal(error, recipe.network), excerpt) from None


def find_layer(model: Model, layer: str, network: str) -> LayerInfo:
    """The facts about the layer that --layer names.

    Args:
      model: The network.
      layer: The name.
      network: What the user calls the network.

    Raises:
      OptionError: There is no such layer.
    """
    try:
        return model.layer(layer)
    except DreamError as error:
        raise OptionError("--layer:", _refusal(error, network)) from None


def _refusal(error: DreamError, network: str) -> str:
    """What is told of a layer that a network has not, with where its layers are listed."""
    return str(error).replace("dreamvid layers", f"dreamvid layers --model {network}")


def _settings(recipe: Recipe, output: Path, facts: dict[str, str]) -> str:
    """What a finished file says of itself; names of files start from its own folder."""
    text = recipe.rebased(output.parent).to_toml(facts)
    if len(text.encode()) > LONGEST:
        raise DreamError(f"the recipe has more than {LONGEST} bytes: a table takes long schedules")
    return text


def _flat(recipe: Recipe) -> dict[str, str]:
    """The options that decide the frames, by name."""
    flat = {"camera.motion": motion_name(recipe.camera)}
    for name, group in recipe.groups.items():
        if name != "output":
            flat |= {f"{name}.{key}": str(value) for key, value in vars(group).items()}
    return flat
