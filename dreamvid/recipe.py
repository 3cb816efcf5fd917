"""A recipe: all that decides what a render looks like, read, checked and written down."""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from dreamvid import __version__
from dreamvid.camera import MOTIONS, Motion, Zoom
from dreamvid.errors import DreamError, OptionError
from dreamvid.fields import Options, Size, read_option
from dreamvid.options import Anchors, Ascent, Clip, Coherence, Footage, General, Output
from dreamvid.paths import packaged, seen_from_here, what_is_at
from dreamvid.registry import unknown_name
from dreamvid.schedule import Fade, Schedule, Scope
from dreamvid.terms import Terms

if TYPE_CHECKING:
    from dreamvid.media.film import Film  # which needs libraries that --help does without

_GROUPS_OF = {
    "zoom": ("general", "ascent", "camera", "anchors", "clip", "output"),
    "video": ("general", "ascent", "footage", "coherence", "output"),
    "image": ("general", "ascent"),
}
KINDS = tuple(_GROUPS_OF)
"""What can be made: an endless zoom, a dreamed film, or a still."""
AUTO = "auto"
"""The layer that the network itself prefers."""
LONGEST = 1 << 16
"""Bytes of a recipe; video files have no room for more."""
FORESEEN = 100_000
"""Ticks of an endless clip that are looked at beforehand."""


