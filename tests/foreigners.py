"""A small network in a format of the tests' own, as if others had published it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dreamvid.checkpoints import foreign
from dreamvid.checkpoints.conversion import Contents, Layout, Weights
from dreamvid.checkpoints.manifest import Digest, Published, published
from dreamvid.errors import WeightsError
from small import TINY_WIDTHS, tiny_tensors

MARK = b"a foreign network\n"
INCEPTION5H = published("inception5h")


def foreign_bytes(seed: int = 0) -> bytes:
    """A file of that format."""
    return MARK + save(tiny_tensors(seed))


class SmallFormat:
    """A `foreign.Format` that reads it: our own tensors behind a mark."""

    NAME = "small"

    def __init__(self) -> None:
        self.LAYOUTS = (
            Layout("inception_v1", "tf", TINY_WIDTHS, "conv2d0/kernel", _convolution, _no_head),
        )

    def claims(self, path: Path, start: bytes) -> bool:
        return start.startswith(MARK)

    def read(self, path: Path) -> Contents:
        try:
            return Contents(path, load(path.read_bytes()[len(MARK) :]))
        except SafetensorError as error:
            raise WeightsError(f"{path} is damaged: {error}") from None


def read_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes dreamvid know the format."""
    monkeypatch.setattr(foreign, "FORMATS", (SmallFormat(), *foreign.FORMATS))


def small_network(
    *addresses: str, content: bytes | None = None, digest: Digest | None = None
) -> Published:
    """The facts about such a file, published as "small"; `content` gives digest and size."""
    if content is not None:
        digest = Digest("sha256", hashlib.sha256(content).hexdigest())
    return replace(
        INCEPTION5H,
        name="small",
        addresses=addresses,
        digest=digest,
        size=len(content or b""),
        megabytes=len(foreign_bytes()) / 1e6,
        classes=0,
        labels="",
        origin="the tests",
    )


def _convolution(contents: Contents, layer: str, shape: tuple[int, ...]) -> Weights:
    path = layer.replace("_", "/", 1)
    kernel, bias = f"{path}/kernel", f"{path}/bias"
    return contents.take(kernel, shape), contents.take(bias, shape[-1:])


def _no_head(contents: Contents, inputs: int) -> None:
    return None
