"""dreamvid image: one still."""

from pathlib import Path
from typing import Annotated

import typer

from dreamvid.cli.flags import Output, Overwrite, with_options
from dreamvid.cli.progress import Progress
from dreamvid.recipe import CLASSIC, Recipe


@with_options(CLASSIC, "general", "ascent")
def command(
    recipe: Recipe,
    picture: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture to dream.")],
    *,
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Dream a still at its own size. PNG, JPEG, WebP and TIFF are written; transparency is kept."""
    from dreamvid.render import render_still

    with Progress(1) as progress:
        render_still(recipe, picture, output, overwrite, progress)
    print(output)


command.__name__ = "image"
