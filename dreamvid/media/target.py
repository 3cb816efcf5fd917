"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from dreamvid.errors import MediaError
from dreamvid.paths import what_is_at


def check_target(path: Path, formats: Iterable[str], overwrite: bool) -> None:
    """Refuses a file that could not be written, before any work is done for it.

    Args:
      path: The file to be made.
      formats: The extensions that will do, for example ".mp4".
      overwrite: Whether an existing file may be replaced.

    Raises:
      MediaError: The extension is another, the folder is missing or closed to us, the path is a
        folder, or the file exists and may not be replaced.
    """
    known = list(formats)
    lies = what_is_at(path)
    if lies == "folder":
        raise MediaError(f"output {path} is a folder: name a file in it")
    if path.suffix.lower() not in known:
        have = f"extension {path.suffix!r}" if path.suffix else "no extension"
        raise MediaError(f"output {path} has {have}: dreamvid writes {', '.join(known)} here")
    parent = what_is_at(path.parent)
    if parent != "folder":
        trouble = "does not exist: make it first" if parent == "nothing" else "is not a folder"
        raise MediaError(f"output folder {path.parent} {trouble}")
    if lies != "nothing" and not overwrite:
        raise MediaError(f"output {path} exists: add --overwrite, or choose another name")
    with _scratch_beside(path, _target(path)):
        pass


@contextlib.contextmanager
def replacing(path: Path, overwrite: bool) -> Iterator[Path]:
    """A scratch file beside `path` (or what it links to) that takes its place if all goes well.

    Whatever happens in the block, `path` is either what it was before or the whole new file.

    Args:
      path: The file to be made.
      overwrite: Whether a file that stands there at the end may be replaced.

    Raises:
      MediaError: The folder takes no file, or one has appeared there that may not be replaced.
    """
    target = _target(path)
    with _scratch_beside(path, target) as scratch:
        yield scratch
        _publish(scratch, target, overwrite)


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))  # a link is written through, not replaced


@contextlib.contextmanager
def _scratch_beside(path: Path, target: Path) -> Iterator[Path]:
    # Its own extension last, by which writers know the format.
    scratch = target.with_name(f".dreamvid-{secrets.token_hex(6)}.part{target.suffix}")
    try:
        scratch.touch(exist_ok=False)
    except OSError as error:
        raise MediaError(f"output {path} cannot be written: {error.strerror}") from None
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _publish(scratch: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        scratch.replace(path)
        return
    try:
        os.link(scratch, path)  # fails where the name is taken, unlike a rename
    except FileExistsError:
        raise MediaError(
            f"output {path} was made by another program meanwhile: choose another name"
        ) from None
    except OSError:  # a file system without hard links
        scratch.replace(path)
