"""How networks get into the user's folder, and out of it.

What is not yet a network lies in a hidden folder inside it, from where it appears whole. The folder
also holds `pins.toml`: digests of first downloads, where nobody has published any.
"""

import contextlib
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import tomli_w

from dreamvid.checkpoints import downloads, manifest, safetensors
from dreamvid.checkpoints.downloads import PATIENCE, Patience, Watcher
from dreamvid.checkpoints.folder import (
    cannot_write,
    check_space,
    check_writable,
    place_of,
    weights_folder,
)
from dreamvid.checkpoints.manifest import Digest, Published
from dreamvid.checkpoints.store import (
    AUTO,
    BUILTIN,
    CHECKED,
    SOURCE,
    TENSORS,
    checked_facts,
    digest_of_tensors,
    installed,
    is_ours,
    may_be_called,
    shown,
)
from dreamvid.errors import DreamError, WeightsError
from dreamvid.files import publish
from dreamvid.paths import digests_of, sha256_of, what_is_at

if TYPE_CHECKING:
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
    if _is_here(name):
        watcher.say(f"{name} is here already")
        return path
    with _writing(), _alone(name, watcher.say):
        if _is_here(name):
            watcher.say(f"{name} is here now")
            return path
        original = _hidden() / name
        expected = network.digest or _pinned(name)
        # Once for the download, of which something may be here, and once for what is made of it.
        have = sum(part.stat().st_size for part in downloads.leftovers(original))
        check_space(weights_folder(), int(2e6 * network.megabytes) - have, name)
        downloads.download(network.addresses, original, network.size, expected, watcher, patience)
        watcher.say(f"converting {name}")
        try:
            spec, tensors = _convert(original, network)
            source = sha256_of(original)
            if expected is None:
                _pin(name, source)
                watcher.say(
                    f"nobody has published a digest of {name}: the sha256 of this download is "
                    f"kept in {weights_folder() / _PINS}, and later ones are checked against it"
                )
            checked = str(expected or f"nothing but itself, as the first download of {name}")
            _converted(name, spec, tensors, {SOURCE: source, CHECKED: checked}).put()
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
      say: Hears what is being done.

    Raises:
      WeightsError: The file holds no network, or its name is taken or will not do.
      MediaError: The path cannot be followed.
    """
    if (lies := what_is_at(path)) != "file":
        trouble = "there is no such file" if lies == "nothing" else f"it is a {lies}"
        raise WeightsError(f"{path} cannot be imported: {trouble}")
    ours = is_ours(path)  # before its digests, which take a while
    found = {} if ours else digests_of(path)
    original = None if ours else manifest.recognise(found)
    name = as_name
    if name is None:
        name = original.name if original else _name_from(path)
    if not may_be_called(name):
        raise WeightsError(
            f"{path} cannot be called {name!r}: choose letters, digits and _ with --as NAME, but "
            f"not {' or '.join((*BUILTIN, AUTO))}"
        )
    _check_place(name, overwrite)
    check_writable(weights_folder())
    published = manifest.known().get(name) or original  # a known name brings its own facts
    if ours:
        incoming = _copied(path, name, published)
    else:
        say(f"converting {path}")
        spec, tensors = _convert(path, published)
        expected = (published.digest or _pinned(published.name)) if published else None
        if published and not (expected and expected.matches(found)):
            # Somebody else's: what the publisher says of his does not hold for it.
            origin = f"{path.name}, which is not the published {published.name}"
            spec = replace(spec, licence="unknown", origin=origin)
        facts = {SOURCE: found["sha256"], CHECKED: _compared(published, expected, found)}
        incoming = _converted(name, spec, tensors, facts)
    incoming.check_space()
    say(f"storing it as {name}")
    with _writing(), _alone(name, say):
        _check_place(name, overwrite)  # another may have been quicker
        incoming.put()
    return Imported(name, place_of(name), incoming.checked)


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
        paths = [path for path in (place_of(name), _unfinished(name)) if _can_go(path)]
        paths += downloads.leftovers(_hidden() / name)
    if not paths:
        if name in manifest.known():
            raise WeightsError(f"{name} is not here: there is nothing to remove")
        raise manifest.unknown_network(name, installed())
    with _writing(), _alone(name, say):
        for path in paths:
            path.unlink(missing_ok=True)


def _check_place(name: str, overwrite: bool) -> None:
    if _is_here(name) and not overwrite:
        raise WeightsError(
            f"{name} is here already ({place_of(name)}): add --overwrite, or choose another name "
            "with --as"
        )


def _is_here(name: str) -> bool:
    path = place_of(name)
    lies = what_is_at(path)
    if lies in ("folder", "device"):
        raise WeightsError(f"{path} is a {lies}, where the network would lie: move it away")
    return lies == "file"


def _can_go(path: Path) -> bool:
    return path.is_symlink() or what_is_at(path) == "file"  # a link may lead nowhere


def _name_from(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_")[:64]


def _convert(path: Path, network: Published | None) -> tuple["ModelSpec", dict[str, np.ndarray]]:
    """The network in a foreign file, whole; `network` is what it has to be."""
    from dreamvid.checkpoints import foreign
    from dreamvid.models import Model

    spec, tensors = foreign.read(path, network.name if network else None)
    _check_kind(path, spec, network)
    Model.from_tensors(spec, tensors)  # raises where it is not whole
    return spec, tensors


def _check_kind(path: Path, spec: "ModelSpec", network: Published | None) -> None:
    if network is None:
        return
    kind = spec.architecture, spec.family, len(spec.labels)
    if kind != (needed := (network.architecture, network.family, network.classes)):
        told = "{} of the {} family with {} classes"
        raise WeightsError(
            f"{path} holds {told.format(*kind)}, but {network.name} is {told.format(*needed)}: it "
            "is another network, and needs another name"
        )


def _compared(
    published: Published | None, expected: Digest | None, found: Mapping[str, str]
) -> str:
    """What a file that was given by hand was checked against."""
    if published is None:
        return "nothing"
    if expected is None:
        return f"nothing, since nobody has published a digest of {published.name}"
    if expected.matches(found):
        return str(expected)
    return f"nothing: the published file of {published.name} has another {expected.algorithm}"


@dataclass(frozen=True)
class _Incoming:
    """A whole network that is not yet in the folder."""

    name: str
    size: int
    """Of its file, in bytes, at most."""
    checked: str
    write: Callable[[Path], object]
    """Makes the file."""

    def check_space(self) -> None:
        check_space(weights_folder(), self.size, self.name)

    def put(self) -> None:
        """Makes it appear in the folder."""
        self.check_space()
        part = _unfinished(self.name)
        try:
            self.write(part)
            publish(part, place_of(self.name))
        finally:
            part.unlink(missing_ok=True)


def _copied(path: Path, name: str, network: Published | None) -> _Incoming:
    """A network in our own format, which is taken in byte for byte."""
    _check_kind(path, safetensors.read(path).spec, network)
    checked = shown(checked_facts(path).get(CHECKED, "nothing"))
    return _Incoming(name, path.stat().st_size, checked, partial(shutil.copyfile, path))


def _converted(
    name: str, spec: "ModelSpec", tensors: Mapping[str, np.ndarray], facts: Mapping[str, str]
) -> _Incoming:
    stored = {key: np.ascontiguousarray(tensor, np.float32) for key, tensor in tensors.items()}
    size = _HEADER + sum(tensor.nbytes for tensor in stored.values())
    facts = {**facts, TENSORS: digest_of_tensors(stored)}
    write = partial(safetensors.write, spec=spec, tensors=stored, facts=facts)
    return _Incoming(name, size, facts[CHECKED], write)


def _hidden() -> Path:
    return weights_folder() / _HIDDEN


def _unfinished(name: str) -> Path:
    return _hidden() / f"{name}.safetensors.part"


def _pinned(name: str) -> Digest | None:
    value = _read_pins().get(name)
    origin = f"the first download had it (in {weights_folder() / _PINS})"
    return Digest("sha256", value, origin) if value else None


def _pin(name: str, sha256: str) -> None:
    with _alone(_PINS, lambda line: None):
        pins = _read_pins() | {name: sha256}
        part = _hidden() / f"{_PINS}.part"
        part.write_text(tomli_w.dumps(pins), encoding="utf-8")
        publish(part, weights_folder() / _PINS)


def _read_pins() -> dict[str, str]:
    path = weights_folder() / _PINS
    try:
        pins = tomllib.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(value, str) for value in pins.values()):
            raise ValueError("a value is no text")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WeightsError(f"{path} is damaged ({error}): mend or remove it") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
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
        raise cannot_write(weights_folder(), error) from None
