"""How a finished file gets its name, and how a folder is kept for one process."""

import contextlib
import os
from pathlib import Path

import filelock

from dreamvid.errors import DreamError, MediaError


def publish(scratch: Path, target: Path, overwrite: bool = True) -> None:
    """Gives a finished file its name, once it is safe on the disk.

    What the file was made from may be removed as soon as this returns.

    Args:
      scratch: The file, on the same disk.
      target: What it is to be called.
      overwrite: Whether it may take the place of another.

    Raises:
      FileExistsError: Another is there, and may not be replaced.
      OSError: The disk fails.
    """
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    if overwrite or not _linked(scratch, target):
        scratch.replace(target)
    with contextlib.suppress(OSError):  # not every system can
        number = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def lock_folder(folder: Path, name: str) -> filelock.BaseFileLock:
    """Keeps a run folder for this process; the caller releases it.

    Args:
      folder: The folder, which is there.
      name: Of the file in it that is locked.

    Raises:
      DreamError: Another process has it.
      MediaError: It cannot be written.
    """
    lock = filelock.FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise DreamError(
            f"{folder} is in use by another dreamvid: wait for it, or choose another output"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise MediaError(f"run folder {folder} cannot be written: {reason}") from None
    return lock


def _linked(scratch: Path, target: Path) -> bool:
    """Whether a file has got a second name, which fails where that is taken, unlike a rename."""
    try:
        os.link(scratch, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        return False
    return True
