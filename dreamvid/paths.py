"""Where the files that ship with dreamvid lie, and what lies where a user points."""

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from dreamvid.errors import DreamError, MediaError, WeightsError

PACKAGE = Path(__file__).parent
DIGESTS = ("sha256", "sha1", "md5")
"""What the content of published files is known by."""


def packaged(folder: str) -> Path:
    """A folder that ships with dreamvid: "pipelines", "samples" or "weights".

    A wheel carries it inside the package; in a checkout it lies beside the package.
    """
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def seen_from_here(folder: Path, name: str) -> Path:
    """A file that is named from a folder, as the user would name it from the current one."""
    path = folder / name
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def sha256_of(path: Path) -> str:
    """What a file's content is remembered by, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(digests: Iterable[str]) -> str:
    """What several files in a row are remembered by, in hex, from what each is."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def digests_of(path: Path) -> dict[str, str]:
    """A file's digests of every kind, in hex, in one reading.

    Raises:
      WeightsError: The file cannot be read.
    """
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in DIGESTS}
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                for digest in hashes.values():
                    digest.update(block)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    return {kind: digest.hexdigest() for kind, digest in hashes.items()}


def what_is_at(path: Path) -> Literal["file", "folder", "nothing", "device"]:
    """What a path leads to, links followed; "device" is all that is neither file nor folder.

    Raises:
      MediaError: The path cannot be followed: it is too long, closed to us, a ring of links.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path} cannot be reached: {reason}") from None
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "device"


def check_is_file(path: Path, kind: str, error: type[DreamError], missing: str = "") -> None:
    """Refuses a path that leads to no file.

    Args:
      path: The path.
      kind: What the file should hold, for example "picture".
      error: What to raise.
      missing: What is said not to be there, where that is not `kind`.

    Raises:
      DreamError: Of the kind `error`: there is nothing, a folder, or a device.
      MediaError: The path cannot be followed.
    """
    lies = what_is_at(path)
    if lies == "nothing":
        raise error(f"no {missing or kind} at {path}: check the path")
    if lies != "file":
        raise error(f"{path} is a {lies}, not a {kind}: name a file")
