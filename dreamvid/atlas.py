"""The atlas of a layer: what each channel dreams of from noise, beside what excites it in pictures.

Source of the idea: Carter et al. 2019, "Activation Atlas", and the appendix of Olah et al. 2017,
"Feature Visualization", which show channels beside examples from a data set.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dreamvid.checkpoints import store
from dreamvid.crops import Crops, find_crops, pictures_in
from dreamvid.errors import DreamError, OptionError
from dreamvid.journal import run_folder
from dreamvid.kept import Kept
from dreamvid.models import LayerInfo, Model
from dreamvid.models.model import check_size
from dreamvid.models.network import LOGITS
from dreamvid.objectives import Channel
from dreamvid.ops import to_8bit
from dreamvid.options import ATLAS, Visual
from dreamvid.plan import find_layer
from dreamvid.sheets import Tile, check_sheet, write_sheet
from dreamvid.types import Watcher
from dreamvid.visualize import values, visualize

BATCH = 8
"""Channels dreamed together. On two cores 16, 32 and 64 are no quicker, and take more memory."""
STEPS, RATE, SIDE = 128, 0.08, 96
"""By default: a whole layer takes minutes, and reaches 0.93 of what 512 steps of 0.05 reach."""


@dataclass(frozen=True)
class Plan:
    """An atlas that can be made: everything has been read and checked."""

    output: Path
    overwrite: bool
    network: str
    digest: str
    model: Model
    layer: LayerInfo
    channels: tuple[int, ...]
    visual: Visual
    seed: int
    pictures: tuple[Path, ...]
    """Whose crops are shown; none where no folder was given."""
    crops: int
    """How many for each channel."""

    @property
    def folder(self) -> Path:
        """Where batches are kept until the atlas is finished."""
        return run_folder(self.output)

    @property
    def task(self) -> str:
        """What is being done, for people."""
        return (
            f"dreaming {len(self.channels)} channels of {self.layer.name} of {self.network} from "
            f"noise, {self.visual.size} pixels, {self.visual.steps} steps"
        )

    @property
    def about(self) -> dict[str, Any]:
        """All that decides how it looks."""
        seen = hashlib.sha256()
        for path in self.pictures:
            seen.update(f"{path} {path.stat().st_size}\n".encode())
        options = {name: str(value) for name, value in asdict(self.visual).items()}
        return {
            "layer": self.layer.name,
            "channels": ",".join(map(str, self.channels)),
            "network": self.network,
            "network sha256": self.digest,
            **options,
            "size": str(self.visual.size),
            "seed": self.seed,
            "pictures": len(self.pictures),
            "pictures sha256": seen.hexdigest(),
            "crops": self.crops,
        }


def plan_atlas(
    output: Path,
    network: str,
    layer: str,
    channels: str = "all",
    visual: Visual = ATLAS,
    seed: int = 0,
    pictures: Path | None = None,
    crops: int = 4,
    overwrite: bool = False,
) -> Plan:
    """Reads and checks all that an atlas needs; makes nothing.

    Args:
      output: The sheet to make.
      network: Name or file.
      layer: Of the network.
      channels: Such as "0-63,100", or "all".
      visual: How they are dreamed.
      seed: Randomness.
      pictures: A folder whose pictures are searched for crops.
      crops: How many for each channel.
      overwrite: Whether an existing file may be replaced, and another run given up.

    Raises:
      DreamError: Something about these will not do.
    """
    check_sheet(output, overwrite)
    files = tuple(pictures_in(pictures)) if pictures and crops else ()
    name = store.resolve(network)
    model = store.load(name)
    info = find_layer(model, layer, name)
    chosen = read_channels(channels, info)
    check_size(visual.size.width, visual.size.height, "a tile", info.smallest)
    digest = store.digest(name)
    return Plan(output, overwrite, name, digest, model, info, chosen, visual, seed, files, crops)


def read_channels(text: str, layer: LayerInfo) -> tuple[int, ...]:
    """The channels that a text names: "0-63,100" or "all", each once, low to high.

    Raises:
      OptionError: It cannot be read, or the layer has fewer channels.
    """
    if text.strip() == "all":
        return tuple(range(layer.channels))
    last = layer.channels - 1
    chosen: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or not all(e.isascii() and e.isdigit() and len(e) < 9 for e in ends):
            told = f"is {text!r}: write it like 0-63,100, or all"
            raise OptionError("--channels", told)
        first, final = int(ends[0]), int(ends[-1])
        if final > last or first > final:
            wrong = part.strip()
            told = f"names {wrong}: {layer.name} has the channels 0 to {last}"
            raise OptionError("--channels", told)
        chosen.update(range(first, final + 1))
    return tuple(sorted(chosen))


def look(plan: Plan, kept: Kept, watcher: Watcher) -> Crops:
    """Finds the crops, or takes those that are kept.

    Args:
      plan: From `plan_atlas`.
      kept: The run folder.
      watcher: Told of each picture.

    Raises:
      DreamError: None of the pictures can be read, or the disk is full.
    """
    crops = Crops.none(plan.layer.channels, plan.crops)
    if not plan.pictures:
        return crops
    if found := kept.load("crops"):
        return Crops(found["values"], found["pixels"], int(found["unreadable"]))
    watcher.begin(f"looking through {len(plan.pictures)} pictures", len(plan.pictures))
    for found_by_now in find_crops(plan.model, plan.layer, plan.pictures, plan.crops):
        crops = found_by_now
        watcher.advance()
    if crops.unreadable == len(plan.pictures):
        raise DreamError(f"none of the {crops.unreadable} pictures can be read: {plan.pictures[0]}")
    kept.save("crops", **{name: np.asarray(value) for name, value in vars(crops).items()})
    return crops


def dream_channels(plan: Plan, kept: Kept, watcher: Watcher) -> dict[int, tuple[np.ndarray, float]]:
    """Dreams of the channels that are not yet kept, batch by batch.

    Args:
      plan: From `plan_atlas`.
      kept: The run folder.
      watcher: Told of each channel.

    Returns:
      Channel -> uint8 (h, w, 3), and the mean activation that it reaches.

    Raises:
      DreamError: The disk is full.
    """
    batches = [plan.channels[i : i + BATCH] for i in range(0, len(plan.channels), BATCH)]
    ready = [kept.load(_name(number)) for number in range(len(batches))]
    done = sum(len(batch) for batch, old in zip(batches, ready, strict=True) if old)
    watcher.begin(plan.task, len(plan.channels), done)
    dreams: dict[int, tuple[np.ndarray, float]] = {}
    for number, (batch, found) in enumerate(zip(batches, ready, strict=True)):
        if found is None:
            found = _dream(plan, batch, watcher)
            kept.save(_name(number), **found)
        for channel, picture, value in zip(batch, found["pictures"], found["values"], strict=True):
            dreams[channel] = picture, float(value)
    return dreams


def write_atlas(plan: Plan, dreams: dict[int, tuple[np.ndarray, float]], crops: Crops) -> None:
    """Writes the sheet.

    Raises:
      MediaError: It cannot be written.
    """
    labels = plan.model.spec.labels if plan.layer.name == LOGITS else ()
    tiles = []
    for channel, (picture, value) in dreams.items():
        name = f"{plan.layer.name}:{channel}"
        beside = crops.of(channel)
        note = f"mean {value:.3g}"
        if beside:
            note += f"; up to {crops.values[channel, 0]:.3g} in the pictures"
        title = f"{labels[channel]} ({channel})" if labels else name
        tiles.append(Tile(title, picture, name, note, value, beside))
    about = plan.about | ({"unreadable pictures": crops.unreadable} if plan.pictures else {})
    told = "\n".join(f"{name}: {value}" for name, value in about.items())
    write_sheet(plan.output, tiles, f"{plan.layer.name} of {plan.network}", told, plan.overwrite)


def _dream(plan: Plan, batch: Sequence[int], watcher: Watcher) -> dict[str, np.ndarray]:
    # A full batch always, so that there is one program: the last channel again and again.
    numbers = [*batch, *[batch[-1]] * (BATCH - len(batch))]
    objectives = [Channel(plan.layer.name, float(number)) for number in numbers]
    told = 0

    def watch(steps: int) -> None:
        nonlocal told
        due = steps * len(batch) // plan.visual.steps
        while told < due:  # as the batch goes on, so that rate and time left are true
            told += 1
            watcher.advance()

    key = jax.random.key(plan.seed)
    pictures = visualize(plan.model, objectives, plan.visual, key, numbers, watch)
    reached = np.asarray(values(plan.model, objectives, pictures))
    return {
        "pictures": np.asarray(to_8bit(pictures))[: len(batch)],
        "values": reached[: len(batch)],
    }


def _name(number: int) -> str:
    return f"batch-{number:05d}"
