"""A training from a folder of pictures to a network's file, with all checks beforehand."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dreamvid import __version__
from dreamvid.checkpoints import safetensors, store
from dreamvid.curves import draw_curves
from dreamvid.errors import DreamError, OptionError, Stopped
from dreamvid.kept import Kept
from dreamvid.media.target import check_target, replacing
from dreamvid.models import Model, ModelSpec
from dreamvid.paths import sha256_of_all
from dreamvid.render import Watcher
from dreamvid.training import data
from dreamvid.training.augment import OnDevice
from dreamvid.training.checkpoints import Checkpoints
from dreamvid.training.data import Pictures
from dreamvid.training.learning import (
    BATCH,
    Learning,
    Pretext,
    State,
    Weights,
    batches,
    make_learner,
    pruned_mask,
    robust_epochs,
    settled,
    sides,
    spec_labels,
)
from dreamvid.training.network import folded, spec_of, unfold
from dreamvid.training.options import Training

ROOM = 1.2
"""Pictures are kept this much larger than the parts that are taken of them."""
SEEN_FIRST = 200
"""Pictures by which a network that is trained further is prepared."""
PARTED = 1.1
"""Validation's loss over its least, from which on it is said to part from training's."""
PLAIN_RADIUS = {"l2": 1.0, "linf": 2 / 255}
"""Of the adversaries that a network is checked with which was trained without."""

Row = dict[str, Any]
"""What was measured after an epoch."""
Tell = Callable[[str], None]
"""Takes a line for people."""


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
    if folds == 1:
        raise OptionError("--folds", "is 1: it takes two parts to check one by the other")
    if folds and training.prune:
        raise OptionError("--prune", "has nothing to prune with --folds, which keeps no network")
    if training.norm == "linf" and training.robust > 1:
        raise OptionError(
            "--robust", f"is {training.robust:g} in linf, where pixels are from 0 to 1: try 0.008"
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
    import hashlib

    whole = hashlib.sha256()
    for part in (pictures.pixels, pictures.sizes, pictures.classes):
        whole.update(part.tobytes())
    return whole.hexdigest()


def train(plan: Plan, kept: Kept, watcher: Watcher, tell: Tell) -> None:
    """Trains, from the last checkpoint on, and writes the network with its curves.

    Args:
      plan: What.
      kept: The run folder.
      watcher: Told of each step.
      tell: Takes a line for people after each epoch.

    Raises:
      DreamError: Something cannot be written.
      Stopped: The watcher asked for it; the same goes on from the last checkpoint.
    """
    if plan.folds:
        _cross_validate(plan, kept, watcher, tell)
        return
    learning, state, history, places = learn(plan, kept.folder / "checkpoints", 0, watcher, tell)
    weights = state.best if plan.training.patience else state.average
    checked = OnDevice.of(plan.pictures.scaled(plan.training.size))
    score = report(plan, learning, weights, checked, places)
    tell(told(plan, score, len(places[1])))
    if plan.training.prune:
        weights, pruned = _prune(plan, learning, weights, checked, places, watcher, tell)
        score |= {f"pruned_{name}": value for name, value in pruned.items()}
    facts = {"training": json.dumps({**plan.about, **score, "held_out": len(places[1])})}
    kind = np.float16 if plan.training.half else np.float32
    tensors = folded(learning.learner(weights))
    _write_curves(plan, history)
    with replacing(plan.output, plan.overwrite) as scratch:
        safetensors.write(scratch, plan.spec, tensors, kind, facts)
    watcher.made(plan.output)


def learn(
    plan: Plan, folder: Path, fold: int, watcher: Watcher, tell: Tell
) -> tuple[Learning, State, list[Row], tuple[np.ndarray, np.ndarray]]:
    """Trains one network, from the last checkpoint in a folder on.

    Returns:
      How it learned, what it has learned, what was measured after each epoch, and which pictures
      it learned from and was checked by.
    """
    training, places = plan.training, plan.split(fold)
    learner = make_learner(plan.spec, training)
    checked = OnDevice.of(plan.pictures.scaled(training.size))
    if plan.start:
        seen = places[0][:: max(len(places[0]) // SEEN_FIRST, 1)]
        few = plan.pictures.chosen(seen).scaled(training.size)
        unfold(
            learner, plan.start, (jax.numpy.asarray(picture, "float32") / 255 for picture in few)
        )
    lengths = [replays(training, robust) for robust in robust_epochs(training)]
    of_epoch = len(list(batches(places[0], training.batch or BATCH)))
    learning, state = Learning.begin(learner, training, plan.pretext, of_epoch * sum(lengths))
    with Checkpoints(folder / f"{fold}") as checkpoints:
        done, state, history = checkpoints.load(state)
        whole, at = of_epoch * sum(lengths), of_epoch * sum(lengths[:done])
        watcher.begin(_task(plan, fold, places), whole, at)
        pictures: tuple[int, OnDevice] | None = None
        for epoch in range(done, training.epochs):
            if has_stopped(training, history):
                tell(f"no progress for {training.patience} epochs: stopped early")
                break
            side = sides(training)[epoch]
            if pictures is None or pictures[0] != side:
                pictures = side, OnDevice.of(plan.pictures.scaled(round(side * ROOM)))
            state, row = _epoch(learning, state, pictures, places[0], epoch, watcher)
            held = learning.check(state.average, checked, places[1])
            known = learning.check(state.average, checked, _some(places[0], len(places[1])))
            row |= {
                "training_loss": known.loss,
                "training_accuracy": known.accuracy,
                "validation_loss": held.loss,
                "validation_accuracy": held.accuracy,
            }
            if held.accuracy >= max((r["validation_accuracy"] for r in history), default=0.0):
                state = replace(state, best=state.average)
            history = [*history, row]
            checkpoints.save(epoch + 1, state, history)
            tell(_line(row, training.epochs))
            if parted(history) and not parted(history[:-1]):
                tell(
                    f"warning: validation has parted from training at epoch {epoch + 1}: it is "
                    "learning its pictures by heart. Try --patience, more --weight-decay or "
                    "--dropout, or more pictures"
                )
    return learning, state, history, places


def _epoch(
    learning: Learning,
    state: State,
    pictures: tuple[int, OnDevice],
    numbers: np.ndarray,
    epoch: int,
    watcher: Watcher,
    mask: Any = None,
) -> tuple[State, Row]:
    training, (side, sampled) = learning.training, pictures
    robust = robust_epochs(training)[min(epoch, training.epochs - 1)]
    classes = np.asarray(sampled.classes)[numbers]
    balance = training.balance if learning.pretext == "classes" else 0.0
    order = numbers[data.order(classes, balance, (training.seed, epoch))]
    keys, scores = jax.random.fold_in(jax.random.key(training.seed), epoch), []
    for number, which in enumerate(batches(order, training.batch or BATCH)):
        key = jax.random.fold_in(keys, number)
        images, targets = learning.views(key, sampled, which, side=side)
        change = None
        for again in range(replays(training, robust)):
            if watcher.stop_asked:
                raise Stopped(
                    f"stopped in epoch {epoch + 1}; the same command goes on from its beginning"
                )
            key = jax.random.fold_in(key, again)
            state, change, score = learning.step(
                state, key, images, targets, change, mask, robust=robust
            )
            scores.append(score)
            if len(scores) % 8 == 0:  # so that what is asked for does not run far ahead
                jax.block_until_ready(score)
            watcher.advance()
    loss, right = np.mean([[float(value) for value in score] for score in scores], axis=0)
    if not np.isfinite(loss):
        raise DreamError(f"the loss is no number after epoch {epoch + 1}: try a smaller --rate")
    return state, {
        "epoch": epoch + 1,
        "side": side,
        "robust": training.robust if robust else 0.0,
        "step_loss": float(loss),
        "step_accuracy": float(right),
    }


def replays(training: Training, robust: bool) -> int:
    """How often a batch is seen in a row."""
    return training.attack_steps if robust and training.attack == "free" else 1


def _some(numbers: np.ndarray, count: int) -> np.ndarray:
    """As many of them, evenly."""
    return numbers[np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)]


def has_stopped(training: Training, history: list[Row]) -> bool:
    """Whether validation has got no better for as long as patience lasts."""
    if not training.patience or not history:
        return False
    reached = [row["validation_accuracy"] for row in history]
    return len(reached) - 1 - int(np.argmax(reached)) >= training.patience


def parted(history: list[Row]) -> bool:
    """Whether validation gets worse while training gets better."""
    if not history:
        return False
    held = [row["validation_loss"] for row in history]
    best, last = history[int(np.argmin(held))], history[-1]
    worse = last["validation_loss"] > PARTED * best["validation_loss"]
    return worse and last["training_loss"] < best["training_loss"]


def report(
    plan: Plan,
    learning: Learning,
    weights: Weights,
    checked: OnDevice,
    places: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """How well a finished network does: on what it learned, what was held out, and attacked."""
    training = plan.training
    radius = training.robust or PLAIN_RADIUS[training.norm]
    known = learning.check(weights, checked, _some(places[0], len(places[1])))
    held = learning.check(weights, checked, places[1])
    attacked = learning.check(weights, checked, places[1], radius)
    return {
        "training_accuracy": known.accuracy,
        "validation_accuracy": held.accuracy,
        "attacked_accuracy": attacked.accuracy,
        "attacked_radius": radius,
    }


def told(plan: Plan, score: dict[str, float], held: int) -> str:
    """The same as a line for people."""
    return (
        f"validation accuracy {score['validation_accuracy']:.1%} over {len(plan.spec.labels)} "
        f"classes ({held} pictures), training {score['training_accuracy']:.1%}, attacked "
        f"{score['attacked_accuracy']:.1%} ({plan.training.norm} {score['attacked_radius']:g}, "
        "10 steps)"
    )


def _prune(
    plan: Plan,
    learning: Learning,
    weights: Weights,
    checked: OnDevice,
    places: tuple[np.ndarray, np.ndarray],
    watcher: Watcher,
    tell: Tell,
) -> tuple[Weights, dict[str, float]]:
    """Sets the smallest values to 0, and lets the others make up for it."""
    training = plan.training
    params, stats = weights
    mask = pruned_mask(params, training.prune)
    weights = jax.tree.map(jax.numpy.multiply, params, mask), stats
    assert training.rate is not None
    # At a tenth of the rate, and downwards only.
    gentle = replace(training, rate=training.rate / 10, schedule="cosine")
    steps = len(list(batches(places[0], training.batch or BATCH))) * replays(
        training, training.robust > 0
    )
    tuned, state = Learning.begin(
        learning.learner(weights), gentle, plan.pretext, steps * training.prune_epochs
    )
    sampled = training.size, OnDevice.of(plan.pictures.scaled(round(training.size * ROOM)))
    watcher.begin(
        f"fine-tuning what pruning left for {training.prune_epochs} epochs",
        steps * training.prune_epochs,
    )
    for epoch in range(training.prune_epochs):
        state, _ = _epoch(tuned, state, sampled, places[0], training.epochs + epoch, watcher, mask)
    score = report(plan, tuned, state.average, checked, places)
    zeros = sum(float((m == 0).sum()) for m in jax.tree.leaves(mask))
    tell(f"pruned ({zeros:.0f} values are 0): {told(plan, score, len(places[1]))}")
    return state.average, score


def _cross_validate(plan: Plan, kept: Kept, watcher: Watcher, tell: Tell) -> None:
    checked, rows = OnDevice.of(plan.pictures.scaled(plan.training.size)), []
    for fold in range(plan.folds):
        folder = kept.folder / "checkpoints"
        learning, state, _, places = learn(plan, folder, fold, watcher, tell)
        weights = state.best if plan.training.patience else state.average
        score = report(plan, learning, weights, checked, places)
        rows.append({"fold": fold + 1, "held_out": len(places[1]), **score})
        tell(f"fold {fold + 1}: {told(plan, score, len(places[1]))}")
    reached = [row["validation_accuracy"] for row in rows]
    tell(
        f"validation accuracy over {plan.folds} folds: {np.mean(reached):.1%}, "
        f"deviation {np.std(reached, ddof=1):.1%}"
    )
    with replacing(plan.output, plan.overwrite) as scratch:
        scratch.write_text(_table(rows))
    watcher.made(plan.output)


def _task(plan: Plan, fold: int, places: tuple[np.ndarray, np.ndarray]) -> str:
    of = f"fold {fold + 1} of {plan.folds}: " if plan.folds else ""
    what = f"{len(plan.spec.labels)} classes" if plan.pretext == "classes" else plan.pretext
    return (
        f"{of}training on {len(places[0])} pictures for {what}, checking by {len(places[1])}, "
        f"for {plan.training.epochs} epochs"
    )


def _line(row: Row, epochs: int) -> str:
    attacked = f", radius {row['robust']:g}" if row["robust"] else ""
    return (
        f"epoch {row['epoch']} of {epochs} ({row['side']} pixels{attacked}): loss "
        f"{row['training_loss']:.3f}, validation {row['validation_loss']:.3f}; accuracy "
        f"{row['training_accuracy']:.1%}, validation {row['validation_accuracy']:.1%}"
    )


def _table(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
    )
    return text.getvalue()


def _write_curves(plan: Plan, history: list[Row]) -> None:
    table, picture = plan.beside

    def of(*names: str) -> dict[str, list[float | None]]:
        return {name.split("_")[0]: [row[name] for row in history] for name in names}

    strips = {
        "loss": of("training_loss", "validation_loss", "step_loss"),
        "accuracy": of("training_accuracy", "validation_accuracy", "step_accuracy"),
        "side (pixels)": of("side"),
        "radius of adversaries": of("robust"),
    }
    with replacing(table, plan.overwrite) as scratch:
        scratch.write_text(_table(history))
    title = f"{plan.output.name}: {plan.spec.origin}"
    with replacing(picture, plan.overwrite) as scratch:
        draw_curves(title, strips, len(history), "epoch").save(scratch)
