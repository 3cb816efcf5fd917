"""dreamvid render: what a recipe says."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from dreamvid.cli.flags import DryRun, Keep, MotionOnly, Overwrite, with_options
from dreamvid.cli.work import make
from dreamvid.errors import OptionError
from dreamvid.recipe import ZOOM, find_recipe, flag_of, read_recipe, shipped_recipes


@with_options(ZOOM, defaults=False)
def command(
    flags: dict[str, str],
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="Where to begin.", show_default="the recipe's"),
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
    show_list: Annotated[
        bool, typer.Option("--list", help="List the recipes that ship with dreamvid.")
    ] = False,
) -> None:
    """Render a recipe: every option of zoom or image in one TOML file.

    Flags go before --set, that before the recipe: dreamvid render tunnel -o out.mp4 --frames 300
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
    made = read_recipe(find_recipe(recipe)).change(values).change(flags, flag_of)
    if picture is not None:
        made = dataclasses.replace(made, source=os.path.relpath(picture, made.folder))
    if output is None and not dry_run:
        raise OptionError("--output", "is missing: name the file to make, for example -o out.mp4")
    suffix = ".png" if made.kind == "image" else ".mp4"
    target = output or Path(f"out{suffix}")
    make(made, target, overwrite, keep=keep, motion_only=motion_only, dry_run=dry_run)


command.__name__ = "render"
