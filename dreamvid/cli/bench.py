"""dreamvid bench: how fast this computer dreams."""

import dataclasses
from typing import Annotated, Any

import typer

from dreamvid.cli.flags import Network, with_group
from dreamvid.options import Ascent
from dreamvid.recipe import VIDEO, ZOOM, flag_of


@with_group(Ascent(), "Ascent")
def command(
    changes: dict[str, Any],
    *,
    size: Annotated[str, typer.Option(metavar="<size>", help="Of the clip.")] = "640x360",
    frames: Annotated[
        int, typer.Option(min=5, help="Length of the clip; more of them measure a quick device.")
    ] = 10,
    film: Annotated[
        bool, typer.Option("--film", help="Dream a film, drawn on the spot, instead of a zoom.")
    ] = False,
    batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Dream so many pictures at once, too.")
    ] = 1,
    model: Network = "auto",
) -> None:
    """Measure how fast this computer dreams, as JSON: a clip, its stages, octave by octave.

    A short clip is rendered as zoom does, but with the classic ascent, and nothing of it is kept.
    """
    from dreamvid.bench import bench
    from dreamvid.cli.figures import to_json
    from dreamvid.cli.progress import say

    shape = ZOOM.change({"clip.size": size, "clip.frames": frames}, flag_of)
    preset = dataclasses.replace(VIDEO if film else ZOOM, ascent=Ascent(), clip=shape.clip)
    options = {f"ascent.{name}": text for name, text in changes.items()}
    recipe = preset.change({"general.model": model, **options}, flag_of)
    print(to_json(bench(recipe, batch, say)))


command.__name__ = "bench"
