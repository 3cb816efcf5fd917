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

    print(read_settings(file), end="")


command.__name__ = "settings"
