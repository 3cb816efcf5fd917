"""Flags made from the dataclasses of `dreamvid.options`, so that each option is declared once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from dreamvid.camera import MOTIONS
from dreamvid.fields import Options, flag, kind_of
from dreamvid.recipe import STYLES, Recipe

Decorator: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]
"""Gives a command flags."""

Network = Annotated[
    str, typer.Option("--model", help="Network: a name (see: dreamvid weights list), or a file.")
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an existing output, and a run of something else."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the run folder of a finished clip.")]
MotionOnly = Annotated[
    bool, typer.Option("--motion-only", help="Move the camera without dreaming, to see its path.")
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="<1..16>",
        help="Make one for each seed, all at once: out-seed1.mp4 and so on. Takes --seed's place.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and tell what would be done.")
]


def output(help: str) -> Any:
    """The flag that names the file to make."""
    return Annotated[Path, typer.Option("--output", "-o", help=help)]


def with_options(*presets: Recipe, defaults: bool = True) -> Decorator:
    """Gives a command one flag for each option of a recipe.

    Args:
      presets: The recipes whose options they are; where two have one of the same name, it is
        written down as the first one's.
      defaults: Whether --help shows what the preset says.

    Returns:
      A decorator for a command whose first parameter is what the user wrote, for `Recipe.change`:
      "ascent.rate" and the like -> text.
    """
    flags: dict[str, tuple[str, inspect.Parameter]] = {}
    for preset in presets:
        for key, parameter in _flags(preset, defaults):
            flags.setdefault(parameter.name, (key, parameter))
    return _decorator(flags)


def with_group(options: Options, panel: str) -> Decorator:
    """Gives a command one flag for each option of a group that no recipe has.

    Args:
      options: The group, with the defaults that --help shows.
      panel: What it is called there.

    Returns:
      A decorator for a command whose first parameter is what the user wrote: name -> text.
    """
    fields: Any = dataclasses.fields(options)  # type: ignore[arg-type]
    shown = {f.name: _shown(f, getattr(options, f.name)) for f in fields}
    return _decorator({f.name: (f.name, _parameter(f, shown[f.name], panel)) for f in fields})


def _decorator(flags: dict[str, tuple[str, inspect.Parameter]]) -> Decorator:
    """Flags by their parameters' names, each with the key under which the command gets its text."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            written = {key: given.pop(name) for name, (key, _) in flags.items()}
            command({key: text for key, text in written.items() if text is not None}, **given)

        own = list(inspect.signature(command).parameters.values())[1:]
        parameters = [*own, *(parameter for _, parameter in flags.values())]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flags(preset: Recipe, defaults: bool) -> Iterator[tuple[str, inspect.Parameter]]:
    for name, group in preset.groups.items():
        if name == "ascent":
            help = f"An ascent that people know, on which others build: {', '.join(STYLES)}."
            yield "ascent.preset", _named("preset", help, "Ascent")
        if name != "camera":
            for field in dataclasses.fields(group):  # type: ignore[arg-type]
                known = _shown(field, getattr(group, field.name)) if defaults else ""
                yield f"{name}.{field.name}", _parameter(field, known, name)
            continue
        motions = {motion: MOTIONS[motion]() for motion in MOTIONS}
        help = f"How the camera moves: {', '.join(motions)}." + (" Default: zoom." * defaults)
        yield "camera.motion", _named("motion", help, "Camera")
        for field, of in _motion_fields(motions):
            values = {m: _shown(field, getattr(motions[m], field.name)) for m in of}
            yield f"camera.{field.name}", _parameter(field, _by_motion(values, motions), name)


def _named(name: str, help: str, panel: str) -> inspect.Parameter:
    """A flag that chooses what several options are."""
    shown = typer.Option(
        f"--{name}", help=help, metavar="<name>", show_default=False, rich_help_panel=panel
    )
    return inspect.Parameter(name, _KEYWORD, default=None, annotation=Annotated[str | None, shown])


def _motion_fields(motions: dict[str, Any]) -> Iterator[tuple[dataclasses.Field, list[str]]]:
    """Each option of any motion, with the motions that have it."""
    fields = {m: {f.name: f for f in dataclasses.fields(motions[m])} for m in motions}
    for name in dict.fromkeys(name for own in fields.values() for name in own):
        of = [motion for motion in motions if name in fields[motion]]
        yield fields[of[0]][name], of


def _by_motion(values: dict[str, str], motions: dict[str, Any]) -> str:
    """Defaults that depend on the motion: "1.02" or "zoom 1.02, spiral 1.03"."""
    if len(values) == len(motions) and len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{motion} {value}" for motion, value in values.items())


def _shown(field: dataclasses.Field, value: Any) -> str:
    return field.metadata["unset"] if value is None else str(value).lower()


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _parameter(field: dataclasses.Field, known: str, group: str) -> inspect.Parameter:
    kind = kind_of(field)
    name = flag(field)
    metavar = "schedule" if field.metadata["animates"] else kind.__name__.lower()
    shown = typer.Option(
        f"{name}/--no-{name[2:]}" if kind is bool else name,
        help=field.metadata["help"] + (f" Default: {known}." if known else ""),
        metavar=None if kind is bool else f"<{metavar}>",
        show_default=False,
        rich_help_panel=group.capitalize(),
    )
    # What is not given is None, so that another motion's defaults hold; texts are read by the
    # option itself, which says in one line what is wrong with them.
    annotation = Annotated[bool | None if kind is bool else str | None, shown]
    return inspect.Parameter(field.name, _KEYWORD, default=None, annotation=annotation)
