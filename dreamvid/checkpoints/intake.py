"""How networks get into the user's folder, and out of it.

What is not yet a network lies in a hidden folder inside it, from where it appears whole. The folder
also holds `pins.toml`: digests of first downloads, where nobody has published any.
"""

import contextlib
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import tomli_w

from dreamvid.checkpoints import downloads, manifest
from dreamvid.checkpoints.downloads import PATIENCE, Patience, Watcher
from dreamvid.checkpoints.manifest import Digest, Published, digests_of
from dreamvid.checkpoints.store import (
    AUTO,
    BUILTIN,
    CHECKED,
    SOURCE,
    TENSORS,
    digest_of_tensors,
    folder,
    installed,
    is_ours,
    may_be_called,
    place_of,
)
from dreamvid.errors import DreamError, WeightsError
from dreamvid.paths import what_is_at

if TYPE_CHECKING:
    import numpy as np

    from dreamvid.models import ModelSpec

_HIDDEN, _PINS = ".unfinished", "pins.toml"
_HEADER = 1 << 16
"""Bytes of a file beside its tensors, at most."""


def fetch(network: Published, watcher: Watcher, patience: Patience = PATIENCE) -> Path:
    """Downloads, checks and converts a published network, unless it is at hand.

    Args:
      network: What to get.
      watcher: Hears how it goes on.
      patience: How long servers are waited for.

    Returns:
      Its file in the folder.

    Raises:
      WeightsError: It cannot be had, is not what was published, or does not fit on the disk.
    """
    name, path = network.name, place_of(network.name)
    if path.exists():
        watcher.say(f"{name} is here already")
        return path
    with _writing(), _alone(name, watcher.say):
        if path.exists():
            watcher.say(f"{name} is here now")
            return path
        original = _hidden() / name
        expected = network.digest or _pinned(name)
        # Once for the download, of which something may be here, and once for what is made of it.
        have = sum(part.stat().st_size for part in downloads.leftovers(original))
        downloads.check_space(folder(), int(2e6 * network.megabytes) - have, name)
        downloads.download(network.addresses, original, network.size, expected, watcher, patience)
        watcher.say(f"converting {name}")
        try:
            spec, tensors = _convert(original, network)
            source = digests_of(original)["sha256"]
            if expected is None:
                _pin(name, source)
                watcher.say(
                    f"nobody has published a digest of {name}: the sha256 of this download is "
                    f"kept in {folder() / _PINS}, and later ones are checked against it"
                )
            checked = str(expected or f"nothing but itself, as the first download of {name}")
            _write(name, spec, tensors, {SOURCE: source, CHECKED: checked})
        except DreamError:
            original.unlink(missing_ok=True)  # no better the next time, and it takes room
            raise
        original.unlink()
    return path


@dataclass(frozen=True)
class Imported:
    """A network that was taken in from a file."""

    name: str
    path: Path
    checked: str
    """What the file was checked against, for people."""


