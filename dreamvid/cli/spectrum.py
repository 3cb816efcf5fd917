"""dreamvid spectrum: one picture, dreamed at every layer."""

import dataclasses
from typing import Annotated

import typer

from dreamvid.cli.flags import Overwrite, output, with_options
from dreamvid.errors import OptionError
from dreamvid.recipe import CLASSIC, flag_of


@with_options(CLASSIC)
def command(
    changes: dict[str, str],
    picture: Annotated[
        str | None,
        typer.Argument(metavar="IMAGE", help="The picture to dream.", show_default="a sample sky"),
    ] = None,
    *,
    output: output("A sheet, .png; or a page to search in, .html."),  # type: ignore[valid-type]
    branches: Annotated[
        bool, typer.Option("--branches", help="Dream at the layers within the blocks too.")
    ] = False,
    max_side: Annotated[
        int, typer.Option("--max-side", min=16, help="Scale a larger picture down to this.")
    ] = 320,
    overwrite: Overwrite = False,
) -> None:
    """Dream one picture at every layer, low to high: strokes, textures, parts, things.

    What is stopped begins anew; each layer takes some seconds to compile.
    """
    from dreamvid.cli.progress import Progress
    from dreamvid.spectrum import plan_spectrum, render_spectrum

    for key in ("ascent.layer", "ascent.objective"):
        if key in changes:
            raise OptionError(flag_of(key), "has no place here: a spectrum is of every layer")
    recipe = dataclasses.replace(CLASSIC, source=picture).change(changes, flag_of)
    plan = plan_spectrum(recipe, output, max_side, branches, overwrite)
    with Progress("layers") as progress:
        render_spectrum(plan, progress)


command.__name__ = "spectrum"
