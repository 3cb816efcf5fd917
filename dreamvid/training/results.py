"""What is told of a training, to people and in files."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dreamvid.curves import draw_curves
from dreamvid.training.options import Training

if TYPE_CHECKING:
    from PIL import Image

PARTED = 1.1
"""Validation's loss over its least, from which on it is said to part from training's."""

Row: TypeAlias = dict[str, Any]
"""What was measured after an epoch."""
Tell: TypeAlias = Callable[[str], None]
"""Takes a line for people."""


def line(row: Row, epochs: int) -> str:
    """An epoch in a line."""
    attacked = f", radius {row['robust']:g}" if row["robust"] else ""
    return (
        f"epoch {row['epoch']} of {epochs} ({row['side']} pixels{attacked}): loss "
        f"{row['training_loss']:.3f}, validation {row['validation_loss']:.3f}; accuracy "
        f"{row['training_accuracy']:.1%}, validation {row['validation_accuracy']:.1%}"
    )


def summary(score: Mapping[str, float], classes: int, norm: str) -> str:
    """A finished network in a line.

    Args:
      score: From `Course.report`.
      classes: How many it tells apart.
      norm: In which the radius of the adversaries is measured.
    """
    return (
        f"validation accuracy {score['validation_accuracy']:.1%} over {classes} classes "
        f"({score['held_out']} pictures), training {score['training_accuracy']:.1%}, attacked "
        f"{score['attacked_accuracy']:.1%} ({norm} {score['attacked_radius']:g}, 10 steps)"
    )


def has_stopped(training: Training, history: Sequence[Row]) -> bool:
    """Whether validation has got no better for as long as patience lasts."""
    if not training.patience or not history:
        return False
    reached = [row["validation_accuracy"] for row in history]
    return len(reached) - 1 - int(np.argmax(reached)) >= training.patience


def parted(history: Sequence[Row]) -> bool:
    """Whether validation gets worse while training gets better."""
    if not history:
        return False
    held = [row["validation_loss"] for row in history]
    best, last = history[int(np.argmin(held))], history[-1]
    worse = last["validation_loss"] > PARTED * best["validation_loss"]
    return worse and last["training_loss"] < best["training_loss"]


def table(rows: Sequence[Row]) -> str:
    """Rows as CSV, under the names of their values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{v:.5g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows
    )
    return text.getvalue()


def curves(title: str, history: Sequence[Row]) -> "Image.Image":
    """Loss and accuracy of training and validation over the epochs."""

    def of(*names: str) -> dict[str, list[float | None]]:
        return {name.split("_")[0]: [row[name] for row in history] for name in names}

    strips = {
        "loss": of("training_loss", "validation_loss", "step_loss"),
        "accuracy": of("training_accuracy", "validation_accuracy", "step_accuracy"),
        "side (pixels)": of("side"),
        "radius of adversaries": of("robust"),
    }
    return draw_curves(title, strips, len(history), "epochs before")
