"""A training with all that it needs, checked before it begins."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dreamvid import __version__
from dreamvid.checkpoints import store
from dreamvid.errors import DreamError, OptionError
from dreamvid.media.target import check_target
from dreamvid.models import Model, ModelSpec
from dreamvid.paths import sha256_of_all
from dreamvid.training import data
from dreamvid.training.data import Pictures
from dreamvid.training.learning import Pretext, settled, spec_labels
from dreamvid.training.network import spec_of
from dreamvid.training.options import Training

ROOM = 1.2
"""Pictures are kept this much larger than the parts that are taken of them."""


@dataclass(frozen=True)
class Plan:
    """A training that can begin."""

    pictures: Pictures
    skipped: list[str]
    """A line for each file that was left out."""
    pretext: Pretext
    spec: ModelSpec
    start: Model | None
    """What is trained further."""
    training: Training
    folds: int
    """How many networks are trained to be checked, each by other pictures; 0 is one to keep."""
    output: Path
    overwrite: bool
    about: dict[str, Any]
    """All that decides the result."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.output.with_name(f"{self.output.name}.training")

    @property
    def beside(self) -> tuple[Path, Path]:
        """The curves, as a table and as a picture."""
        return self.output.with_suffix(".csv"), self.output.with_suffix(".png")

    def split(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Which pictures to learn from, and which to check by."""
        if self.pretext == "crops":  # other parts of the same pictures
            every = np.arange(len(self.pictures))
            return every, every
        # Without classes all are of one kind.
        classes = self.pictures.classes if self.pretext == "classes" else 0 * self.pictures.classes
        share = 1 / self.folds if self.folds else self.training.validation
        return data.split(classes, share, self.training.seed, fold)


def plan_training(
    folder: Path,
    output: Path,
    training: Training,
    *,
    start: str | None = None,
    folds: int = 0,
    overwrite: bool = False,
) -> Plan:
    """Checks everything, and decodes the pictures.

    Args:
      folder: Of the pictures; see `data.scan`.
      output: The network's file; the table's (.csv), where folds are given.
      training: How.
      start: A network to train further: a name or a file. The width is then its own.
      folds: Parts of the pictures; as many networks are trained, each to be checked by one.
      overwrite: Whether existing files may be replaced.

    Raises:
      DreamError: The pictures, the output or the network to begin with will not do.
    """
    _check_options(training, folds)
    check_target(output, [".csv"] if folds else [".safetensors"], overwrite)
    beside = output.with_suffix(".csv"), output.with_suffix(".png")
    for path in beside:
        check_target(path, [path.suffix], overwrite)
    listed = data.scan(folder)
    began, starts = _start(start)
    pictures, skipped = data.read(listed, round(training.size * ROOM))
    training = settled(training, len(pictures), starts is not None)
    pretext: Pretext = "classes" if listed.labels else training.pretext  # type: ignore[assignment]
    if folds and pretext == "crops":
        raise OptionError(
            "--folds", "needs pictures to hold out, and --pretext crops learns from all of them"
        )
    of_smallest = np.unique(pictures.classes, return_counts=True)[1].min()
    if folds and pretext == "classes" and of_smallest < folds:
        raise OptionError(
            "--folds", f"is {folds}, but a class has {of_smallest} pictures: give so many at most"
        )
    labels = spec_labels(pretext, listed.labels, len(pictures))
    origin = (
        f"trained by dreamvid {__version__} on {len(pictures)} pictures"
        + (f" of {len(listed.labels)} classes" if listed.labels else f", by {pretext}")
        + (f"; {training.origin}" if training.origin else "")
    )
    spec = replace(spec_of(training.width, labels, origin), licence=training.licence)
    if starts is not None:
        spec = replace(spec, widths=starts.spec.widths)
    about = {
        **asdict(training),
        "folds": folds,
        "from": began or "nothing",
        "pictures": sha256_of_all([_digest(pictures), *labels]),
    }
    return Plan(pictures, skipped, pretext, spec, starts, training, folds, output, overwrite, about)


def _check_options(training: Training, folds: int) -> None:
    if training.first_size and training.first_size > training.size:
        raise OptionError(
            "--first-size", f"is {training.first_size}, more than --size, {training.size}"
        )
    if (training.last_epoch or 0) > training.epochs:
        raise OptionError(
            "--last-epoch", f"is {training.last_epoch}, more than --epochs, {training.epochs}"
        )
    if folds == 1:
        raise OptionError("--folds", "is 1: it takes two parts to check one by the other")
    if folds and training.prune:
        raise OptionError("--prune", "has nothing to prune with --folds, which keeps no network")
    if training.norm == "linf" and (training.robust or 0.0) >= 0.5:
        raise OptionError(
            "--robust", f"is {training.robust:g} in linf, of values from 0 to 1: try 0.008"
        )


def _start(name: str | None) -> tuple[str, Model | None]:
    """The digest of a network to train further, and the network."""
    if name is None:
        return "", None
    found = store.resolve(name)
    model = store.load(found)
    if model.spec.architecture != "inception_v1" or model.spec.family != "folded":
        raise DreamError(
            f"--from {name} is {model.spec.architecture} of the family {model.spec.family}: only "
            "networks that dreamvid has trained can be trained further"
        )
    return store.digest(found), model


def _digest(pictures: Pictures) -> str:
    whole = hashlib.sha256()
    for part in (pictures.pixels, pictures.sizes, pictures.classes):
        whole.update(part.tobytes())
    return whole.hexdigest()
