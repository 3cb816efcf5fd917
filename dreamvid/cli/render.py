"""dreamvid render: what a recipe says."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from dreamvid.cli.flags import DryRun, Keep, MotionOnly, Overwrite, Seeds, with_options
from dreamvid.cli.work import make
from dreamvid.errors import OptionError, ScheduleError
from dreamvid.recipe import (
    VIDEO,
    ZOOM,
    Recipe,
    find_recipe,
    flag_of,
    read_recipe,
    shipped_recipes,
)
from dreamvid.terms import Terms


@with_options(ZOOM, VIDEO, defaults=False)
def command(
    flags: dict[str, str],
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="IN", help="Picture to begin with, or film.", show_default="the recipe's"
        ),
    ] = None,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to make.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="<a.b=c>", help="Change an option; as often as you like."),
    ] = None,
    overwrite: Overwrite = False,
    keep: Keep = False,
    motion_only: MotionOnly = False,
    dry_run: DryRun = False,
    seeds: Seeds = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List the recipes that ship with dreamvid.")
    ] = False,
) -> None:
    """Render a recipe: every option of zoom, video or image in one TOML file.

    Flags go before --set, that before the recipe: dreamvid render circus -o out.mp4 --frames 300
    """
    if show_list:
        for name, path in shipped_recipes().items():
            first = path.read_text(encoding="utf-8").splitlines()[0]
            print(f"{name:<12} {first.lstrip('# ')}")
        return
    if recipe is None:
        raise OptionError("RECIPE", "is missing: name a file, or see: dreamvid render --list")
    values = {}
    for change in changes or ():
        key, equals, value = change.partition("=")
        if not equals:
            raise OptionError("--set", f"is {change!r}: write it as ascent.rate=2")
        values[key.strip()] = value.strip()
    if "kind" in values:
        raise OptionError("--set kind", "cannot change what a recipe makes: write another recipe")
    made = read_recipe(find_recipe(recipe)).change(_from_here(values))
    made = made.change({made.own(key): text for key, text in _from_here(flags).items()}, flag_of)
    if source is not None:
        made = dataclasses.replace(made, source=str(source.absolute()))
    if output is None:
        if not dry_run:
            raise OptionError("--output", "is missing: name the file to make, such as -o out.mp4")
        # Something that its codec fits into; whatever is there does not matter.
        output, overwrite = Path(f"out{_suffix(made)}"), True
    make(made, output, overwrite, keep=keep, motion_only=motion_only, dry_run=dry_run, seeds=seeds)


def _from_here(values: dict[str, str]) -> dict[str, str]:
    """Names of files in what was written here start from here, not from the recipe's folder."""
    named = {"source", "clip.audio", "footage.mask", "general.model"}

    def found(name: str) -> str:
        return str(Path(name).absolute()) if Path(name).exists() else name

    moved = {key: found(text) if key in named else text for key, text in values.items()}
    if text := values.get("ascent.objective"):
        with contextlib.suppress(ScheduleError):  # which is told where it is read
            moved["ascent.objective"] = str(Terms.parse(text).with_files(found))
    return moved


def _suffix(recipe: Recipe) -> str:
    from dreamvid.media.sinks import SINKS

    if recipe.kind == "image":
        return ".png"
    codec = recipe.output.codec
    fitting = (s for s in SINKS if codec in (None, *(c.name for c in SINKS[s].codecs)))
    suffix = next(fitting, ".mp4")
    return f"-%05d{suffix}" if SINKS[suffix].numbered else suffix


command.__name__ = "render"
