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
        int, typer.Option(help="Length of the clip; a quick device needs some hundred.")
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

    A short clip is rendered as by zoom or video, but with the classic ascent, and not kept.
    """
    from dreamvid.bench import bench
    from dreamvid.cli.figures import to_json
    from dreamvid.cli.progress import say

    shape = ZOOM.change({"clip.size": size, "clip.frames": frames}, flag_of)
    preset = dataclasses.replace(VIDEO if film else ZOOM, ascent=Ascent(), clip=shape.clip)
    options = {f"ascent.{name}": text for name, text in changes.items()}
    recipe = preset.change({"general.model": model, **options}, flag_of)
    found = bench(recipe, batch, say)
    print(to_json(_rounded({**found, "versions": _versions(), "device": _device()})))


command.__name__ = "bench"


def _versions() -> dict[str, str]:
    """What the speed depends on."""
    import platform

    import av
    import cv2
    import jax
    import numpy as np
    from imageio_ffmpeg import get_ffmpeg_version
    from jaxlib.version import __version__ as jaxlib

    from dreamvid import __version__

    return {
        "dreamvid": __version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
        "ffmpeg": get_ffmpeg_version(),
    }


def _device() -> dict[str, Any]:
    """What it was measured on."""
    import os

    import jax

    first = jax.devices()[0]
    # Of a computer's cores, a process may have been given some only.
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": jax.device_count(),
        "cores": len(own) or os.cpu_count(),
    }


def _rounded(value: Any) -> Any:
    """The same with four digits of each number, which is more than can be trusted."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
