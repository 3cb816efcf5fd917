"""dreamvid measure: figures of a clip, as a table, JSON or curves."""

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dreamvid.cli import beside, signals
from dreamvid.cli.figures import Report, length, rows, save_plot, score_of, to_json
from dreamvid.curves import draw_curves
from dreamvid.errors import OptionError

if TYPE_CHECKING:
    from dreamvid.measure import Summary

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
Source = Annotated[
    Path | None,
    typer.Option(
        metavar="IN",
        help="The film that the clip was dreamed from: measure how the dream sticks to it.",
        show_default="measure the clip alone",
    ),
]
Ceiling = Annotated[
    bool,
    typer.Option(
        "--ceiling", help="With --source: dream its pictures each by itself too, which is slow."
    ),
]
Flow = Annotated[
    Literal["dis", "farneback"] | None,
    typer.Option(help="With --source: how what moves is followed.", show_default="dis"),
]
Frames = Annotated[
    int | None,
    typer.Option(help="Measure so many frames, the first ones.", min=1, show_default="all"),
]


def command(
    clip: Clip,
    *,
    source: Source = None,
    ceiling: Ceiling = False,
    flow: Flow = None,
    frames: Frames = None,
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
    """Measure a clip: drift of brightness and colour, sharpness, clipping, how well it loops.

    With --source: does the dream stick to what moves in the film that it was dreamed from?
    """
    from dreamvid.media.stills import FORMATS
    from dreamvid.media.target import check_target

    if source is None and (ceiling or flow):
        given = "--ceiling" if ceiling else "--flow"
        raise OptionError(given, "needs the film that the clip was dreamed from: add --source")
    if plot:
        check_target(plot, FORMATS, overwrite)
    if source is None:
        report = _alone(clip, frames, reference, objective, layer, model)
    else:
        wanted = beside.Wanted(flow or "dis", ceiling, frames, reference, objective, layer, model)
        report = beside.measure(clip, source, wanted)
    if plot:
        axis = f"frame (grey: {report.reference}, the reference)"
        curves = draw_curves(report.title, report.strips, report.count, axis, report.reference)
        save_plot(plot, curves, report.about, overwrite)
    if as_json:
        print(to_json(report.about | report.figures))
        return
    print(*report.lines, sep="\n")
    if plot:
        print(plot)


command.__name__ = "measure"


def _alone(
    clip: Path,
    count: int | None,
    reference: int | None,
    objective: bool,
    layer: str | None,
    model: str | None,
) -> Report:
    """Measures a clip by itself."""
    from dreamvid.measure import choose_reference, figures, summary
    from dreamvid.media.clips import first_file, rate, read_frames
    from dreamvid.media.probe import read_settings

    settings = read_settings(first_file(clip)) if objective else None
    score, about = score_of(clip, settings, layer, model)
    if objective and score is None:
        raise OptionError("--objective", f"finds none: {clip} was not dreamed, only moved")
    measured = []
    for figure in figures(itertools.islice(read_frames(clip), count), score):
        signals.check()
        measured.append(figure)
    summed = summary(measured, choose_reference(len(measured), reference))
    fps = rate(clip)
    long = length(len(measured), fps)
    return Report(
        title=f"{clip.name}: {long}",
        about={"clip": str(clip), "fps": None if fps is None else str(fps), **about},
        figures={"summary": asdict(summed), "frames": [asdict(figure) for figure in measured]},
        lines=[f"{clip}: {long}", *_summary_lines(summed), "", *rows(COLUMNS, measured)],
        strips={
            name: {label: [getattr(f, field) for f in measured] for label, field in curves.items()}
            for name, curves in STRIPS.items()
        },
        reference=summed.reference,
    )


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
# A strip for each of these, one below another: label -> figure.
STRIPS: dict[str, dict[str, str]] = {
    "brightness (levels)": {"mean luma": "brightness"},
    "contrast (levels)": {"deviation of luma": "contrast"},
    "colour (levels)": {"mean Cb": "cb", "mean Cr": "cr"},
    "detail (levels squared)": {"variance above 0.25 cycles a pixel": "high_frequency"},
    "clipped (%)": {"values at 0 or 255": "clipped"},
    "likeness (dB)": {"to the frame before": "neighbour_psnr", "to the first": "first_psnr"},
    "objective": {"half the mean square of the layer": "objective"},
}
