"""Figures of a clip beside the film that it was dreamed from, for `dreamvid measure --source`."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dreamvid.cli.figures import Report, cell, length, rows, score_of, value_of
from dreamvid.cli.progress import Progress, Survey
from dreamvid.errors import MediaError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from dreamvid.coherence import Summary
    from dreamvid.media.film import Film
    from dreamvid.opening import Opened
    from dreamvid.recipe import Recipe


@dataclass(frozen=True)
class Wanted:
    """What of a clip is to be measured, and how; the flags of `dreamvid measure`."""

    flow: str
    ceiling: bool
    frames: int | None
    reference: int | None
    objective: bool
    layer: str | None
    model: str | None


def measure(clip: Path, source: Path, wanted: Wanted) -> Report:
    """Measures a clip beside the film that it was dreamed from.

    Raises:
      DreamError: They do not belong together, or something cannot be read.
    """
    from dreamvid.coherence import FLOWS, coherence, summary
    from dreamvid.measure import choose_reference
    from dreamvid.media.clips import rate, read_frames
    from dreamvid.recipe import parse_recipe

    settings = _settings(clip, needed=wanted.objective or wanted.ceiling)
    score, about = score_of(clip, settings, wanted.layer, wanted.model)
    if score is None and wanted.objective:
        raise OptionError("--objective", f"finds none: {clip} was not dreamed, only moved")
    own = None if settings is None else parse_recipe(settings, clip.absolute().parent)
    dreamed = own is not None and own.kind == "video" and own.coherence.show == "dream"
    if wanted.ceiling and not dreamed:
        raise OptionError("--ceiling", f"needs a dreamed film, which {clip} is not by its settings")
    film, opened = _open(source, clip, own, wanted.ceiling)
    count = _count(clip, film, wanted.frames)
    reference = choose_reference(count, wanted.reference)
    ceiling = _independent(opened, film) if wanted.ceiling and opened else None
    flow = FLOWS[wanted.flow]
    found = coherence(read_frames(clip), film.pictures(), ceiling, flow, film.cuts, score)
    measured = []
    with Progress() as progress:
        progress.begin(f"measuring {clip} beside {source}", count)
        for figures in itertools.islice(found, count):
            measured.append(figures)
            progress.advance()
    summed = summary(measured, reference)
    fps = rate(clip)
    long = f"{length(count, fps)}, beside {source.name}, flow: {wanted.flow}"
    hint = f"No objective: {clip} tells of no layer, so name one with --layer."
    return Report(
        title=f"{clip.name}: {long}",
        about={
            "clip": str(clip),
            "source": str(source),
            "fps": None if fps is None else str(fps),
            "flow": wanted.flow,
            **about,
        },
        figures={"summary": asdict(summed), "frames": [asdict(figures) for figures in measured]},
        lines=[
            f"{clip}: {long}",
            *_summary_lines(summed),
            *([] if score else [hint]),
            "",
            *rows(COLUMNS, measured),
        ],
        strips={
            name: {
                label: [value_of(f, f"{label}.{field}") for f in measured] if label in shown else []
                for label in CLIPS
            }
            for name, (field, *shown) in STRIPS.items()
        },
        reference=reference,
    )


def _settings(clip: Path, needed: bool) -> str | None:
    """What a clip says of itself; None where it says nothing and need not."""
    from dreamvid.media.clips import first_file
    from dreamvid.media.probe import read_settings

    path = first_file(clip)
    try:
        return read_settings(path)
    except MediaError:
        if needed:
            raise
        return None


def _open(
    source: Path, clip: Path, own: "Recipe | None", ceiling: bool
) -> "tuple[Film, Opened | None]":
    """The film, as the clip's own settings take it; and all else that dreaming it needs."""
    from dreamvid.fields import Size
    from dreamvid.media.clips import read_frames
    from dreamvid.media.film import survey
    from dreamvid.opening import open_film
    from dreamvid.options import Footage
    from dreamvid.reel import Reel

    with Survey() as shown:
        if own is None or own.kind != "video":
            height, width = next(read_frames(clip)).shape[:2]
            return survey(source, Footage(size=Size(width, height)), watch=shown.looked), None
        # What was dreamed across a cut is not to pass for coherent.
        footage = replace(own.footage, cuts="find", mask=own.footage.mask if ceiling else None)
        opened = open_film(
            replace(
                own,
                source=str(source.absolute()),
                footage=footage,
                coherence=replace(own.coherence, coherence=0.0),
            ),
            clip,
            shown.looked,
        )
        assert isinstance(opened.source, Reel)
        return opened.source.film, opened


