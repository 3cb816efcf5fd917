"""A training from a plan to a network's file."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dreamvid.checkpoints import safetensors
from dreamvid.errors import DreamError
from dreamvid.kept import Kept
from dreamvid.media.target import replacing
from dreamvid.room import is_exhausted
from dreamvid.training.checkpoints import Checkpoints
from dreamvid.training.epochs import Course
from dreamvid.training.learning import (
    BATCH,
    Learning,
    State,
    Weights,
    batches,
    pruned_mask,
    replays,
)
from dreamvid.training.network import folded
from dreamvid.training.plans import Plan
from dreamvid.training.results import Row, Tell, curves, summary, table
from dreamvid.types import Watcher


def train(plan: Plan, kept: Kept, watcher: Watcher, tell: Tell) -> None:
    """Trains, from the last checkpoint on, and writes the network with its curves.

    Args:
      plan: From `plan_training`.
      kept: The run folder.
      watcher: Told of each step.
      tell: Takes a line for people after each epoch.

    Raises:
      DreamError: Something cannot be written, or memory runs out.
      Stopped: The watcher asked for it; the same goes on from the last checkpoint.
    """
    try:
        work = _cross_validate if plan.folds else _train
        work(plan, kept, watcher, tell)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise DreamError(
            f"training takes more memory than there is, with a --batch of {plan.training.batch} "
            f"and a --size of {plan.training.size}: give less of either"
        ) from None


def _train(plan: Plan, kept: Kept, watcher: Watcher, tell: Tell) -> None:
    """Trains one network, and writes it with its curves."""
    course, state, history = _learned(plan, 0, kept, watcher, tell)
    weights = _chosen(plan, state)
    score = course.report(weights)
    tell(_told(plan, score))
    if plan.training.prune:
        course, weights, pruned = _prune(course, weights)
        score |= {f"pruned_{name}": value for name, value in pruned.items()}
    facts = {"training": json.dumps({**plan.about, **score})}
    for_table, for_curves = plan.beside
    with replacing(for_table, plan.overwrite) as scratch:
        scratch.write_text(table(history))
    with replacing(for_curves, plan.overwrite) as scratch:
        curves(f"{plan.output.name}: {len(history)} epochs", history).save(scratch)
    with replacing(plan.output, plan.overwrite) as scratch:
        tensors = folded(course.learning.learner(weights))
        kind = np.float16 if plan.training.half else np.float32
        safetensors.write(scratch, plan.spec, tensors, kind, facts)
    watcher.made(plan.output)


def _learned(
    plan: Plan, fold: int, kept: Kept, watcher: Watcher, tell: Tell
) -> tuple[Course, State, list[Row]]:
    course, state = Course.begin(plan, fold, watcher, tell)
    of = f"fold {fold + 1} of {plan.folds}: " if plan.folds else ""
    what = f"{len(plan.spec.labels)} classes" if plan.pretext == "classes" else plan.pretext
    task = (
        f"{of}training on {len(course.known)} pictures for {what}, checking by "
        f"{len(course.held)}, for {plan.training.last} epochs"
    )
    with Checkpoints(kept.folder / "checkpoints" / f"{fold}") as checkpoints:
        state, history = course.learn(state, checkpoints, task)
    return course, state, history


def _chosen(plan: Plan, state: State) -> Weights:
    """The last average; where training may stop early, that of the best epoch."""
    return state.best if plan.training.patience else state.average


def _told(plan: Plan, score: dict[str, float]) -> str:
    return summary(score, len(plan.spec.labels), plan.training.norm)


def _prune(course: Course, weights: Weights) -> tuple[Course, Weights, dict[str, float]]:
    """Sets the smallest values to 0, and lets the others make up for it."""
    plan = course.plan
    training, learner = plan.training, course.learning.learner(weights)
    learner.auxiliary = None  # it is not kept, and so not worth learning further
    _, params, stats = nnx.split(learner, nnx.Param, nnx.BatchStat)
    mask = pruned_mask(params, training.prune)
    cut = jax.tree.map(jnp.multiply, params, mask), stats
    assert training.rate is not None
    # At a tenth of the rate, and downwards only.
    gentle = replace(training, rate=training.rate / 10, schedule="cosine")
    of_epoch = len(list(batches(course.known, training.batch or BATCH)))
    steps = of_epoch * replays(training, bool(training.robust)) * training.prune_epochs
    nnx.update(learner, *cut)
    learning, state = Learning.begin(learner, gentle, plan.pretext, steps)
    course = replace(course, learning=learning)
    course.watcher.begin(f"fine-tuning for {training.prune_epochs} epochs after pruning", steps)
    pictures = training.size, course.sampled(training.size)
    for epoch in range(training.prune_epochs):
        state, _ = course.epoch(state, pictures, training.epochs + epoch, mask)
    score = course.report(state.average)
    zeros = sum(int((part == 0).sum()) for part in jax.tree.leaves(mask))
    course.tell(f"pruned ({zeros} values are 0): {_told(plan, score)}")
    return course, state.average, score


def _cross_validate(plan: Plan, kept: Kept, watcher: Watcher, tell: Tell) -> None:
    """Trains a network for each fold, and writes how they did."""
    rows = []
    for fold in range(plan.folds):
        course, state, _ = _learned(plan, fold, kept, watcher, tell)
        score = course.report(_chosen(plan, state))
        rows.append({"fold": fold + 1, **score})
        tell(f"fold {fold + 1}: {_told(plan, score)}")
    reached = [row["validation_accuracy"] for row in rows]
    tell(
        f"validation accuracy over {plan.folds} folds: {np.mean(reached):.1%}, "
        f"deviation {np.std(reached, ddof=1):.1%}"
    )
    with replacing(plan.output, plan.overwrite) as scratch:
        scratch.write_text(table(rows))
    watcher.made(plan.output)
