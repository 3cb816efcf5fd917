"""dreamvid measure: figures of a clip, as a table, JSON or curves."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dreamvid.cli import signals
from dreamvid.cli.curves import draw_curves, nice

if TYPE_CHECKING:
    from PIL import Image

    from dreamvid.measure import FrameFigures, Summary

Clip = Annotated[
    Path,
    typer.Argument(help="A video, an animated GIF or WebP, or stills such as frame-%05d.png."),
]
Reference = Annotated[
    int | None,
    typer.Option(
        help="Frame that later ones are compared with.",
        min=0,
        show_default="50, or the middle of a shorter clip",
    ),
]
Objective = Annotated[
    bool,
    typer.Option("--objective", help="Measure what the clip dreamed of too, by its own settings."),
]
Layer = Annotated[
    str | None,
    typer.Option(help="Measure this layer's objective.", show_default="none, or the clip's own"),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Network of the layer: a name (see: dreamvid weights list), or a file.",
        show_default="auto, or the clip's own",
    ),
]
Plot = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Draw the figures over time, as a picture.")
]


def command(
    clip: Clip,
    *,
    reference: Reference = None,
    objective: Objective = False,
    layer: Layer = None,
    model: Network = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures, as JSON.")] = False,
    plot: Plot = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing picture.")
    ] = False,
) -> None:
    """Measure a clip: drift of brightness and colour, sharpness, clipping, how well it loops."""
    from dreamvid.measure import choose_reference, figures, layer_score, summary
    from dreamvid.media.clips import first_file, rate, read_frames
    from dreamvid.media.stills import FORMATS
    from dreamvid.media.target import check_target

    if plot:
        check_target(plot, FORMATS, overwrite)
    network, layers = model or "auto", [layer] if layer else []
    if objective:
        from dreamvid.errors import OptionError
        from dreamvid.media.probe import read_settings
        from dreamvid.recipe import AUTO, parse_recipe

        settings = read_settings(first_file(clip))
        own = parse_recipe(settings, clip.absolute().parent)
        network, layers = model or own.network, layers or list(own.layers)
        if layers == [AUTO]:
            raise OptionError("--objective", f"finds none: {clip} was not dreamed, only moved")
        if model is None:
            _check_same(network, settings, clip)
    score = None
    if layers:
        from dreamvid.checkpoints import store

        network = store.resolve(network)
        score = layer_score(store.load(network), layers)
    measured = []
    for figure in figures(read_frames(clip), score):
        signals.check()
        measured.append(figure)
    summed = summary(measured, choose_reference(len(measured), reference))
    fps = rate(clip)
    about = {"clip": str(clip), "fps": None if fps is None else str(fps)}
    about |= {"model": network if layers else None, "layers": layers}
    if plot:
        title = f"{clip.name}: {_length(summed, fps)}"
        _write(plot, draw_curves(measured, summed.reference, title), about, overwrite)
    if as_json:
        frames = [asdict(figure) for figure in measured]
        print(json.dumps(_plain(about | {"summary": asdict(summed), "frames": frames}), indent=2))
        return
    print(f"{clip}: {_length(summed, fps)}", *_summary_lines(summed), "", sep="\n")
    print(*_rows(measured), sep="\n")
    if plot:
        print(plot)


command.__name__ = "measure"


def _check_same(network: str, settings: str, clip: Path) -> None:
    """Refuses a network that is not the one that a clip was dreamed with."""
    from dreamvid.checkpoints.store import digest
    from dreamvid.errors import WeightsError
    from dreamvid.plan import NETWORK_DIGEST

    told = [line for line in settings.splitlines() if line.startswith(f"# {NETWORK_DIGEST}: ")]
    if told and not told[0].endswith((f": {digest(network)}", ": none")):
        raise WeightsError(
            f"{network} is no longer the network that {clip} was dreamed with: to measure with it "
            "all the same, add --model"
        )


def _plain(value: Any) -> Any:
    """What JSON can hold: it knows no infinity, so that of two equal pictures is "inf"."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _length(summed: "Summary", fps: Any) -> str:
    seconds = "" if fps is None else f", {float(summed.frames / fps):.2f} s"
    return f"{summed.frames} frame{'s' if summed.frames != 1 else ''}{seconds}"


def _summary_lines(summed: "Summary") -> list[str]:
    lines = [
        f"From frame {summed.reference} on, against frame {summed.reference}:",
        f"  brightness drift       {summed.brightness_drift:.2f} levels at most",
        f"  chroma drift           {summed.chroma_drift:.2f} levels at most",
        f"  high-frequency energy  {summed.high_frequency_low:.2f} "
        f"to {summed.high_frequency_high:.2f} of the reference's",
    ]
    if summed.objective_low is not None:
        lines.append(
            f"  objective              {summed.objective_low:.2f} of the reference's at least"
        )
    lines.append(f"  clipped values         {summed.clipped:.2f} % at most")
    if summed.loop_psnr is not None:
        lines += [
            "Of the whole clip:",
            f"  last frame to first    {summed.loop_psnr:.1f} dB",
            f"  frame to previous      {summed.neighbour_psnr:.1f} dB (median)",
        ]
    return lines


# Heading -> the figure below it and how it is written: levels, their square, percent, dB.
COLUMNS: dict[str, tuple[str, str]] = {
    "frame": ("index", "d"),
    "luma": ("brightness", ".2f"),
    "contrast": ("contrast", ".2f"),
    "Cb": ("cb", ".2f"),
    "Cr": ("cr", ".2f"),
    "detail": ("high_frequency", ".3f"),
    "clipped": ("clipped", ".2f"),
    "to previous": ("neighbour_psnr", ".2f"),
    "to first": ("first_psnr", ".2f"),
    "objective": ("objective", ".5g"),
}


def _rows(measured: Sequence["FrameFigures"]) -> list[str]:
    """A table of about a dozen frames, the first and last among them."""
    step = int(max(nice(len(measured) / 12), 1))
    shown = [f for f in measured if f.index % step == 0 or f is measured[-1]]
    lines = ["  ".join(f"{heading:>8}" for heading in COLUMNS)]
    for figure in shown:
        cells = []
        for heading, (name, form) in COLUMNS.items():
            value = getattr(figure, name)
            cells.append(f"{'-' if value is None else format(value, form):>{max(8, len(heading))}}")
        lines.append("  ".join(cells))
    return lines


def _write(path: Path, picture: "Image.Image", settings: dict[str, Any], overwrite: bool) -> None:
    import numpy as np

    from dreamvid import __version__
    from dreamvid.media.stills import Picture, write_picture

    pixels = np.asarray(picture, np.float32) / 255
    text = json.dumps({"dreamvid": __version__} | settings)
    write_picture(path, Picture(pixels), text, overwrite)
