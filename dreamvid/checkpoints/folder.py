"""The folder of the user's networks: where it is, and whether it takes a file."""

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from dreamvid.errors import WeightsError

SUFFIX = ".safetensors"


def weights_folder() -> Path:
    """Where networks are kept: DREAMVID_WEIGHTS, or the platform's folder for caches.

    Raises:
      WeightsError: DREAMVID_WEIGHTS begins with a home that nobody has.
    """
    if not (chosen := os.environ.get("DREAMVID_WEIGHTS")):
        return platformdirs.user_cache_path("dreamvid", appauthor=False) / "weights"
    try:
        return Path(chosen).expanduser()
    except RuntimeError:
        raise WeightsError(
            f"DREAMVID_WEIGHTS is {chosen}, but there is no such home: give a whole path"
        ) from None


def place_of(name: str) -> Path:
    """The file that a network in the folder has, or would have."""
    return weights_folder() / f"{name}{SUFFIX}"


def check_writable(folder: Path) -> None:
    """Refuses a folder that takes no file, or cannot be made. Leaves nothing there.

    Raises:
      WeightsError: It is such a folder.
    """
    try:
        with tempfile.TemporaryFile(dir=_ground(folder)):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from None


def check_space(folder: Path, need: int, name: str) -> None:
    """Refuses what will not fit on a disk.

    Args:
      folder: On that disk; it need not be there yet.
      need: In bytes.
      name: Of what needs it.

    Raises:
      WeightsError: There is less room than that.
    """
    try:
        free = shutil.disk_usage(_ground(folder)).free
    except OSError as error:
        raise cannot_write(folder, error) from None
    if free < need:
        raise full_disk(folder, need, name)


def full_disk(folder: Path, need: int, name: str) -> WeightsError:
    """The error for a disk that has no room for `need` more bytes of `name`."""
    return WeightsError(
        f"{folder} has no room for {name}, which needs {max(need / 1e6, 0.1):.1f} MB more there: "
        "free some, or set DREAMVID_WEIGHTS to a folder on another disk"
    )


def cannot_write(folder: Path, error: OSError) -> WeightsError:
    """The error for a folder that takes no file."""
    return WeightsError(
        f"{folder} cannot be written ({error.strerror or error}): mend that, or set "
        "DREAMVID_WEIGHTS to another folder"
    )


def _ground(folder: Path) -> Path:
    """A folder, or the nearest of those above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
