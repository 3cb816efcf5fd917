"""What makes a network dream well: python benchmarks/experiments.py DATA OUT [--only NAME ...]

Trains a small network for each line of RUNS on ten classes of a folder, goes on where it was
stopped, and prints a table (Markdown): accuracies on held-out pictures, clean and attacked, how
much of its dreams is static, and how many dreams of its classes a judge, trained with another seed,
names as what they are. OUT gets the networks, and a sheet that shows what they dream of.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from network import LAYERS, Quiet, as_bytes, class_dreams, held_out, named, top_octave, write

import dreamvid
from dreamvid import machine
from dreamvid.checkpoints import safetensors
from dreamvid.fields import Size
from dreamvid.kept import open_run
from dreamvid.media.stills import fit, read_picture
from dreamvid.models import Model
from dreamvid.options import Ascent
from dreamvid.paths import packaged
from dreamvid.sheets import Tile, draw_sheet
from dreamvid.training.options import Training
from dreamvid.training.plans import plan_training
from dreamvid.training.run import train

CLASSES = 10
BASE: dict[str, Any] = {"size": 64, "epochs": 16, "validation": 0.2}
RUNS: dict[str, dict[str, Any]] = {
    "plain": {"robust": 0.0},
    "L2 0.5": {"robust": 0.5},
    "L2 1": {},
    "L2 1.5": {"robust": 1.5},
    "Linf 0.008": {"norm": "linf"},
    "fast": {"attack": "fast"},
    "quarter width": {"width": 0.25},
    "no second classifier": {"auxiliary": 0.0},
    "pruned by half": {"prune": 0.5},
}
JUDGE: dict[str, Any] = {"seed": 1}
RADIUS = 1.0
"""In L2, of the adversaries that all of them are compared by."""
SHOWN = 3
"""Classes on the sheet, for each network."""


def ten_classes(data: Path, out: Path) -> Path:
    """A folder of the largest classes: links to the pictures."""
    folder = out / "classes"
    largest = sorted(data.iterdir(), key=lambda p: (-len(list(p.iterdir())), p.name))[:CLASSES]
    folder.mkdir(exist_ok=True)
    for path in largest:
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve(), target_is_directory=True)
    return folder


def file_of(out: Path, name: str) -> Path:
    """A network's."""
    return out / f"{name.replace(' ', '-')}.safetensors"


def trained(folder: Path, out: Path, name: str, options: dict[str, Any]) -> Model:
    """A network by its options, from its file if it has one."""
    path = file_of(out, name)
    if not path.exists():
        plan = plan_training(folder, path, Training(**{**BASE, **options}))
        with open_run(plan.folder, plan.about, False, "training") as kept:
            train(plan, kept, Quiet(), print)
            shutil.rmtree(kept.folder / "checkpoints")
    return safetensors.read(path)


def main() -> None:
    """Trains and measures what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(RUNS))
    given = parser.parse_args()
    machine.prepare()
    given.out.mkdir(exist_ok=True)
    folder = ten_classes(given.data, given.out)
    key, judge = jax.random.key(0), trained(folder, given.out, "judge", JUDGE)
    labels = list(judge.labels)
    source = fit(read_picture(packaged("samples") / "sky.jpg").rgb, Size(288, 160))
    rows, tiles = [], []
    for name in given.only:
        model = trained(folder, given.out, name, RUNS[name])
        how = Training(**{**BASE, "robust": RADIUS})
        score = held_out(folder, str(file_of(given.out, name)), how)
        clean, attacked = score["validation_accuracy"], score["attacked_accuracy"]
        dreams = [
            np.asarray(dreamvid.dream(model, source, dreamvid.Layer(layer), Ascent(), key))
            for layer in LAYERS
        ]
        static = ", ".join(f"{top_octave(dream):.1%}" for dream in dreams)
        forms = class_dreams(model, labels)
        right = named(judge, forms, labels)
        rows.append(
            f"| {name} | {clean:.1%} | {attacked:.1%} | {static} | {sum(right)} of {len(labels)} |"
        )
        print(rows[-1], flush=True)
        tiles += [
            Tile(f"{name}: {layer}", as_bytes(dream))
            for layer, dream in zip(LAYERS[1::2], dreams[1::2], strict=True)
        ]
        some = np.linspace(0, len(labels) - 1, SHOWN).astype(int)
        tiles += [Tile(labels[number], forms[number]) for number in some]
        jax.clear_caches()  # the kernel lets no process map more than 65,530 pieces of programs
    write(given.out / "sheet.jpg", draw_sheet(tiles, "Ten classes", columns=2 + SHOWN))
    print("| network | accuracy | attacked | static | named |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
