"""dreamvid settings: how a finished file was made."""

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A clip or picture that dreamvid made.")
    ],
) -> None:
    """Print the settings, seed and network that a finished file was made with, as JSON."""
    from dreamvid.media.probe import read_settings

    print(json.dumps(read_settings(file), indent=2))


command.__name__ = "settings"
