"""Files that appear whole or not at all."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from dreamvid.errors import MediaError
from dreamvid.files import publish
from dreamvid.media.numbered import frames_at, is_pattern
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
    with _scratch_beside(path, _target(path), ""):
        pass


@contextlib.contextmanager
def replacing(path: Path, overwrite: bool, owner: str = "") -> Iterator[Path]:
    """A scratch file beside `path` (or what it links to) that takes its place if all goes well.

    Whatever happens in the block, `path` is either what it was before or the whole new file.

    Args:
      path: The file to be made.
      overwrite: Whether a file that stands there at the end may be replaced.
      owner: Whoever alone may make it now; takes the place of a scratch file that it left when it
        was killed.

    Raises:
      MediaError: The folder takes no file, or one has appeared there that may not be replaced.
    """
    target = _target(path)
    with _scratch_beside(path, target, owner) as scratch:
        yield scratch
        with writing(path):
            _publish(scratch, target, overwrite)


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))  # a link is written through, not replaced


@contextlib.contextmanager
def _scratch_beside(path: Path, target: Path, owner: str) -> Iterator[Path]:
    # Its own extension last, by which writers know the format.
    scratch = target.with_name(f"{_scratch_name(owner)}{target.suffix}")
    with writing(path):
        scratch.touch(exist_ok=bool(owner))
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _scratch_name(owner: str) -> str:
    token = hashlib.sha256(owner.encode()).hexdigest()[:12] if owner else secrets.token_hex(6)
    return f".dreamvid-{token}.part"


def _publish(scratch: Path, path: Path, overwrite: bool) -> None:
    try:
        publish(scratch, path, overwrite)
    except FileExistsError:
        raise MediaError(
            f"output {path} was made by another program meanwhile: "
            "move it away and give the same command again"
        ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failing disk into one line about an output.

    Raises:
      MediaError: The block met such a failure.
    """
    try:
        yield
    except OSError as error:
        raise MediaError(f"output {path} cannot be written: {error.strerror}") from None


def check_sequence(path: Path, overwrite: bool) -> None:
    """Refuses frames that are files of their own where they could not be written.

    Args:
      path: In a folder that is there; "frame-%05d.png" is a name with a place for the number.
      overwrite: Whether existing frames may be replaced.

    Raises:
      MediaError: The name has no such place, or a frame exists and may not be replaced.
    """
    if not is_pattern(path):
        stem = re.sub(r"%[0-9]*d?", "", path.stem).rstrip("-") or "frame"
        example = path.with_name(f"{stem}-%05d{path.suffix}").name
        places = "no one place" if "%" in path.stem else "no place"
        raise MediaError(f"output {path} has {places} for a frame's number: name it as {example}")
    if (old := frames_at(path)) and not overwrite:
        raise MediaError(f"output {old[0]} exists: add --overwrite, or choose another name")


@contextlib.contextmanager
def replacing_frames(path: Path, overwrite: bool, owner: str = "") -> Iterator[Path]:
    """As `replacing`, for frames that are files of their own; older frames are removed.

    Args:
      path: As `check_sequence` has it; what is yielded has the same name.
      overwrite: Whether frames that stand there at the end may be replaced.
      owner: As there.

    Raises:
      MediaError: As there, or the folder takes no file, or a frame has appeared there meanwhile.
    """
    check_sequence(path, overwrite)
    folder = path.parent / _scratch_name(owner)
    if owner:
        shutil.rmtree(folder, ignore_errors=True)
    with writing(path):
        folder.mkdir()
    try:
        yield folder / path.name
        _publish_frames(folder, path, overwrite)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish_frames(folder: Path, path: Path, overwrite: bool) -> None:
    names = {entry.name for entry in folder.iterdir()}
    published: list[Path] = []
    try:
        for name in names:
            _publish(folder / name, path.with_name(name), overwrite)
            published.append(path.with_name(name))
    except BaseException:
        for frame in published if not overwrite else ():
            frame.unlink(missing_ok=True)
        raise
    for frame in frames_at(path) if overwrite else ():
        if frame.name not in names:
            frame.unlink(missing_ok=True)
