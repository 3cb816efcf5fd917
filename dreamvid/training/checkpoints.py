"""What a training has learned by the end of an epoch, on disk (orbax)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from dreamvid.errors import DreamError
from dreamvid.media.target import writing

T = TypeVar("T")

# Orbax tells of each file it touches.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The last checkpoints in a folder; a context manager.

    Each holds the leaves of a state, end to end in one array of each type, since a file for each of
    a thousand small ones takes seconds; and what was measured by then, as JSON.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        with writing(folder):
            self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, epoch: int, state: Any, history: list[dict[str, Any]]) -> None:
        """Keeps a state: whole, or not at all.

        Raises:
          MediaError: The disk fails.
        """
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(_packed(state)),
            history=ocp.args.JsonSave(history),  # type: ignore[call-arg]
        )
        with writing(self._folder):
            self._manager.save(epoch, args=args, force=True)

    def load(self, state: T) -> tuple[int, T, list[dict[str, Any]]]:
        """The last one.

        Args:
          state: Of the same form; given back where there is none yet.

        Returns:
          Epochs that are finished, the state, and what was measured.

        Raises:
          DreamError: It cannot be read.
        """
        epoch = self._manager.latest_step()
        if epoch is None:
            return 0, state, []
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(_packed(state)),
            history=ocp.args.JsonRestore(),  # type: ignore[call-arg]
        )
        try:
            found = self._manager.restore(epoch, args=args)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).split("\n")[0]
            raise DreamError(
                f"checkpoint {self._folder / str(epoch)} cannot be read ({reason}): remove it, and "
                "give the same command again"
            ) from None
        return epoch, _unpacked(found["state"], state), found["history"]


def _packed(state: Any) -> dict[str, np.ndarray]:
    """The leaves of a state end to end, by their type."""
    parts: dict[str, list[np.ndarray]] = {}
    for leaf in map(np.asarray, jax.tree.leaves(state)):
        parts.setdefault(leaf.dtype.name, []).append(leaf.ravel())
    return {name: np.concatenate(leaves) for name, leaves in parts.items()}


def _unpacked(packed: Mapping[str, np.ndarray], state: T) -> T:
    """A state of the same form, with the values that `_packed` gave."""
    leaves, form = jax.tree.flatten(state)
    taken, found = dict.fromkeys(packed, 0), []
    for leaf in leaves:
        name, first = leaf.dtype.name, taken[leaf.dtype.name]
        taken[name] += leaf.size
        found.append(packed[name][first : first + leaf.size].reshape(leaf.shape))
    return jax.tree.unflatten(form, jax.device_put(found))
