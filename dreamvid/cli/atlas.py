"""dreamvid atlas: every channel's dream beside what excites it in pictures."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from dreamvid.cli.flags import Network, Overwrite, output, with_group
from dreamvid.options import ATLAS

Layer = Annotated[str, typer.Option(help="Layer of the network. See: dreamvid layers.")]
Pictures = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Show the crops of these pictures, in folders within it too, that excite a channel "
        "most.",
        show_default="none",
    ),
]
Channels = Annotated[str, typer.Option(metavar="<list>", help="Such as 0-63,100, or all.")]
Crops = Annotated[int, typer.Option(min=0, max=16, help="Crops of pictures for each channel.")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Randomness; the same seed, the same atlas.")
]


@with_group(ATLAS, "Ascent")
def command(
    changes: dict[str, Any],
    *,
    layer: Layer,
    output: output("A page to search in, .html; or a sheet, .png."),  # type: ignore[valid-type]
    model: Network = "auto",
    pictures: Pictures = None,
    channels: Channels = "all",
    crops: Crops = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Make the atlas of a layer: what each channel dreams of, and what excites it in pictures.

    What is stopped goes on with the same command: finished channels are kept in OUTPUT.run.
    """
    from dreamvid.atlas import dream_channels, look, plan_atlas, write_atlas
    from dreamvid.cli.progress import Progress, say
    from dreamvid.errors import Stopped
    from dreamvid.kept import open_run

    visual = dataclasses.replace(ATLAS, **changes)
    plan = plan_atlas(output, model, layer, channels, visual, seed, pictures, crops, overwrite)
    try:
        with open_run(plan.folder, plan.about, overwrite) as kept:
            with Progress("pictures") as progress:
                found = look(plan, kept, progress)
            if found.unreadable:
                say(f"{found.unreadable} of {len(plan.pictures)} pictures cannot be read")
            with Progress("channels") as progress:
                dreams = dream_channels(plan, kept, progress)
                write_atlas(plan, dreams, found)
                kept.clear()
                progress.made(plan.output)
    except KeyboardInterrupt:
        raise Stopped("interrupted; the same command goes on where it was") from None


command.__name__ = "atlas"
