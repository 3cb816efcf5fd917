"""A small network in a format of the tests' own, as if others had published it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from dreamvid.checkpoints.manifest import Digest, Published, published
from dreamvid.errors import WeightsError
from dreamvid.models import ModelSpec
from small import tiny_spec, tiny_tensors

MARK = b"a foreign network\n"


def foreign_bytes(seed: int = 0) -> bytes:
    """A file of that format."""
    return MARK + save(tiny_tensors(seed))


def read_foreign(path: Path, like: str | None = None) -> tuple[ModelSpec, dict[str, np.ndarray]]:
    """Stands in for `foreign.read`, which knows only networks of full size."""
    content = path.read_bytes()
    if not content.startswith(MARK):
        raise WeightsError(f"{path} is no network")
    return replace(tiny_spec(), origin=f"like {like}"), load(content[len(MARK) :])


def small_network(
    *addresses: str, content: bytes | None = None, digest: Digest | None = None
) -> Published:
    """The facts about such a file, published as "small"; `content` gives digest and size."""
    if content is not None:
        digest = Digest("sha256", hashlib.sha256(content).hexdigest())
    return replace(
        published("googlenet_places365"),
        name="small",
        addresses=addresses,
        digest=digest,
        size=len(content or b""),
        megabytes=len(foreign_bytes()) / 1e6,
        classes=0,
        labels="",
    )
