"""dreamvid video: a film, dreamed."""

import dataclasses
from typing import Annotated

import typer

from dreamvid.cli.flags import DryRun, Keep, Overwrite, output, with_options
from dreamvid.cli.work import make
from dreamvid.recipe import VIDEO, flag_of


@with_options(VIDEO)
def command(
    changes: dict[str, str],
    film: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A video, an animated GIF, or stills such as frame-%05d.png or 'frames/*.png'.",
        ),
    ],
    *,
    output: output("The clip to make: .mp4, .mov, .mkv, .webm, .gif, .webp or frame-%05d.png."),  # type: ignore[valid-type]
    overwrite: Overwrite = False,
    keep: Keep = False,
    dry_run: DryRun = False,
) -> None:
    """Dream a film: what is dreamed sticks to what moves.

    Sound, subtitles, chapters and the times of the pictures stay as they are.

    The film is looked through first, for its cuts; --dry-run tells of them.

    What is stopped goes on when the same command is given again.
    """
    recipe = dataclasses.replace(VIDEO, source=film).change(changes, flag_of)
    make(recipe, output, overwrite, keep=keep, dry_run=dry_run)


command.__name__ = "video"