def import_file(
    path: Path,
    as_name: str | None = None,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> Imported:
    """Takes a network in from a file of any known format.

    Args:
      path: The file; it stays where it is.
      as_name: What to call it. None is the published name where the file is known by its digest,
        else the file's own.
      overwrite: Whether a network of that name may be replaced.
      say: Hears where the work has to wait.

    Raises:
      WeightsError: The file holds no network, or its name is taken or will not do.
      MediaError: The path cannot be followed.
    """
    if (lies := what_is_at(path)) != "file":
        trouble = "there is no such file" if lies == "nothing" else f"it is a {lies}"
        raise WeightsError(f"{path} cannot be imported: {trouble}")
    found = digests_of(path)
    original = manifest.recognise(found)
    name = as_name or (original.name if original else _name_from(path))
    if not may_be_called(name):
        raise WeightsError(
            f"{path} cannot be called {name!r}: choose letters, digits and _ with --as NAME, but "
            f"not {' or '.join((*BUILTIN, AUTO))}"
        )
    _check_place(name, overwrite)
    published = manifest.known().get(name) or original  # a known name brings its own facts
    if is_ours(path):
        checked, put = _checked_copy(path, name)
    else:
        spec, tensors = _convert(path, published)
        checked = _compared(published, found)
        put = partial(_write, name, spec, tensors, {SOURCE: found["sha256"], CHECKED: checked})
    with _writing(), _alone(name, say):
        _check_place(name, overwrite)  # another may have been quicker
        put()
    return Imported(name, place_of(name), checked)


def remove(name: str, say: Callable[[str], object] = lambda line: None) -> None:
    """Removes a network from the folder, and what an unfinished download of it has left.

    Args:
      name: Of the network.
      say: Hears where the work has to wait.

    Raises:
      WeightsError: It ships in the package, or is not in the folder.
      UnknownNameError: There is no network of that name.
    """
    if name in BUILTIN:
        raise WeightsError(f"{name} ships in the package and cannot be removed")
    paths = []
    if may_be_called(name):
        paths = [path for path in (place_of(name), _unfinished(name)) if path.exists()]
        paths += downloads.leftovers(_hidden() / name)
    if not paths:
        if name in manifest.known():
            raise WeightsError(f"{name} is not here: there is nothing to remove")
        raise manifest.unknown_network(name, installed())
    with _writing(), _alone(name, say):
        for path in paths:
            path.unlink(missing_ok=True)


def _check_place(name: str, overwrite: bool) -> None:
    path = place_of(name)
    if path.exists() and not overwrite:
        raise WeightsError(
            f"{name} is here already ({path}): add --overwrite, or choose another name with --as"
        )


def _name_from(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_")[:64]


def _convert(path: Path, network: Published | None) -> tuple["ModelSpec", dict[str, "np.ndarray"]]:
    """The network in a foreign file, whole; `network` is what it has to be."""
    from dreamvid.checkpoints import foreign
    from dreamvid.models import Model

    spec, tensors = foreign.read(path, network.name if network else None)
    if network and len(spec.labels) != network.classes:
        raise WeightsError(
            f"{path} has {len(spec.labels)} classes, but {network.name} has {network.classes}: "
            "it is another network, and needs another name"
        )
    Model.from_tensors(spec, tensors)  # raises where it is not whole
    return spec, tensors


def _compared(published: Published | None, found: Mapping[str, str]) -> str:
    """What a file that was given by hand was checked against."""
    if published is None:
        return "nothing"
    expected = published.digest or _pinned(published.name)
    if expected is None:
        return f"nothing, since nobody has published a digest of {published.name}"
    if expected.matches(found):
        return str(expected)
    return f"nothing: it is not the published {published.name}, whose {expected.algorithm} differs"


def _checked_copy(path: Path, name: str) -> tuple[str, Callable[[], None]]:
    """What the original of a file of our own was checked against, and what takes the file in."""
    from dreamvid.checkpoints import safetensors

    safetensors.read(path)  # raises where it is not whole

    def copy() -> None:
        downloads.check_space(folder(), path.stat().st_size, name)
        with _appearing(name) as part:
            shutil.copyfile(path, part)

    return safetensors.read_facts(path).get(CHECKED, "nothing"), copy


def _write(
    name: str, spec: "ModelSpec", tensors: Mapping[str, "np.ndarray"], facts: dict[str, str]
) -> None:
    import numpy as np
    from safetensors import SafetensorError

    from dreamvid.checkpoints import safetensors

    stored = {key: np.ascontiguousarray(tensor, np.float32) for key, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in stored.values())
    downloads.check_space(folder(), size + _HEADER, name)
    facts |= {TENSORS: digest_of_tensors(stored)}
    try:
        with _appearing(name) as part:
            safetensors.write(part, spec, stored, facts=facts)
    except SafetensorError as error:  # which is how it reports a disk that fails
        raise WeightsError(f"{folder()} cannot be written ({error})") from None


@contextlib.contextmanager
def _appearing(name: str) -> Iterator[Path]:
    """A scratch file that becomes the network `name` if all goes well."""
    part = _unfinished(name)
    try:
        yield part
        downloads.publish(part, place_of(name))
    finally:
        part.unlink(missing_ok=True)


def _hidden() -> Path:
    return folder() / _HIDDEN


def _unfinished(name: str) -> Path:
    return _hidden() / f"{name}.safetensors.part"


def _pinned(name: str) -> Digest | None:
    value = _read_pins().get(name)
    origin = f"the first download had it (in {folder() / _PINS})"
    return Digest("sha256", value, origin) if value else None


def _pin(name: str, sha256: str) -> None:
    with _alone(_PINS, lambda line: None):
        pins = _read_pins() | {name: sha256}
        part = _hidden() / f"{_PINS}.part"
        part.write_text(tomli_w.dumps(pins), encoding="utf-8")
        downloads.publish(part, folder() / _PINS)


def _read_pins() -> dict[str, str]:
    path = folder() / _PINS
    try:
        pins = tomllib.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(value, str) for value in pins.values()):
            raise ValueError("a value is no text")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WeightsError(f"{path} is damaged ({error}): mend or remove it") from None
    return pins


@contextlib.contextmanager
def _alone(name: str, say: Callable[[str], object]) -> Iterator[None]:
    """Within it no other process works on a network."""
    _hidden().mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(_hidden() / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"another dreamvid is at work on {name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise downloads.cannot_write(folder(), error) from None