@dataclass(frozen=True)
class Recipe:
    """The options of one render, in groups. A still is a clip of one frame."""

    general: General = General()
    ascent: Ascent = Ascent()
    camera: Motion = Zoom()
    footage: Footage = Footage()
    coherence: Coherence = Coherence()
    anchors: Anchors = Anchors()
    clip: Clip = Clip()
    """Of a film its own length, rate and size, as soon as they are known."""
    output: Output = Output()
    kind: str = "zoom"
    """One of KINDS."""
    source: str | None = None
    """The picture it begins with, or the film; None is the sample sky."""
    folder: Path = field(default=Path(), compare=False)
    """What relative names of files start from; the current one by default."""

    @property
    def groups(self) -> dict[str, Options]:
        """The groups of options that matter to what is made."""
        return {name: getattr(self, name) for name in _GROUPS_OF[self.kind]}

    @property
    def picture(self) -> Path:
        """The file it begins with, or the film."""
        if self.source is None:
            return packaged("samples") / "sky.jpg"
        return seen_from_here(self.folder, self.source)

    @property
    def sound(self) -> Path | None:
        """The file whose sound goes with the clip."""
        audio = self.clip.audio
        return None if audio is None else seen_from_here(self.folder, audio)

    @property
    def mask(self) -> Path | None:
        """The file that tells where a film is dreamed."""
        mask = self.footage.mask
        return None if mask is None else seen_from_here(self.folder, mask)

    @property
    def network(self) -> str:
        """The name or the file of the network."""
        name = self.general.model
        return str(seen_from_here(self.folder, name)) if _is_file(name) else name

    @property
    def tick(self) -> float:
        """Ticks from one frame to the next."""
        return float(self.clip.schedule_fps / self.clip.fps)

    @property
    def dreamed_frames(self) -> int | None:
        """How many frames the loop has to make; the way back of a pingpong repeats them."""
        count = self.clip.frames
        return count // 2 + 1 if count and self.clip.loop == "pingpong" else count

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that it dreams of at one time or another, where it names no objective."""
        layer = self.ascent.layer
        return layer.names if isinstance(layer, Fade) else (layer,)

    def for_film(self, film: "Film") -> "Recipe":
        """The recipe with the length, rate and size of a film.

        Args:
          film: What it will be made of.
        """
        return replace(self, clip=Clip(frames=film.count, fps=film.fps, size=film.size))

    @property
    def hears(self) -> bool:
        """Whether a schedule listens to a sound."""
        moving = [s for group in self.groups.values() for s in group.animated().values()]
        within = [value.schedule for s in moving if isinstance(s, Terms) for value in s.values]
        return any(isinstance(s, Schedule) and s.uses for s in (*moving, *within))

    def with_layer(self, favourite: str) -> "Recipe":
        """The recipe with a layer where it leaves that to the network.

        Args:
          favourite: What the network prefers.
        """
        if self.ascent.layer != AUTO or self.ascent.objective is not None:
            return self
        return replace(self, ascent=replace(self.ascent, layer=favourite))

    def scope(self, signals: Mapping[str, np.ndarray] | None = None) -> Scope:
        """What its schedules may refer to.

        Args:
          signals: The loudness of its sound, from `dreamvid.media.audio`.
        """
        frames = self.dreamed_frames
        length = float("inf") if frames is None else frames * self.tick
        ticks_a_second = float(self.clip.schedule_fps)
        return Scope(length, ticks_a_second, self.general.seed, signals or {}, self.folder)

    def at(self, tick: float, scope: Scope) -> "Recipe":
        """The recipe of one moment: numbers in place of schedules.

        Args:
          tick: The moment.
          scope: From `scope`.
        """
        # The camera is asked at whole ticks, by whoever moves it.
        moving = (name for name in self.groups if name != "camera")
        return replace(self, **{name: getattr(self, name).at(tick, scope) for name in moving})

    def check(self, scope: Scope, moments: np.ndarray | None = None) -> None:
        """Refuses what cannot be made together, and schedules that leave their bounds.

        Args:
          scope: From `scope`.
          moments: float64 (frames,): when each frame is shown, in ticks; None where they follow
            each other at the clip's rate.

        Raises:
          OptionError: Something does not fit.
        """
        frames, clip = self.clip.frames, self.clip
        if frames is None and clip.loop != "none":
            raise _misfit("clip.loop", f"is {clip.loop}, but an endless clip has no end: use none")
        if clip.loop == "pingpong" and frames is not None and (frames % 2 or frames < 4):
            raise _misfit(
                "clip.frames", f"is {frames}: a pingpong needs an even number of at least 4"
            )
        if clip.loop == "closed" and frames is not None and frames <= clip.overlap:
            problem = f"is {clip.overlap}: a closed loop of {frames} frames needs it shorter"
            raise _misfit("clip.overlap", problem)
        if clip.draft and clip.loop == "closed":
            raise _misfit("clip.draft", "cannot close a loop: use --loop pingpong, or no draft")
        if clip.draft and frames is None:
            raise _misfit("clip.draft", "needs a clip that ends: give --frames a number")
        for times in self.times(moments):
            # The camera is asked at every whole tick between the frames.
            ticks = np.arange(np.floor(times[0]), np.ceil(times[-1]) + 1)
            for name, group in self.groups.items():
                group.check_over(
                    ticks if name == "camera" else times,
                    scope,
                    lambda f, n=name: _both(f"{n}.{f.name}"),
                )

    def times(self, moments: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """When each frame is shown, in ticks; of an endless clip's some.

        Args:
          moments: float64 (frames,), where they do not follow each other at the clip's rate.

        Yields:
          float64 (n,): a handy piece of them.
        """
        for start, count in _stretches(self.dreamed_frames, self.tick):
            if moments is None:
                yield (start + np.arange(count)) * self.tick
            else:
                yield moments[start : start + count]

    def rebased(self, folder: Path) -> "Recipe":
        """The same with names of files that start from another folder."""

        def moved(name: str) -> str:
            path = (self.folder / name).absolute()
            try:
                return os.path.relpath(path, folder.absolute())
            except ValueError:  # on another drive
                return str(path)

        model, audio, mask = self.general.model, self.clip.audio, self.footage.mask
        objective = self.ascent.objective
        return replace(
            self,
            folder=folder,
            source=None if self.source is None else moved(self.source),
            general=replace(self.general, model=moved(model) if _is_file(model) else model),
            ascent=replace(self.ascent, objective=objective and objective.with_files(moved)),
            clip=replace(self.clip, audio=None if audio is None else moved(audio)),
            footage=replace(self.footage, mask=None if mask is None else moved(mask)),
        )

    def to_toml(self, facts: Mapping[str, str] | None = None) -> str:
        """The recipe as a file that `read_recipe` reads.

        Args:
          facts: What else there is to know of a finished file, put down as comments.
        """
        notes = "".join(f"# {name}: {fact}\n" for name, fact in (facts or {}).items())
        table: dict[str, Any] = {"kind": self.kind}
        if self.source is not None:
            table["source"] = self.source
        for name, options in self.groups.items():
            table[name] = {"motion": motion_name(self.camera)} if name == "camera" else {}
            for f in fields(options):  # type: ignore[arg-type]
                value = getattr(options, f.name)
                if value is not None or f.default is not None:
                    table[name][f.name] = f.metadata["unset"] if value is None else _plain(value)
        return f"# dreamvid {__version__}\n{notes}\n{tomli_w.dumps(table)}"

    def own(self, key: str) -> str:
        """Where this kind of recipe has the option that another has at a place.

        Args:
          key: Such as "clip.size".

        Returns:
          Such as "footage.size"; the same where it has none.
        """
        name = key.partition(".")[2]
        groups = self.groups
        for group, options in groups.items() if key.partition(".")[0] not in groups else ():
            if name in {f.name for f in fields(options)}:  # type: ignore[arg-type]
                return f"{group}.{name}"
        return key

    def change(
        self, values: Mapping[str, Any], shown: Callable[[str], str] = lambda key: key
    ) -> "Recipe":
        """The recipe with some options changed.

        Args:
          values: "ascent.rate" and the like -> a value, or its text. "camera.motion" takes another
            motion, with that one's defaults; "ascent.preset" sets the ascent up as one of STYLES. A
            layer takes the place of an objective, and the other way round.
          shown: How an option is called in errors.

        Raises:
          UnknownNameError: There is no such option.
          OptionError: A value cannot be used.
        """
        values, new = _settled(values, shown), {}
        if "camera.motion" in values:
            motion = values["camera.motion"]
            if not isinstance(motion, str):
                raise OptionError(shown("camera.motion"), f"is {motion}: it must be a name")
            if motion != motion_name(self.camera):
                new["camera"] = MOTIONS[motion]()
        for key, value in values.items():
            if key == "camera.motion":
                continue
            if key in ("kind", "source"):
                if not isinstance(value, str):
                    raise OptionError(shown(key), f"is {value}: it must be a text")
                new[key] = value
                continue
            name, _, option = key.partition(".")
            group = new.get(name) or getattr(self, name) if name in self.groups else None
            own = {f.name: f for f in fields(group)} if group else {}  # type: ignore[arg-type]
            if option not in own:
                raise _unknown(key, replace(self, **new), shown(key))
            try:
                value = read_option(own[option], value)
            except OptionError as error:
                raise OptionError(shown(key), error.problem, error.excerpt) from None
            new[name] = replace(group, **{option: value})  # type: ignore[type-var]
        changed = replace(self, **new)
        if changed.kind not in KINDS:
            see = f"Known: {', '.join(KINDS)}"
            raise unknown_name("kind", changed.kind, KINDS, see)
        return changed


def _settled(values: Mapping[str, Any], shown: Callable[[str], str]) -> dict[str, Any]:
    """The values with those of a preset, and with a layer or an objective but not both."""
    settled = dict(values)
    if (preset := settled.pop("ascent.preset", None)) is not None:
        if preset not in STYLES:
            see = f"Known: {', '.join(STYLES)}"
            problem = unknown_name("preset", str(preset), STYLES, see)
            raise OptionError(shown("ascent.preset"), f"is {preset!r}: {problem}")
        settled = {f"ascent.{key}": value for key, value in STYLES[preset].items()} | settled
    layer, objective = (settled.get(f"ascent.{name}") for name in ("layer", "objective"))
    if layer not in (None, AUTO) and objective not in (None, "none"):
        problem = f"is given, and {shown('ascent.layer')} too: give one of them"
        raise OptionError(shown("ascent.objective"), problem)
    if layer not in (None, AUTO):
        settled["ascent.objective"] = None
    elif objective not in (None, "none"):
        settled["ascent.layer"] = AUTO
    elif layer == AUTO:
        settled.setdefault("ascent.objective", None)
    return settled


STYLES: dict[str, dict[str, Any]] = {
    # google/deepdream, dream.ipynb, 2015.
    "classic": {
        "steps": 10,
        "rate": 1.5,
        "octaves": 4,
        "octave_scale": 1.4,
        "octaves_above": 0,
        "octave_carry": "detail",
        "jitter": 32,
        "gradient": "mean",
        "optimizer": "plain",
    },
    # gordicaleksa/pytorch-deepdream, deepdream.py: a rate of 0.09 in deviations of ImageNet's
    # colours, which are 0.226 of the range on average.
    "smooth": {
        "steps": 10,
        "rate": 5.2,
        "octaves": 4,
        "octave_scale": 1.8,
        "octaves_above": 0,
        "octave_carry": "image",
        "jitter": 32,
        "gradient": "smooth",
        "optimizer": "plain",
    },
    # TensorFlow 1's deepdream.ipynb, render_lapnorm: shifts of up to a tile of 512 pixels.
    "laplacian": {
        "steps": 10,
        "rate": 1.0,
        "octaves": 3,
        "octave_scale": 1.4,
        "octaves_above": 0,
        "octave_carry": "image",
        "jitter": 256,
        "gradient": "laplacian",
        "optimizer": "plain",
    },
    # TensorFlow 2's tutorial: a step of 0.01 in a range of 2, octaves from 1.3^-2 to 1.3^2.
    "tutorial": {
        "steps": 100,
        "rate": 1.275,
        "octaves": 5,
        "octave_scale": 1.3,
        "octaves_above": 2,
        "octave_carry": "image",
        "jitter": 512,
        "gradient": "std",
        "optimizer": "plain",
    },
}
"""Ascents that people know, with the defaults of the programs they come from."""

GROUPS = tuple(dict.fromkeys(name for names in _GROUPS_OF.values() for name in names))
"""The names of all groups of options."""

CLASSIC = Recipe(kind="image")
"""What `dreamvid image` does where the user says nothing: the 2015 program's dream."""

