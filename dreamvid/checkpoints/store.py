"""The networks at hand: those that ship in the package, and those in a folder of the user's.

The folder holds NAME.safetensors for each network, converted to our own format; `intake` puts them
there.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dreamvid.checkpoints import manifest, safetensors
from dreamvid.checkpoints.folder import SUFFIX, weights_folder
from dreamvid.checkpoints.manifest import Published
from dreamvid.errors import WeightsError
from dreamvid.paths import digests_of, packaged, sha256_of, what_is_at

if TYPE_CHECKING:  # JAX takes a second to import, and most of this needs none of it
    from dreamvid.models import Model

BUILTIN = ("builtin",)
"""Networks that ship in the package, as weights/<name>.safetensors."""
AUTO = "auto"
"""The best of those at hand."""
_PREFERRED = "inception5h"
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")

SOURCE, TENSORS, CHECKED = "source sha256", "sha256", "checked"
"""What a converted file says of itself: digests of the original file and of the tensors that were
made of it, and what the former was checked against."""


def may_be_called(name: str) -> bool:
    """Whether a network in the folder may have this name."""
    return bool(_NAME.fullmatch(name)) and name not in (*BUILTIN, AUTO)


def installed() -> dict[str, Path]:
    """The networks at hand, by name."""
    found = {name: packaged("weights") / f"{name}{SUFFIX}" for name in BUILTIN}
    here: list[Path] = []
    with contextlib.suppress(OSError):  # no folder, no networks
        here = sorted(weights_folder().iterdir())
    for path in here:
        if path.suffix == SUFFIX and may_be_called(path.stem) and _is_file(path):
            found[path.stem] = path
    return found


def resolve(name: str | Path) -> str:
    """The network that a name stands for: "auto" is inception5h where it is at hand."""
    if str(name) != AUTO:
        return str(name)
    return _PREFERRED if _PREFERRED in installed() else BUILTIN[0]


def find(name_or_path: str | Path) -> Path:
    """The file of a network.

    Args:
      name_or_path: "auto", the name of a network at hand, or the path of a file.

    Raises:
      WeightsError: There is no such file, or the network is not at hand; the message says how to
        get it.
      MediaError: The path cannot be followed.
      UnknownNameError: There is no network of that name.
    """
    text = resolve(name_or_path)
    if not text:
        raise WeightsError("the network's name is empty: see dreamvid weights list")
    here = installed()
    if text in here:
        return here[text]
    if text in manifest.known():
        raise _absent(manifest.published(text))
    path = Path(text)
    lies = what_is_at(path)
    if lies in ("folder", "device"):
        raise WeightsError(f"{path} is a {lies}, not a network: name a file")
    if lies == "nothing":
        if _NAME.fullmatch(text):  # what has a dot or a slash is a path
            raise manifest.unknown_network(text, here | manifest.known())
        raise WeightsError(f"no network at {path}: check the path, or use --model builtin")
    return path


def load(name_or_path: str | Path = AUTO) -> "Model":
    """A network ready to dream, from the package, the folder or any file; downloads nothing.

    Args:
      name_or_path: As in `find`. A foreign file is converted in memory.

    Raises:
      WeightsError: The file is missing, damaged, or holds no network.
      MediaError: The path cannot be followed.
      UnknownNameError: There is no network of that name.
    """
    from dreamvid.checkpoints import foreign
    from dreamvid.models import Model

    path = find(name_or_path)
    if is_ours(path):
        return safetensors.read(path)
    original = manifest.recognise(digests_of(path))
    return Model.from_tensors(*foreign.read(path, original.name if original else None))


def digest(name_or_path: str | Path) -> str:
    """What a clip remembers its network by, in hex.

    That is the file's sha256; but of a converted network that of its spec and tensors, since the
    same network may be converted into other bytes elsewhere.
    """
    path = find(name_or_path)
    if not is_ours(path):
        return sha256_of(path)
    facts, tensors = safetensors.read_tensors(path)
    if TENSORS not in facts:
        return sha256_of(path)
    spec = json.loads(facts[safetensors.FIELD])
    decisive = {key: spec.get(key) for key in ("architecture", "family", "widths", "mean", "scale")}
    text = json.dumps(decisive, sort_keys=True) + digest_of_tensors(tensors)
    return hashlib.sha256(text.encode()).hexdigest()


def verify(name: str | Path) -> str:
    """Checks that a network is what was stored, and that it can be dreamed of.

    Returns:
      What was found, for people.

    Raises:
      WeightsError: It is not at hand, or damaged.
      UnknownNameError: There is no network of that name.
    """
    path = find(name)
    model = load(path)
    told = f"{model.spec.architecture}, {len(model.layers)} layers"
    if not is_ours(path):
        return f"{told}; not converted, with no digest to check it against"
    facts = checked_facts(path)
    if TENSORS not in facts:
        return f"{told}; with no digest to check it against"
    checked = shown(facts.get(CHECKED, "nothing"))
    return f"{told}; as it was stored; its original was checked against {checked}"


def checked_facts(path: Path) -> dict[str, str]:
    """What a file of our own says of itself, once its tensors have been checked against that.

    Raises:
      WeightsError: Its tensors are not those that were stored.
    """
    facts, tensors = safetensors.read_tensors(path)
    if TENSORS in facts and facts[TENSORS] != (now := digest_of_tensors(tensors)):
        raise WeightsError(
            f"{path} is damaged: its tensors have the sha256 {now}, not {shown(facts[TENSORS])}; "
            "remove it, and fetch or import it again"
        )
    return facts


def is_ours(path: Path) -> bool:
    """Whether a file is in our own format; if not, it is in a foreign one. Reads little of it.

    Raises:
      WeightsError: It is in no known format, damaged safetensors, or larger than any network.
    """
    try:
        return safetensors.FIELD in safetensors.read_facts(path)
    except WeightsError as damage:
        from dreamvid.checkpoints import foreign

        try:
            form = foreign.format_of(path)
        except WeightsError as refusal:  # which names what could be read
            raise (damage if path.suffix == SUFFIX else refusal) from None
        if form.NAME == "safetensors":
            raise
        return False


def shown(text: str) -> str:
    """What a file says of itself, fit for a terminal: the printable part of its first line."""
    return "".join(filter(str.isprintable, next(iter(text.splitlines()), "")))


def digest_of_tensors(tensors: Mapping[str, np.ndarray]) -> str:
    """The sha256 of tensors with their names, types and shapes, in hex."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        found.update(tensor.tobytes())
    return found.hexdigest()


def _is_file(path: Path) -> bool:
    with contextlib.suppress(OSError):  # it cannot be reached
        return path.is_file()
    return False


def _absent(network: Published) -> WeightsError:
    size = f" ({network.shown_size})" if network.shown_size else ""
    return WeightsError(
        f"{network.name} is not here: dreamvid weights fetch {network.name}{size}, "
        f"or dreamvid weights import FILE --as {network.name}"
    )
