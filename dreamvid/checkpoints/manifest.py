"""The networks that others have published: addresses, digests, input, licence and look."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dreamvid.errors import UnknownNameError
from dreamvid.paths import DIGESTS, packaged
from dreamvid.registry import unknown_name

LARGEST_FILE = 1 << 29
"""Bytes of a network's file; the largest that is published has a fifth."""
_PREFIX = "sha256_prefix"


@dataclass(frozen=True)
class Digest:
    """What a file's content is known by."""

    kind: str
    """"sha256", "sha1", "md5", or "sha256_prefix", of which only the beginning is known."""
    value: str
    """In hex."""
    origin: str = "was published"
    """Where it is from, for people."""

    @property
    def algorithm(self) -> str:
        """What makes it: "sha256" also where only the beginning is known."""
        return self.kind.removesuffix("_prefix")

    def matches(self, found: Mapping[str, str]) -> bool:
        """Whether it is among a file's digests, as `paths.digests_of` finds them."""
        value = found[self.algorithm]
        return value.startswith(self.value) if self.kind == _PREFIX else value == self.value

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}{'…' * (self.kind == _PREFIX)}"


@dataclass(frozen=True)
class Published:
    """The facts about one published network."""

    name: str
    architecture: str
    family: str
    format: str
    """"tensorflow", "caffe", "pytorch", "keras" or "safetensors"."""
    addresses: tuple[str, ...]
    """Where its file lies, to be tried in this order."""
    size: int
    """Of that file, in bytes; 0 where it is not known exactly."""
    megabytes: float
    """Of that file, about; 0 where nothing is known."""
    digest: Digest | None
    """Of that file; None where nobody published one."""
    mean: tuple[float, float, float]
    """In RGB order and 8-bit levels."""
    divisor: tuple[float, float, float]
    """Likewise: the network's input is (255 * image - mean) / divisor."""
    channels: str
    """"rgb" or "bgr": the order in which the file's first kernel takes them."""
    classes: int
    """Outputs of its classifier; 0 where the file has none."""
    labels: str
    """Names of the classes: a file in weights/labels, "inside" the download, or "" for none."""
    licence: str
    origin: str
    """Whose, from which data."""
    look: str
    """What it is good for, for people."""
    page: str
    """Where all this is documented."""

    @property
    def scale(self) -> tuple[float, float, float]:
        """As in a `ModelSpec`: the network's input is (255 * image - mean) * scale."""
        r, g, b = self.divisor
        return 1 / r, 1 / g, 1 / b

    @property
    def shown_size(self) -> str:
        """For people: "50 MB", or nothing where it is not known."""
        return f"{self.megabytes:.0f} MB" if self.megabytes else ""

    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the outputs; none where they lie inside the file."""
        if self.labels in ("", "inside"):
            return ()
        path = packaged("weights") / "labels" / f"{self.labels}.txt"
        return tuple(path.read_text(encoding="utf-8").splitlines())


@cache
def known() -> dict[str, Published]:
    """All published networks by name, in the manifest's order."""
    path = packaged("weights") / "manifest.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _published(name, table) for name, table in tables.items()}


def published(name: str) -> Published:
    """The facts about one published network.

    Raises:
      UnknownNameError: The manifest has none of that name.
    """
    if name not in known():
        raise unknown_network(name, known())
    return known()[name]


def recognise(found: Mapping[str, str]) -> Published | None:
    """The published network whose file has these digests, as `paths.digests_of` finds them."""
    matching = (p for p in known().values() if p.digest and p.digest.matches(found))
    return next(matching, None)


def unknown_network(name: str, names: Mapping[str, object]) -> UnknownNameError:
    """The error for a name of a network that is not among `names`."""
    return unknown_name("network", name, names, "See: dreamvid weights list")


def _published(name: str, table: dict[str, Any]) -> Published:
    digests = [Digest(kind, table.pop(kind)) for kind in (*DIGESTS, _PREFIX) if kind in table]
    size = table.pop("size", 0)
    return Published(
        name=name,
        size=size,
        megabytes=table.pop("megabytes", size / 1e6),
        digest=digests[0] if digests else None,
        addresses=tuple(table.pop("addresses")),
        mean=tuple(table.pop("mean")),
        divisor=tuple(table.pop("divisor")),
        **table,
    )
