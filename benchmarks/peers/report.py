"""The outcome of peers.py for people: a few lines, and RESULTS.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import worker
from contender import GRADIENT_LIMIT, STEP_LIMIT, VIEWS, Contender


@dataclass
class Results:
    """All that was found."""

    date: str
    hardware: dict[str, Any]
    size: str
    layer: str
    checkpoint: str
    rounds: int
    contenders: list[Contender]
    """Ours first."""


_HEAD = """\
# Beside other programs

Made by

    python benchmarks/peers.py CHECKPOINT --torch PYTHON --tensorflow PYTHON --deepdream FOLDER \\
      --size {size} --layer {layer} --rounds {rounds} --threads {threads} --record

on {date}, where CHECKPOINT was {checkpoint}.

All take steps up the gradient of one layer of the same network with the same weights, from the same
picture on, in float32. Each is a process of its own; all are alive at once, and in each of {rounds}
rounds each takes a burst of {steps} steps, in turn, after a first burst that is not counted.

- dreamvid: `dreamvid.ascent.step`, the classic rule.
- PyTorch: the same rule on a network tuned by hand. Batch norm is folded into the convolutions,
  rectifiers work in place, it ends at the layer, and no parameter has a gradient. torch.compile
  compiles the channels-last one.
- pytorch-deepdream: its own `deep_dream_static_image` with one level of its pyramid, its own
  network (on to inception4e, whatever layer is dreamed of) and its own rule, which smooths the
  gradient. Only what loads the network is replaced, from outside: once, not for every picture.
- TensorFlow's tutorial: its step (no shifts; the mean of the layer; the gradient over its
  deviation) and its compiled loop, on this network built of Keras layers.

"ms a step" is the median of the rounds' bursts over {steps}, "best" the least. "Over ours" is the
median of the ratios within a round. Its aims are those of the project. Memory is what the process
has resident: the most it ever had, compiling included, and how much of that came after everything
was loaded, with the first step.

"Gradient" is max|Δ| / max|ours| of the gradient by RGB of that contender's own objective, on a part
of {part} pixels; "whole" the same on the whole picture; "step" the mean difference of the pictures
after one step, over the mean change that ours made; "dream" the same after {steps} steps. For these
two, ours steps by that contender's rule. No ratio is told where the gradient is off by more than
{gradient} on each of {views} parts, or the step by more than {one}.

Rounding tips some units over their thresholds. One of them can move a whole picture's gradient by
more than {gradient}, which is why parts are compared, and in {steps} steps such errors grow as in
any chaotic system. How far that goes shows the row of dreamvid, which is held against itself, with
noise of a deviation of 1e-7 added to the picture.
"""

_FOOT = """
## GPU: not run

There is no comparison on a GPU yet.
"""


def in_short(results: Results) -> str:
    """A line for each contender."""
    load = " to ".join(f"{value:.1f}" for value in results.hardware["load"])
    lines = [f"{results.size}, {results.layer}, {results.rounds} rounds, load {load}"]
    for row in _rows(results):
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], _WIDTHS, strict=True))
        lines.append(f"{row[0]:<24}{''.join(cells)}")
    heads = (f"{head:>{width}}" for head, width in zip(_HEADS[1:], _WIDTHS, strict=True))
    lines.insert(1, f"{_HEADS[0]:<24}{''.join(heads)}")
    return "\n".join([*lines, *_left_out(results)])


def in_full(results: Results) -> str:
    """RESULTS.md."""
    known = results.hardware
    head = _HEAD.format(
        date=results.date,
        checkpoint=results.checkpoint,
        size=results.size,
        layer=results.layer,
        rounds=results.rounds,
        threads=known["threads"],
        steps=worker.STEPS,
        gradient=GRADIENT_LIMIT,
        one=STEP_LIMIT,
        part="x".join(map(str, reversed(worker.PART))),
        views=VIEWS,
    )
    lines = [*head.splitlines(), "", f"## CPU: {results.size}, {results.layer}", ""]
    lines += [
        f"{known['processor']}, {known['cores']} cores, {known['memory'] / 2**30:.0f} GiB,"
        f" {known['system']}; {known['threads']} threads for each.",
        f"Load before and after: {' and '.join(f'{value:.1f}' for value in known['load'])}.",
        "",
    ]
    lines += [f"| {' | '.join(row)} |" for row in (_HEADS, ["---"] * len(_HEADS), *_rows(results))]
    left_out = _left_out(results)
    lines += ["", *left_out, *([""] if left_out else [])]
    for contender in results.contenders:
        told = ", ".join(f"{what} {which}" for what, which in contender.versions.items())
        lines += [f"- {contender.name}: {told}."] if told else []
    return "\n".join(lines) + "\n" + _FOOT


_HEADS = [
    "",
    "ms a step",
    "best",
    "over ours",
    "aim",
    "peak MB",
    "grew by MB",
    "gradient",
    "whole",
    "step",
    "dream",
]
_WIDTHS = (11, 8, 11, 6, 9, 12, 10, 9, 9, 9)


def _rows(results: Results) -> list[list[str]]:
    ours = results.contenders[0]
    return [_row(one, ours) for one in results.contenders if not one.not_run]


def _row(one: Contender, ours: Contender) -> list[str]:
    steps = [1e3 * seconds / worker.STEPS for seconds in one.seconds]
    cells = [one.name, f"{median(steps):.1f}", f"{min(steps):.1f}", ratio(one, ours)]
    cells.append(f"{one.wanted:.1f}" if one.wanted else "")
    cells += [f"{count / 1e6:.0f}" for count in (one.peak, one.peak - one.loaded)]
    apart = (one.gradient_apart, one.whole_apart, one.step_apart, one.dream_apart)
    return cells + ["" if found is None else f"{found:.1e}" for found in apart]


def ratio(one: Contender, ours: Contender) -> str:
    """By how much longer it takes; that it differs, where it does."""
    if one is ours:
        return "1"
    if not one.agrees:
        return "DIFFERS"
    pairs = zip(one.seconds, ours.seconds, strict=True)
    return f"{median(theirs / mine for theirs, mine in pairs):.2f}"


def _left_out(results: Results) -> Sequence[str]:
    return [f"{one.name}: not run ({one.not_run})." for one in results.contenders if one.not_run]