ZOOM = Recipe(ascent=Ascent(steps=2))
"""What `dreamvid zoom` does where the user says nothing: quick enough for two cores."""

VIDEO = Recipe(kind="video")
"""What `dreamvid video` does where the user says nothing."""

PRESETS = {"zoom": ZOOM, "video": VIDEO, "image": CLASSIC}
"""What a recipe of each kind leaves unsaid."""


def motion_name(motion: Motion) -> str:
    """The name under which a motion is registered."""
    return next(name for name in MOTIONS if type(motion) is MOTIONS[name])


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, or the name of one that ships with dreamvid.

    Raises:
      UnknownNameError: There is neither.
    """
    path = Path(name)
    if what_is_at(path) == "file" or path.suffix == ".toml":
        return path
    known = shipped_recipes()
    if name not in known:
        raise unknown_name("recipe", name, known, f"Known: {', '.join(known)}")
    return known[name]


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes of renders that ship with dreamvid."""
    files = sorted(packaged("pipelines").glob("*.toml"))
    return {path.stem: path for path in files if not path.stem.startswith("train-")}


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; what it leaves out is as in the preset of its kind.

    Raises:
      DreamError: There is no such file, it is not TOML, or an option in it cannot be used.
    """
    if what_is_at(path) != "file":
        raise DreamError(f"no recipe at {path}: check the path, or see: dreamvid render --list")
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise DreamError(f"{path} is larger than {LONGEST} bytes: it is no recipe")
        return parse_recipe(data.decode(), path.parent.absolute())
    except OSError as error:
        raise DreamError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DreamError(f"{path} is no recipe: it is not UTF-8 text") from None
    except OptionError as error:
        raise OptionError(f"{path}:", str(error), error.excerpt) from None
    except DreamError as error:
        raise type(error)(f"{path}: {error}") from None


def parse_recipe(text: str, folder: Path) -> Recipe:
    """The recipe that a TOML text describes.

    Args:
      text: TOML: tables of options, `kind` and `source`.
      folder: What relative names in it start from.

    Raises:
      DreamError: It is not TOML, or an option in it cannot be used.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers too long for Python among them
        raise DreamError(f"it is not TOML: {error}") from None
    values = {}
    for name, value in table.items():
        if isinstance(value, dict):
            values |= {f"{name}.{option}": content for option, content in value.items()}
        elif name in GROUPS:
            raise OptionError(name, f"is {value!r}: it must be a table of options")
        else:
            values[name] = value
    preset = PRESETS.get(str(values.get("kind")), ZOOM)
    return replace(preset, folder=folder).change(values)


