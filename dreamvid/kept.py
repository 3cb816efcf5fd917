"""The run folder of an atlas or a training, from which the same command goes on."""

import contextlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamvid.errors import DreamError
from dreamvid.files import lock_folder, publish
from dreamvid.media.target import writing

_LOCK = "lock"
_NAMES = {
    "atlas": re.compile(r"atlas\.json|lock|(crops|batch-[0-9]{5})\.npz|.*\.part"),
    "training": re.compile(r"training\.json|lock|checkpoints|.*\.part"),
}
"""Kind of work -> what its folder holds; whatever else is in there is the user's."""


@dataclass(frozen=True)
class Kept:
    """An open run folder; use `open_run`."""

    folder: Path
    work: str
    """What is done: a key of _NAMES."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to go on from."""
        finished = (*self.folder.glob("*.npz"), *self.folder.glob("checkpoints/*/*"))
        return not any(path.suffix == ".npz" or path.name.isdigit() for path in finished)

    def save(self, name: str, **arrays: np.ndarray) -> None:
        """Keeps arrays under a name: the file appears whole or not at all.

        Raises:
          MediaError: The folder cannot be written.
        """
        scratch = self.folder / f"{name}.part"
        with writing(self.folder):
            with scratch.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            publish(scratch, self.folder / f"{name}.npz")

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """What was kept under a name; None where nothing is, or nothing that can be read."""
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def clear(self) -> None:
        """Gives up all that is kept, but for what the user has put there."""
        for path in self.folder.iterdir():
            if path.name == _LOCK or not _NAMES[self.work].fullmatch(path.name):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextlib.contextmanager
def open_run(
    folder: Path, about: Mapping[str, Any], restart: bool, work: str = "atlas"
) -> Iterator[Kept]:
    """The run folder of an atlas or a training, begun or gone on with, for this process alone.

    Args:
      folder: Where; it goes away with the last file in it.
      about: All that decides what is in it, as JSON has it.
      restart: Whether a run of something else that lies there may be given up.
      work: What is done: "atlas" or "training".

    Raises:
      DreamError: It holds something else, is in use, or cannot be written.
    """
    with writing(folder):
        folder.mkdir(exist_ok=True)
    if strange := [p.name for p in folder.iterdir() if not _NAMES[work].fullmatch(p.name)]:
        raise DreamError(
            f"{folder} holds {strange[0]}, which is no part of its {work}: move it away, or choose "
            "another output"
        )
    kept, lock = Kept(folder, work), lock_folder(folder, _LOCK)
    try:
        _begin(kept, json.loads(json.dumps(about)), restart)
        yield kept
    finally:
        with contextlib.suppress(OSError):
            if kept.empty:
                kept.clear()
                (folder / _LOCK).unlink()
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _begin(kept: Kept, about: dict[str, Any], restart: bool) -> None:
    path = kept.folder / f"{kept.work}.json"
    with writing(kept.folder):
        try:
            old = json.loads(path.read_bytes())
            if not isinstance(old, dict):
                raise ValueError
        except FileNotFoundError:
            old = about if kept.empty else {}
        except ValueError:
            old = {}
        if old != about:
            if not restart:
                raise DreamError(_told(kept, old, about))
            kept.clear()
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps(about, indent=2))
        publish(scratch, path)


def _told(kept: Kept, old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [
        f"{key} {old.get(key, 'unset')}, now {new.get(key, 'unset')}"
        for key in old | new
        if old.get(key) != new.get(key)
    ]
    more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
    return (
        f"{kept.folder} holds another {kept.work} ({'; '.join(changed[:2])}{more}): add "
        "--overwrite to begin anew, or choose another output"
    )