def _count(clip: Path, film: "Film", limit: int | None) -> int:
    """The frames to be measured, once it is sure that clip and film belong together."""
    from dreamvid.fields import Size
    from dreamvid.media.clips import read_frames

    frames = itertools.islice(read_frames(clip), limit)
    height, width = next(frames).shape[:2]
    size, count = Size(width, height), 1 + sum(1 for _ in frames)
    pictures = film.count if limit is None else min(film.count, limit)
    if (size, count) != (film.size, pictures):
        raise MediaError(
            f"{clip} has {count} frames of {size} pixels, but {film.path} gives {pictures} of "
            f"{film.size}: measure a clip beside the film that it was dreamed from"
        )
    return count


def _independent(opened: "Opened", film: "Film") -> "Iterator[np.ndarray]":
    """Each picture of a film dreamed by itself, with all steps and jitter of its own."""
    import jax
    import numpy as np

    from dreamvid.checkpoints import store
    from dreamvid.ops import to_8bit
    from dreamvid.pipeline import frames
    from dreamvid.timeline import Timeline

    recipe = opened.recipe
    model = store.load(store.resolve(recipe.network))
    timeline = Timeline(recipe, recipe.scope(opened.signals), film.size, film.times)
    convert = jax.jit(to_8bit)
    for frame, _ in frames(recipe, model, opened.source, timeline=timeline):
        yield np.asarray(convert(frame.image))


CLIPS = ("output", "source", "ceiling")
# Heading -> figure and how it is written.
FIGURES = {
    "E_warp": ("warp_error", ".5f"),
    "objective": ("objective", ".5g"),
    "high-frequency energy": ("high_frequency", ".3f"),
    "flicker where still": ("flicker", ".3f"),
    "off the source": ("difference", ".2f"),
    "brighter by": ("brightness", ".2f"),
}


def _summary_lines(summed: "Summary") -> list[str]:
    clips = {name: reading for name in CLIPS if (reading := getattr(summed, name))}
    notes = {
        "E_warp": _notes((summed.warp_ratio, "of the way from source to ceiling")),
        "objective": _notes(
            (summed.objective_gain, "of the source's"), (summed.objective_ratio, "of the ceiling's")
        ),
        "high-frequency energy": _notes((summed.high_frequency_ratio, "of the ceiling's")),
        "flicker where still": _notes((summed.flicker_ratio, "of the ceiling's")),
        "brighter by": f"drifts by {summed.brightness_drift:.2f} from frame {summed.reference} on",
    }
    lines = [" " * 23 + "".join(f"{name:>11}" for name in clips)]
    for heading, (field, form) in FIGURES.items():
        cells = (cell(getattr(reading, field), form) for reading in clips.values())
        line = f"  {heading:21}" + "".join(f"{text:>11}" for text in cells)
        lines.append(f"{line}   {notes.get(heading, '')}".rstrip())
    return lines


def _notes(*ratios: tuple[float | None, str]) -> str:
    return ", ".join(f"{value:.2f} {of}" for value, of in ratios if value is not None)


# Heading of a column -> the figure below it and how it is written.
COLUMNS: dict[str, tuple[str, str]] = {
    "frame": ("index", "d"),
    "E_warp": ("output.warp_error", ".5f"),
    "floor": ("source.warp_error", ".5f"),
    "ceiling": ("ceiling.warp_error", ".5f"),
    "objective": ("output.objective", ".5g"),
    "gain": ("gain", ".2f"),
    "detail": ("output.high_frequency", ".3f"),
    "flicker": ("output.flicker", ".3f"),
    "off": ("output.difference", ".2f"),
    "brighter": ("output.brightness", ".2f"),
}
# A strip for each of these, one below another: the figure, and the clips whose curves are drawn.
STRIPS = {
    "E_warp (RGB in 0 to 1, squared)": ("warp_error", *CLIPS),
    "objective": ("objective", *CLIPS),
    "detail (levels squared)": ("high_frequency", *CLIPS),
    "flicker where the source is still (levels)": ("flicker", "output", "ceiling"),
    "mean distance from the source (levels)": ("difference", "output", "ceiling"),
    "brighter than the source by (levels)": ("brightness", "output", "ceiling"),
}