def shown_recipe(text: str, folder: Path, here: Path) -> str:
    """The recipe in a finished file, with names of files as they are from another folder.

    Args:
      text: What `Recipe.to_toml` wrote; one of comments alone comes back as it is.
      folder: Of the file, from which names in it start.
      here: From which they shall start.
    """
    notes = [line for line in text.splitlines() if line.startswith("# ")]
    if len(notes) == len(text.splitlines()):  # of a sheet, which no recipe makes
        return text.rstrip("\n") + "\n"
    body = parse_recipe(text, folder).rebased(here).to_toml().partition("\n")[2]
    return "\n".join(notes) + "\n" + body


def flag_of(key: str) -> str:
    """An option's flag: "ascent.octave_scale" -> "--octave-scale"."""
    return "--" + key.rpartition(".")[2].replace("_", "-")


def _unknown(key: str, recipe: Recipe, shown: str) -> DreamError:
    groups = recipe.groups
    group, _, option = key.partition(".")
    if group in GROUPS and group not in groups:
        of = " or ".join(kind for kind, names in _GROUPS_OF.items() if group in names)
        return OptionError(shown, f"is for the kind {of}: this recipe is of kind {recipe.kind}")
    owners = [m for m in MOTIONS if option in {f.name for f in fields(MOTIONS[m])}]  # type: ignore[arg-type]
    if group == "camera" and "camera" in groups and owners:
        motion = motion_name(recipe.camera)
        return OptionError(shown, f"is for the motion {' or '.join(owners)}: this one is {motion}")
    known = ["kind", "source", *(["camera.motion"] if "camera" in groups else [])]
    for name, options in groups.items():
        known += [f"{name}.{f.name}" for f in fields(options)]  # type: ignore[arg-type]
    see = f"Options of {group}: " if group in groups else "Groups: "
    names = [k.partition(".")[2] for k in known if k.startswith(f"{group}.")] or groups
    of = {"image": "a still", "video": "a film"}.get(recipe.kind, "")
    return unknown_name("option", key, known, see + ", ".join(names), of)


def _both(key: str) -> str:
    """An option by its flag and by its place in a recipe, for whoever wrote either."""
    return f"{flag_of(key)} ({key})"


def _misfit(key: str, problem: str) -> OptionError:
    return OptionError(_both(key), problem)


def _is_file(network: str) -> bool:
    return Path(network).suffix != "" or Path(network).name != network


def _stretches(frames: int | None, tick: float) -> list[tuple[int, int]]:
    """(first frame, number of frames) of handy pieces of a clip."""
    total = frames if frames is not None else int(FORESEEN / tick)
    size = 100_000
    return [(start, min(size, total - start)) for start in range(0, total, size)]


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction) and value.denominator == 1:
        return int(value)
    return str(value) if isinstance(value, Size | Fraction | Schedule | Fade | Terms) else value
