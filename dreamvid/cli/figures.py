"""What all figures of clips have in common: their score, and how they are printed and kept."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamvid.curves import nice

if TYPE_CHECKING:
    from PIL import Image

    from dreamvid.measure import Score


@dataclass(frozen=True)
class Report:
    """What was measured, ready to be shown in any way."""

    title: str
    """Of the curves."""
    about: dict[str, Any]
    """What was measured, for JSON."""
    figures: dict[str, Any]
    """The summary and those of each frame, for JSON."""
    lines: list[str]
    """The same for people."""
    strips: dict[str, dict[str, list[float | None]]]
    """What is drawn over one axis of time, one below another: label -> curve."""
    reference: int
    """The frame that others are compared with."""

    @property
    def count(self) -> int:
        """How many frames were measured."""
        return len(self.figures["frames"])


def score_of(
    clip: Path, settings: str | None, layer: str | None, model: str | None
) -> tuple["Score | None", dict[str, Any]]:
    """What scores the frames of a clip.

    Args:
      clip: What is measured.
      settings: What it says of itself, where that is to be asked.
      layer: The layer that the user named.
      model: The network that the user named.

    Returns:
      The score, or None where neither names a layer; and what is to be told of it. A clip that
      dreamed of an objective is scored at the layers that this reads.

    Raises:
      DreamError: There is no such layer or network, or it is no longer the clip's own.
    """
    from dreamvid.aims import Aim
    from dreamvid.checkpoints import store
    from dreamvid.measure import layer_score
    from dreamvid.recipe import AUTO, parse_recipe

    network, layers = model or "auto", [layer] if layer else []
    own = None
    if settings is not None:
        own = parse_recipe(settings, clip.absolute().parent)
        network = model or own.network
        layers = layers or [name for name in own.layers if name != AUTO]
        if own.ascent.objective is None or layers:
            own = None
        if (layers or own) and model is None:
            _check_same(network, settings, clip)
    if not layers and own is None:
        return None, {"model": None, "layers": []}
    network = store.resolve(network)
    loaded = store.load(network)
    if own is not None:
        layers = list(Aim.of(own, loaded).layers)
    score = layer_score(loaded, layers) if layers else None
    return score, {"model": network, "layers": layers}


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


def length(frames: int, fps: Fraction | None) -> str:
    """How long a clip is: "120 frames, 4.00 s"."""
    seconds = "" if fps is None else f", {float(frames / fps):.2f} s"
    return f"{frames} frame{'s' if frames != 1 else ''}{seconds}"


def rows(columns: Mapping[str, tuple[str, str]], measured: Sequence[Any]) -> list[str]:
    """A table of about a dozen frames, the first and last among them.

    Args:
      columns: Heading -> the figure below it and how it is written.
      measured: What has these figures, frame by frame, and `index`.
    """
    step = int(max(nice(len(measured) / 12), 1))
    shown = [f for f in measured if f.index % step == 0 or f is measured[-1]]
    lines = ["  ".join(f"{heading:>8}" for heading in columns)]
    for figures in shown:
        cells = []
        for heading, (name, form) in columns.items():
            cells.append(f"{cell(value_of(figures, name), form):>{max(8, len(heading))}}")
        lines.append("  ".join(cells))
    return lines


def value_of(figures: Any, name: str) -> Any:
    """A figure by its name, such as "output.warp_error"; None where there is none."""
    for part in name.split("."):
        figures = None if figures is None else getattr(figures, part)
    return figures


def cell(value: float | None, form: str) -> str:
    """A figure as text; "-" where there is none."""
    return "-" if value is None else format(value, form)


def to_json(told: dict[str, Any]) -> str:
    """Figures as JSON, which knows no infinity: that of two equal pictures is "inf"."""
    return json.dumps(_plain(told), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def save_plot(path: Path, picture: "Image.Image", about: dict[str, Any], overwrite: bool) -> None:
    """Writes curves as a picture.

    Args:
      path: The picture to be made.
      picture: The curves.
      about: What was measured, to be kept in the picture.
      overwrite: Whether an existing picture may be replaced.
    """
    import numpy as np

    from dreamvid import __version__
    from dreamvid.media.stills import Picture, write_picture

    pixels = np.asarray(picture, np.float32) / 255
    text = json.dumps({"dreamvid": __version__} | about)
    write_picture(path, Picture(pixels), text, overwrite)
