"""dreamvid settings: how a finished file was made."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A clip or picture that dreamvid made.")
    ],
) -> None:
    """Print the settings, seed and network that a finished file was made with, as a recipe."""
    from dreamvid.media.probe import read_settings
    from dreamvid.recipe import shown_recipe

    print(shown_recipe(read_settings(file), file.absolute().parent, Path.cwd()), end="")


command.__name__ = "settings"
