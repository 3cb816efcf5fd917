"""Plans of a training: sizes, adversaries, pruning, and when it has gone on for long enough."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dreamvid.training.learning import (
    batches,
    optimizer_of,
    pruned_mask,
    replays,
    robust_epochs,
    settled,
    sides,
    spec_labels,
)
from dreamvid.training.options import Training
from dreamvid.training.results import has_stopped, parted


def test_the_side_grows_in_equal_stretches() -> None:
    assert sides(Training(size=64, epochs=3)) == [64, 64, 64]
    assert sides(Training(size=96, first_size=64, epochs=6)) == [64, 64, 80, 80, 96, 96]
    assert sides(Training(size=100, first_size=64, epochs=4)) == [64, 80, 96, 100]
    # Too few epochs for each: it ends at the full size all the same.
    assert sides(Training(size=128, first_size=64, epochs=2))[-1] in (96, 112, 128)


def test_adversaries_come_after_the_plain_epochs() -> None:
    assert robust_epochs(Training(epochs=4, robust=0.0)) == [False] * 4
    assert robust_epochs(Training(epochs=4, robust=1.0, plain=0.5)) == [False, False, True, True]


def test_free_sees_each_batch_several_times() -> None:
    free = Training(robust=1.0, attack="free", attack_steps=4)
    assert [replays(free, robust) for robust in (False, True)] == [1, 4]
    assert replays(Training(robust=1.0, attack="pgd", attack_steps=4), True) == 1


def test_batches_are_of_one_size() -> None:
    assert [len(batch) for batch in batches(np.arange(10), 4)] == [4, 4]
    assert [len(batch) for batch in batches(np.arange(3), 4)] == [3]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_pruning_keeps_the_largest_values_of_each_kernel(share: float) -> None:
    random = np.random.default_rng(0)
    values = jnp.asarray(random.normal(size=(3, 3, 4, 10)), jnp.float32)
    params = {"conv": {"kernel": values, "bias": jnp.zeros(10)}}
    mask = pruned_mask(params, share)["conv"]
    assert float(mask["kernel"].mean()) == pytest.approx(1 - share, abs=0.01)
    np.testing.assert_array_equal(mask["bias"], 1.0)
    gone, left = (abs(values)[mask["kernel"] == value] for value in (0, 1))
    assert gone.size == 0 or gone.max() <= left.min()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_only_kernels_decay(optimizer: str, schedule: str) -> None:
    how = settled(Training(optimizer=optimizer, schedule=schedule, weight_decay=0.5), 9, False)
    made = optimizer_of(how, 10)
    params = {"kernel": jnp.ones(3), "bias": jnp.ones(3)}
    nothing = {"kernel": jnp.zeros(3), "bias": jnp.zeros(3)}
    updates: Any = made.update(nothing, made.init(params), params)[0]
    assert (updates["kernel"] < 0).all()
    np.testing.assert_array_equal(updates["bias"], 0.0)


def rows(*losses: tuple[float, float]) -> list[dict[str, float]]:
    return [
        {"training_loss": known, "validation_loss": held, "validation_accuracy": 1 / held}
        for known, held in losses
    ]


def test_validation_parts_from_training_when_it_gets_worse_while_that_gets_better() -> None:
    assert not parted([])
    assert not parted(rows((3, 3), (2, 2)))
    assert not parted(rows((3, 3), (2, 3.1)))
    assert parted(rows((3, 3), (2, 3.5)))
    assert not parted(rows((3, 3), (4, 3.5)))


def test_patience_ends_after_so_many_epochs_without_progress() -> None:
    patient = Training(patience=2)
    assert not has_stopped(patient, [])
    assert not has_stopped(patient, rows((1, 3), (1, 2), (1, 3)))
    assert has_stopped(patient, rows((1, 3), (1, 2), (1, 3), (1, 3)))
    assert not has_stopped(Training(), rows((1, 3), (1, 4), (1, 4), (1, 4)))


def test_what_is_told_apart_names_the_classes() -> None:
    assert spec_labels("classes", ("a", "b"), 9) == ("a", "b")
    assert len(spec_labels("rotations", (), 9)) == 4
    assert spec_labels("crops", (), 2) == ("picture 1", "picture 2")


def test_few_pictures_make_small_batches_and_small_rates() -> None:
    many, few = (settled(Training(), count, False) for count in (6000, 60))
    assert (many.batch, few.batch) == (64, 8)
    assert (many.rate, few.rate) == (0.1, pytest.approx(0.1 / 8))
    assert settled(Training(), 6000, True).rate == pytest.approx(0.02)
    assert [settled(Training(norm=norm), 9, False).robust for norm in ("l2", "linf")] == [1, 0.008]
    mine = Training(batch=5, rate=0.3, weight_decay=0.0, robust=0.0)
    assert settled(mine, 6000, True) == mine
