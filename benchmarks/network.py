"""How well a network dreams: python benchmarks/network.py NETWORK [--judge OTHER] [--sheet JPG]

Prints JSON: how much of its dreams is static; how many dreams of its classes, found from noise,
another network names as what they are; and, with --data, how well it tells pictures apart that were
held out while it was trained. The sheet shows a picture dreamed at five layers, and some of the
classes.
"""

import argparse
import io
import json
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import dreamvid
from dreamvid import machine
from dreamvid.aims import read_objective
from dreamvid.checkpoints import store
from dreamvid.fields import Size
from dreamvid.media.stills import fit, read_picture
from dreamvid.models import AnyModel
from dreamvid.ops import to_8bit
from dreamvid.options import Ascent, Visual
from dreamvid.paths import packaged
from dreamvid.sheets import Tile, draw_sheet
from dreamvid.training.epochs import Course
from dreamvid.training.options import Training
from dreamvid.training.plans import plan_training
from dreamvid.visualize import visualize

LAYERS = "mixed3a", "mixed4a", "mixed4c", "mixed4e", "mixed5b"
STEPS, SIDE, AT_ONCE = 128, 128, 10
"""Of the dreams of classes."""
WIDTH, HEIGHT = 384, 216
LARGEST_SHEET = 300_000
"""Bytes."""
SHOWN = 15
"""Classes on a sheet."""


def top_octave(picture: np.ndarray) -> float:
    """The share of a picture's energy above a quarter of a cycle a pixel: half of what it can hold.

    Of its luma less the mean, under a Hann window.

    Args:
      picture: float (h, w, 3) in [0, 1].
    """
    luma = picture @ np.array([0.299, 0.587, 0.114])
    height, width = luma.shape
    luma = (luma - luma.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2(luma)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    return float(power[radius > 0.25].sum() / power.sum())


def class_dreams(model: AnyModel, labels: list[str]) -> np.ndarray:
    """What the classes look like to a network: uint8 (classes, h, w, 3)."""
    how, found = Visual(Size(SIDE, SIDE), steps=STEPS, rate=0.08), []
    for first in range(0, len(labels), AT_ONCE):
        some = labels[first : first + AT_ONCE]
        wanted = [read_objective(f"class:{label.replace(' ', '_')}", model) for label in some]
        # Full batches, so that there is one program.
        wanted += wanted[-1:] * (AT_ONCE - len(some))
        numbers = range(first, first + AT_ONCE)
        pictures = visualize(model, wanted, how, jax.random.key(0), numbers)
        found.append(np.asarray(to_8bit(pictures))[: len(some)])
    return np.concatenate(found)


def named(judge: AnyModel, dreams: np.ndarray, labels: list[str]) -> list[bool]:
    """Whether a network takes each dream for its class."""
    known, right = list(judge.labels), []
    for dream, label in zip(dreams, labels, strict=True):
        odds = judge.activations(np.float32(dream) / 255, ["logits"])["logits"][0, 0]
        right.append(known[int(np.argmax(odds))] == label)
    return right


class Quiet:
    """Watches a training without a word."""

    stop_asked = False

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """Nothing is shown."""

    def advance(self) -> None:
        """Nothing is shown."""

    def made(self, output: Path) -> None:
        """Nothing is shown."""


def held_out(data: Path, network: str, how: Training) -> dict[str, float]:
    """How well a network tells pictures apart that a training's seed holds out.

    Args:
      data: A folder of class folders.
      network: A name, or a file.
      how: The training's seed, size and share for validation, and the adversaries' radius.
    """
    unused = Path("never-written.safetensors")
    plan = plan_training(data, unused, how, start=network, overwrite=True)
    course, state = Course.begin(plan, 0, Quiet(), print)
    return course.report(state.average)


def main() -> None:
    """Measures one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--judge")
    parser.add_argument("--picture", type=Path, default=packaged("samples") / "sky.jpg")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=112, help="of the training, in pixels")
    parser.add_argument("--radius", type=float, default=1.0, help="of adversaries, in L2")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    given = parser.parse_args()
    machine.prepare()
    model = store.load(store.resolve(given.network))
    source = fit(read_picture(given.picture).rgb, Size(WIDTH, HEIGHT))
    key, tiles = jax.random.key(0), [Tile("the source", as_bytes(source), "", "", 0.0)]
    static = {"source": top_octave(source)}
    for name in LAYERS:
        dreamed = dreamvid.dream(model, source, dreamvid.Layer(name), Ascent(), key)
        static[name] = top_octave(np.asarray(dreamed))
        tiles.append(Tile(name, as_bytes(np.asarray(dreamed)), "", "", 0.0))
    about: dict[str, object] = {"network": given.network, "top_octave": static}
    if given.judge:
        judge = store.load(store.resolve(given.judge))
        labels = [label for label in model.labels if label in judge.labels]
        dreams = class_dreams(model, labels)
        right = named(judge, dreams, labels)
        about |= {
            "judge": given.judge,
            "classes": len(labels),
            "named": float(np.mean(right)),
            "named_by_itself": float(np.mean(named(model, dreams, labels))),
            "top_octave_of_classes": float(np.mean([top_octave(d / 255.0) for d in dreams])),
        }
        for number in np.linspace(0, len(labels) - 1, SHOWN).astype(int):
            title = labels[number] + (" (named)" if right[number] else "")
            tiles.append(Tile(title, dreams[number], "", "", 0.0))
    if given.data:
        how = Training(size=given.size, seed=given.seed, robust=given.radius)
        about["held_out"] = held_out(given.data, given.network, how)
    print(json.dumps(about, indent=2))
    if given.sheet:
        write(given.sheet, draw_sheet(tiles, given.network, columns=3))


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """uint8 of float in [0, 1]."""
    return np.rint(picture * 255).astype(np.uint8)


def write(path: Path, sheet: Image.Image) -> None:
    """A JPEG that is small enough to be kept."""
    for quality in range(90, 20, -5):
        data = io.BytesIO()
        sheet.save(data, "JPEG", quality=quality)
        if data.tell() <= LARGEST_SHEET:
            path.write_bytes(data.getvalue())
            return
    raise SystemExit(f"{path} would be larger than {LARGEST_SHEET} bytes")


if __name__ == "__main__":
    main()
