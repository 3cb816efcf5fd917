"""One step of learning, and what has been learned by then."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from dreamvid.models import ModelSpec
from dreamvid.training import augment
from dreamvid.training.attack import Norm, attack, beginning, stepped
from dreamvid.training.augment import OnDevice
from dreamvid.training.network import Learner
from dreamvid.training.options import Training

Pretext: TypeAlias = Literal["classes", "rotations", "crops"]
"""What is told apart: classes, ways up, or the pictures themselves."""
BATCH, SMALLEST_BATCH, LEAST_STEPS = 64, 8, 16
"""Pictures in a step, at least so many, and the steps of an epoch below which there are fewer."""
RADII = {"l2": 1.0, "linf": 0.008}
"""Of adversaries, in each norm."""
FURTHER = 0.2
"""Rate with which a trained network learns on, over that of a new one."""
AT_ONCE = 64
"""Pictures that are checked at once."""
ATTACK_STEPS = 10
"""Of the adversaries that a finished network is checked with."""

Weights: TypeAlias = tuple[Any, Any]
"""A learner's parameters, and the statistics of its norms."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["weights", "average", "rest", "best", "steps"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """All that the next step needs, but for its pictures."""

    weights: Weights
    average: Weights
    """Over the last steps: what is checked, and kept in the end."""
    rest: Any
    """The optimizer's."""
    best: Weights
    """The average of the epoch that did best in validation."""
    steps: jax.Array
    """How many have been taken, int32."""


class Score(NamedTuple):
    """How well pictures are told apart."""

    loss: float
    accuracy: float
    """Mean over the classes, from 0 to 1."""


