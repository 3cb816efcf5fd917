"""dreamvid zoom: an endless zoom into a picture."""

import dataclasses
from typing import Annotated

import typer

from dreamvid.cli.flags import DryRun, Keep, MotionOnly, Overwrite, Seeds, output, with_options
from dreamvid.cli.work import make
from dreamvid.recipe import ZOOM, flag_of


@with_options(ZOOM)
def command(
    changes: dict[str, str],
    picture: Annotated[
        str | None,
        typer.Argument(metavar="IMAGE", help="Where to begin.", show_default="a sample sky"),
    ] = None,
    *,
    output: output("The clip to make: .mp4, .mov, .mkv, .webm, .gif, .webp or frame-%05d.png."),  # type: ignore[valid-type]
    overwrite: Overwrite = False,
    keep: Keep = False,
    motion_only: MotionOnly = False,
    dry_run: DryRun = False,
    seeds: Seeds = None,
) -> None:
    """Make an endless zoom: each dreamed frame, moved by the camera, is the next one's seed.

    The defaults are a preset for good-looking clips in about two minutes on two CPU cores.

    A <schedule> is a number, or a text of keys: --zoom "0:(1.01), 3s:(1.05) ease_in_out, 9s:(1)".

    What is stopped goes on when the same command is given again.
    """
    recipe = dataclasses.replace(ZOOM, source=picture).change(changes, flag_of)
    make(
        recipe, output, overwrite, keep=keep, motion_only=motion_only, dry_run=dry_run, seeds=seeds
    )


command.__name__ = "zoom"
