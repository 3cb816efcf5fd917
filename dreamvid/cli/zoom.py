"""dreamvid zoom: an endless zoom into a picture."""

from pathlib import Path
from typing import Annotated

import typer

from dreamvid.cli.flags import Output, Overwrite, with_options
from dreamvid.cli.progress import Progress
from dreamvid.paths import packaged
from dreamvid.recipe import ZOOM, Recipe


@with_options(ZOOM, *vars(ZOOM))
def command(
    recipe: Recipe,
    picture: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="Where to begin.", show_default="a sample sky"),
    ] = None,
    *,
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Make an endless zoom: each dreamed frame, moved by the camera, is the next one's seed.

    The defaults are a preset for good-looking clips in about two minutes on two CPU cores.
    """
    from dreamvid.render import render_clip

    source = picture or packaged("samples") / "sky.jpg"
    with Progress(recipe.clip.frames) as progress:
        render_clip(recipe, source, output, overwrite, progress)
    print(output)


command.__name__ = "zoom"