@dataclass(frozen=True)
class Learning:
    """How a network learns: a static argument of what is compiled."""

    training: Training
    graph: nnx.GraphDef
    optimizer: optax.GradientTransformation
    pretext: Pretext
    classes: int

    @classmethod
    def begin(
        cls, learner: Learner, training: Training, pretext: Pretext, steps: int
    ) -> tuple["Learning", State]:
        """How a network learns in so many steps, and the state that it begins in."""
        graph, params, stats = nnx.split(learner, nnx.Param, nnx.BatchStat)
        optimizer = optimizer_of(training, steps)
        learning = cls(training, graph, optimizer, pretext, len(learner.spec.labels))
        weights = params, stats
        return learning, State(weights, weights, optimizer.init(params), weights, jnp.int32(0))

    def learner(self, weights: Weights) -> Learner:
        """The network with some weights, as checked and kept: its norms have learned enough."""
        learner = nnx.merge(self.graph, *weights, copy=True)
        learner.eval()
        return learner

    def _loss(
        self,
        params: Any,
        images: jax.Array,
        stats: Any,
        targets: jax.Array,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[Any, jax.Array]]:
        """The mean loss; the norms' new statistics, and the logarithms of odds, beside it."""
        learner = nnx.merge(self.graph, params, stats, copy=True)
        learner.train()
        dropout = self.training.dropout if key is not None else 0.0
        odds, *others = learner.odds(images, dropout, key)
        wanted = optax.smooth_labels(jax.nn.one_hot(targets, self.classes), self.training.smoothing)
        loss = optax.softmax_cross_entropy(odds, wanted).mean()
        for other in others:
            loss += self.training.auxiliary * optax.softmax_cross_entropy(other, wanted).mean()
        return loss, (nnx.state(learner, nnx.BatchStat), odds)

    @partial(jax.jit, static_argnames=("self", "side"))
    def views(
        self, key: jax.Array, pictures: OnDevice, which: jax.Array, *, side: int
    ) -> tuple[jax.Array, jax.Array]:
        """Random views of pictures, float32 (n, side, side, 3), and what they are to be taken for.

        Args:
          key: Randomness.
          pictures: The pictures.
          which: int32 (n,): their numbers.
          side: In pixels.
        """
        keys, how = jax.random.split(key), self.training
        images = augment.crops(
            keys[0],
            pictures,
            which,
            side,
            least_area=how.least_area,
            flip=how.flip,
            colour=how.colour,
        )
        if self.pretext != "rotations":
            return images, pictures.classes[which]
        turns = jax.random.randint(keys[1], which.shape, 0, augment.TURNS)
        return augment.turned(images, turns), turns

    def step(
        self,
        state: State,
        key: jax.Array,
        images: jax.Array,
        targets: jax.Array,
        change: jax.Array | None,
        mask: Any,
        *,
        robust: bool,
    ) -> tuple[State, jax.Array | None, Score]:
        """Learns from a batch.

        Args:
          state: What has been learned.
          key: Randomness.
          images: float32 (n, h, w, 3) in [0, 1].
          targets: int32 (n,): what they are to be taken for.
          change: Of a free attack, as the last step on these pictures left it; None for the others,
            and at its beginning.
          mask: Zeros where parameters stay 0, of the params' form; None where none do.
          robust: Whether adversaries are learned from.

        Returns:
          The next state, the next change of a free attack, and how well it went.
        """
        free = robust and self.training.attack == "free"
        if free and change is None:
            change = self._beginning(key, images)
        # Two programs: as one, XLA mixes them up, which takes a seventh longer on a CPU.
        slope, stats, change, score = self._slope(
            state.weights, key, images, targets, change, robust=robust
        )
        return self._update(state, slope, stats, mask), change, score

    @partial(jax.jit, static_argnames="self")
    def _beginning(self, key: jax.Array, images: jax.Array) -> jax.Array:
        return beginning(key, images, self._radius, self._norm)

    @partial(jax.jit, static_argnames=("self", "robust"))
    def _slope(
        self,
        weights: Weights,
        key: jax.Array,
        images: jax.Array,
        targets: jax.Array,
        change: jax.Array | None,
        *,
        robust: bool,
    ) -> tuple[Any, Any, jax.Array | None, Score]:
        """The loss's gradient, the norms' next statistics, the next change, and the score."""
        how, (params, stats), keys = self.training, weights, jax.random.split(key)
        loss = partial(self._loss, stats=stats, targets=targets)
        free = change is not None
        if robust and not free:
            slope = jax.grad(lambda seen: loss(params, seen)[0])
            steps = how.attack_steps if how.attack == "pgd" else 1
            seen = images + jax.lax.stop_gradient(
                attack(keys[0], slope, images, radius=self._radius, norm=self._norm, steps=steps)
            )
        else:
            seen = images + change if free else images
        (value, (stats, odds)), slopes = jax.value_and_grad(
            loss, (0, 1) if free else 0, has_aux=True
        )(params, seen, key=keys[1])
        score = Score(value, (odds.argmax(-1) == targets).mean())
        if not free:
            return slopes, stats, None, score
        slope, uphill = slopes
        change = stepped(change, uphill, images, self._radius, self._radius, self._norm)
        return slope, stats, change, score

    @partial(jax.jit, static_argnames="self")
    def _update(self, state: State, slope: Any, stats: Any, mask: Any) -> State:
        updates, rest = self.optimizer.update(slope, state.rest, state.weights[0])
        params = optax.apply_updates(state.weights[0], updates)
        if mask is not None:
            params = jax.tree.map(jnp.multiply, params, mask)
        # Over fewer steps at first, since there were none before them.
        fresh = jnp.maximum(1.0 - self.training.ema, 9.0 / (10.0 + state.steps))
        average: Any = optax.incremental_update((params, stats), state.average, fresh)
        return State((params, stats), average, rest, state.best, state.steps + 1)

    @property
    def _radius(self) -> float:
        return self.training.robust or 0.0

    @property
    def _norm(self) -> Norm:
        return self.training.norm  # type: ignore[return-value]

    @partial(jax.jit, static_argnames=("self", "side", "radius"))
    def _check(
        self,
        weights: Weights,
        key: jax.Array,
        pictures: OnDevice,
        which: jax.Array,
        *,
        side: int,
        radius: float,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Loss and success of each picture, float32 (n,), and its class."""
        learner = nnx.merge(self.graph, *weights, copy=True)
        learner.eval()
        if self.pretext == "crops":
            images = augment.crops(
                key, pictures, which, side, least_area=0.5, flip=False, colour=0.0
            )
        else:
            images = augment.middles(pictures, which, side)
        targets = pictures.classes[which]
        if self.pretext == "rotations":
            targets = which % augment.TURNS
            images = augment.turned(images, targets)

        def losses(seen: jax.Array) -> jax.Array:
            odds = learner.classify(seen)
            return optax.softmax_cross_entropy_with_integer_labels(odds, targets)

        if radius:
            slope = jax.grad(lambda seen: losses(seen).sum())
            images += attack(key, slope, images, radius=radius, norm=self._norm, steps=ATTACK_STEPS)
        odds = learner.classify(images)
        found = optax.softmax_cross_entropy_with_integer_labels(odds, targets)
        return found, (odds.argmax(-1) == targets).astype(jnp.float32), targets

    def check(
        self, weights: Weights, pictures: OnDevice, which: np.ndarray, radius: float = 0.0
    ) -> Score:
        """How well a network tells pictures apart, in their middles at full size.

        Args:
          weights: The network's.
          pictures: The pictures.
          which: int (n,): those to check.
          radius: Of adversaries of ten steps in the training's norm; 0 for none.
        """
        key, parts = jax.random.key(self.training.seed), []
        size = min(AT_ONCE, len(which))
        for first in range(0, len(which), size):
            numbers = which[first : first + size]
            padded = np.resize(numbers, size).astype(np.int32)  # so that it compiles once
            found = self._check(
                weights,
                jax.random.fold_in(key, first),
                pictures,
                padded,
                side=self.training.size,
                radius=radius,
            )
            parts.append([np.asarray(part)[: len(numbers)] for part in found])
        losses, right, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
        of_classes = [right[targets == number].mean() for number in np.unique(targets)]
        return Score(float(losses.mean()), float(np.mean(of_classes)))


def settled(training: Training, count: int, further: bool) -> Training:
    """A training with numbers in the place of all that is left to it.

    Args:
      training: As the user wants it.
      count: How many pictures are learned from.
      further: Whether it goes on from a trained network.

    Source: Goyal et al. 2017 (rates in proportion to the batch, for SGD), Malladi et al. 2022 (to
    its root, for Adam).
    """
    adam = training.optimizer == "adamw"
    batch = training.batch or min(max(count // LEAST_STEPS, SMALLEST_BATCH), BATCH)
    rate, decay = training.rate, training.weight_decay
    if rate is None:
        rate = 0.002 * (batch / BATCH) ** 0.5 if adam else 0.1 * batch / BATCH
        rate *= FURTHER if further else 1.0
    if decay is None:
        decay = 0.05 if adam else 0.0005
    robust = RADII[training.norm] if training.robust is None else training.robust
    return replace(training, batch=batch, rate=rate, weight_decay=decay, robust=robust)


@cache  # one object for the same options, by which compiled programs are found again
def optimizer_of(training: Training, steps: int) -> optax.GradientTransformation:
    """What turns gradients into changes, over so many steps of a `settled` training.

    Source: Loshchilov and Hutter 2019 (AdamW, cosine); Smith and Topin 2018 (one cycle).
    """
    adam, peak, decay = training.optimizer == "adamw", training.rate, training.weight_decay
    assert peak is not None
    assert decay is not None
    steps = max(steps, 4)
    if training.schedule == "onecycle":
        rate = optax.cosine_onecycle_schedule(steps, peak, pct_start=0.15)
    else:
        rate = optax.cosine_decay_schedule(peak, steps)
    if adam:
        return optax.adamw(rate, weight_decay=decay, mask=kernels_of)
    return optax.chain(
        optax.add_decayed_weights(decay, mask=kernels_of),
        optax.sgd(rate, momentum=0.9, nesterov=True),
    )


def kernels_of(params: Any) -> Any:
    """True for each kernel, of the params' form: what decays, and is pruned."""
    return jax.tree.map_with_path(lambda path, _: _is_kernel(path), params)


def _is_kernel(path: Any) -> bool:
    return any(getattr(part, "key", None) == "kernel" for part in path)


def pruned_mask(params: Any, share: float) -> Any:
    """Ones and zeros of the params' form: zeros at the smallest values of each kernel.

    Source: Han et al. 2015, "Learning both Weights and Connections", magnitude pruning.
    """

    def mask(path: Any, value: jax.Array) -> jax.Array:
        size = jnp.abs(value)
        if not _is_kernel(path):
            return jnp.ones_like(value)
        return (size >= jnp.quantile(size, share)).astype(value.dtype)

    return jax.tree.map_with_path(mask, params)


def sides(training: Training) -> list[int]:
    """The pictures' side in each epoch: it grows in equal stretches."""
    first = min(training.first_size or training.size, training.size)
    stages = [*range(first, training.size, 16), training.size]
    return [stages[epoch * len(stages) // training.epochs] for epoch in range(training.epochs)]


def robust_epochs(training: Training) -> list[bool]:
    """Whether each epoch learns from adversaries."""
    plain = round(training.plain * training.epochs)
    return [bool(training.robust) and epoch >= plain for epoch in range(training.epochs)]


def replays(training: Training, robust: bool) -> int:
    """How often a batch is seen in a row."""
    return training.attack_steps if robust and training.attack == "free" else 1


def batches(numbers: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Parts of equal size, int32; what is left over is left out."""
    size = min(size, len(numbers))
    for first in range(0, len(numbers) - size + 1, size):
        yield numbers[first : first + size].astype(np.int32)


def spec_labels(pretext: Pretext, labels: tuple[str, ...], count: int) -> tuple[str, ...]:
    """What the classifier's outputs are called."""
    if pretext == "classes":
        return labels
    if pretext == "rotations":
        return "upright", "turned left", "upside down", "turned right"
    return tuple(f"picture {number + 1}" for number in range(count))


def make_learner(spec: ModelSpec, training: Training) -> Learner:
    """A network that has learned nothing yet."""
    precision = training.precision
    if precision == "auto":
        precision = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return Learner(
        spec, nnx.Rngs(training.seed), jnp.dtype(precision), auxiliary=training.auxiliary > 0
    )
