"""Figures as curves over time: of a clip, and of a training."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:  # --help needs none of it
    from PIL import Image, ImageDraw

INKS = "#1f5fa8", "#cb541e", "#3d8b3d"
BLACK, GREY, PALE = "#333333", "#8a8a8a", "#e4e4e4"
FINE = 3
"""Drawn this many times larger, then shrunk, since Pillow draws hard edges."""
WIDTH, STRIP, GAP, LEFT, RIGHT, TOP, BOTTOM = (FINE * n for n in (960, 84, 34, 70, 24, 68, 44))


def draw_curves(
    title: str,
    strips: dict[str, dict[str, list[float | None]]],
    count: int,
    axis: str,
    mark: int | None = None,
) -> "Image.Image":
    """Curves over one axis of time, on white, in strips one below another.

    Args:
      title: Stands above them.
      strips: What each shows -> label of a curve -> its values; gaps where there is no number.
      count: How many values a curve has.
      axis: What they are counted in.
      mark: Which of them a grey line marks.
    """
    from PIL import Image, ImageDraw, ImageFont

    strips = {
        name: curves
        for name, curves in strips.items()
        if any(_known(value) for values in curves.values() for value in values)
    }
    height = TOP + len(strips) * (STRIP + GAP) - GAP + BOTTOM
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.font = ImageFont.load_default(12 * FINE)
    last = max(count - 1, 1)

    def x_of(moment: float) -> float:
        return LEFT + moment / last * (WIDTH - LEFT - RIGHT)

    for number, (name, curves) in enumerate(strips.items()):
        top = TOP + number * (STRIP + GAP)
        if mark is not None:
            draw.line([x_of(mark), top, x_of(mark), top + STRIP], GREY, FINE)
        _draw_strip(draw, name, curves, top, x_of)
    draw.text((LEFT, 12 * FINE), title, BLACK, ImageFont.load_default(15 * FINE))
    step = max(nice(last / 10), 1)
    for moment in range(0, last + 1, int(step)):
        draw.text((x_of(moment), height - BOTTOM + 5 * FINE), str(moment), BLACK, anchor="ma")
    draw.text((x_of(last / 2), height - 4 * FINE), axis, BLACK, anchor="md")
    return picture.resize((WIDTH // FINE, height // FINE), Image.Resampling.BOX)


def _draw_strip(
    draw: "ImageDraw.ImageDraw",
    name: str,
    curves: dict[str, list[float | None]],
    top: int,
    x_of: Callable[[float], float],
) -> None:
    known = [value for values in curves.values() for value in values if _known(value)]
    # A curve that hardly moves shall look so.
    step = nice(max((max(known) - min(known)) / 3, 0.01 * max(map(abs, known)), 1e-6))
    low, high = math.floor(min(known) / step), math.ceil(max(known) / step)
    high = max(high, low + 1)

    def y_of(value: float) -> float:
        return top + STRIP * (1 - (value / step - low) / (high - low))

    for tick in range(low, high + 1):
        y = y_of(tick * step)
        draw.line([LEFT, y, WIDTH - RIGHT, y], PALE, FINE)
        draw.text((LEFT - 6 * FINE, y), f"{tick * step:.6g}", BLACK, anchor="rm")
    draw.text((LEFT, top - 5 * FINE), name, BLACK, anchor="ls")
    right = WIDTH - RIGHT
    for (label, values), ink in reversed(list(zip(curves.items(), INKS, strict=False))):
        if not any(map(_known, values)):
            continue
        draw.text((right, top - 5 * FINE), label, ink, anchor="rs")
        right -= draw.textlength(label) + 16 * FINE
        run: list[tuple[float, float]] = []
        for frame, value in enumerate([*values, None]):
            if _known(value):
                run.append((x_of(frame), y_of(value)))
            elif run:  # a gap, or the end
                draw.line(run, ink, 2 * FINE - 1, joint="curve")
                draw.circle(run[-1], 1.5 * FINE, ink)
                run = []


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def nice(least: float) -> float:
    """The smallest of ... 0.1, 0.2, 0.5, 1, 2, 5, 10 ... that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-9))
