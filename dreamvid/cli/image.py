"""dreamvid image: one still."""

import dataclasses
from typing import Annotated

import typer

from dreamvid.cli.flags import Overwrite, Seeds, output, with_options
from dreamvid.cli.work import make
from dreamvid.recipe import CLASSIC, flag_of


@with_options(CLASSIC)
def command(
    changes: dict[str, str],
    picture: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to dream.")],
    *,
    output: output("The picture to make: .png, .jpg, .webp or .tiff."),  # type: ignore[valid-type]
    overwrite: Overwrite = False,
    seeds: Seeds = None,
) -> None:
    """Dream a still at its own size. PNG, JPEG, WebP and TIFF are written; transparency is kept."""
    recipe = dataclasses.replace(CLASSIC, source=picture).change(changes, flag_of)
    make(recipe, output, overwrite, seeds=seeds)


command.__name__ = "image"
