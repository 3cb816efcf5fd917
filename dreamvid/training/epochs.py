"""Learning, epoch by epoch, from the last checkpoint on."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid.errors import DreamError, Stopped
from dreamvid.training import data
from dreamvid.training.augment import OnDevice, middles
from dreamvid.training.checkpoints import Checkpoints
from dreamvid.training.learning import (
    BATCH,
    RADII,
    Learning,
    State,
    Weights,
    batches,
    make_learner,
    replays,
    robust_epochs,
    sides,
)
from dreamvid.training.network import unfold
from dreamvid.training.plans import ROOM, Plan
from dreamvid.training.results import Row, Tell, has_stopped, line, parted
from dreamvid.types import Watcher

SEEN_FIRST = 200
"""Pictures by which a network that is trained further is prepared."""


@dataclass(frozen=True)
class Course:
    """One network's training: how it learns, from what, and who is told."""

    plan: Plan
    learning: Learning
    known: np.ndarray
    """Numbers of the pictures that it learns from."""
    held: np.ndarray
    """Of those that it is checked by."""
    checked: OnDevice
    """All pictures as they are checked, at full size."""
    watcher: Watcher
    tell: Tell

    @classmethod
    def begin(cls, plan: Plan, fold: int, watcher: Watcher, tell: Tell) -> tuple["Course", State]:
        """The training of a plan, or of one of its folds, and the state it begins in."""
        training, (known, held) = plan.training, plan.split(fold)
        learner = make_learner(plan.spec, training)
        checked = OnDevice.of(plan.pictures.scaled(training.size))
        if plan.start:
            seen = known[:: max(len(known) // SEEN_FIRST, 1)]
            # Squares, since the network is compiled for each shape of a picture.
            unfold(learner, plan.start, middles(checked, jnp.asarray(seen), training.size))
        steps = sum(_steps(plan, known))
        learning, state = Learning.begin(learner, training, plan.pretext, steps)
        return cls(plan, learning, known, held, checked, watcher, tell), state

    def learn(self, state: State, checkpoints: Checkpoints, task: str) -> tuple[State, list[Row]]:
        """Learns for as many epochs as are left, and keeps each.

        Args:
          state: The one it began in.
          checkpoints: Where it goes on from the last one.
          task: What is being done, for people.

        Returns:
          What has been learned, and what was measured after each epoch.

        Raises:
          DreamError: A checkpoint cannot be read or written, or the loss is no number any more.
          Stopped: The watcher asked for it.
        """
        training = self.plan.training
        steps = _steps(self.plan, self.known)[: training.last]
        done, state, history = checkpoints.load(state)
        self.watcher.begin(task, sum(steps), sum(steps[:done]))
        pictures: tuple[int, OnDevice] | None = None
        for epoch in range(done, training.last):
            if has_stopped(training, history):
                self.tell(f"no progress for {training.patience} epochs: stopped early")
                break
            side = sides(training)[epoch]
            if pictures is None or pictures[0] != side:
                pictures = side, self.sampled(side)
            state, row = self.epoch(state, pictures, epoch)
            row |= self._checked(state.average)
            best = max((known["validation_accuracy"] for known in history), default=0.0)
            if row["validation_accuracy"] >= best:
                state = replace(state, best=state.average)
            history = [*history, row]
            checkpoints.save(epoch + 1, state, history)
            self.tell(line(row, training.last))
            if parted(history) and not parted(history[:-1]):
                self.tell(
                    f"warning: validation has parted from training at epoch {epoch + 1}: it is "
                    "learning its pictures by heart. Try --patience, more --weight-decay or "
                    "--dropout, or more pictures"
                )
        return state, history

    def epoch(
        self, state: State, pictures: tuple[int, OnDevice], epoch: int, mask: Any = None
    ) -> tuple[State, Row]:
        """Sees the pictures once.

        Args:
          state: What has been learned.
          pictures: The side of the views, and what they are taken of.
          epoch: Which, counted from 0.
          mask: As `Learning.step` takes it.

        Returns:
          What has been learned then, and how the steps went.

        Raises:
          DreamError: The loss is no number any more.
          Stopped: The watcher asked for it.
        """
        learning, training, (side, sampled) = self.learning, self.plan.training, pictures
        robust = robust_epochs(training)[min(epoch, training.epochs - 1)]
        classes = self.plan.pictures.classes[self.known]
        balance = training.balance if learning.pretext == "classes" else 0.0
        order = self.known[data.order(classes, balance, (training.seed, epoch))]
        keys, scores = jax.random.fold_in(jax.random.key(training.seed), epoch), []
        for number, which in enumerate(batches(order, training.batch or BATCH)):
            key = jax.random.fold_in(keys, number)
            images, targets = learning.views(key, sampled, which, side=side)
            change = None
            for again in range(replays(training, robust)):
                if self.watcher.stop_asked:
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
                self.watcher.advance()
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

    def sampled(self, side: int) -> OnDevice:
        """The pictures as views of a side are taken of them."""
        return OnDevice.of(self.plan.pictures.scaled(round(side * ROOM)))

    def report(self, weights: Weights) -> dict[str, float]:
        """How well a network does: on what it learned, on what was held out, and attacked."""
        training = self.plan.training
        radius = training.robust or RADII[training.norm]
        attacked = self.learning.check(weights, self.checked, self.held, radius)
        return {
            **self._checked(weights),
            "attacked_accuracy": attacked.accuracy,
            "attacked_radius": radius,
            "held_out": len(self.held),
        }

    def _checked(self, weights: Weights) -> dict[str, float]:
        # As many of those that it learned from as were held out.
        some = np.linspace(0, len(self.known) - 1, min(len(self.held), len(self.known)))
        known = self.learning.check(weights, self.checked, self.known[some.astype(int)])
        held = self.learning.check(weights, self.checked, self.held)
        return {
            "training_loss": known.loss,
            "training_accuracy": known.accuracy,
            "validation_loss": held.loss,
            "validation_accuracy": held.accuracy,
        }


def _steps(plan: Plan, known: np.ndarray) -> list[int]:
    """How many steps each epoch has."""
    of_epoch = len(list(batches(known, plan.training.batch or BATCH)))
    return [of_epoch * replays(plan.training, robust) for robust in robust_epochs(plan.training)]
