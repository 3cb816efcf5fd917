"""Keras's files: the layout of Keras 2 (.h5) and that of Keras 3 (.weights.h5).

Keras 2 numbers a network's layers in the order in which it makes them, from any number on: the
first convolution may be `conv2d`, `conv2d_1` or `conv2d_94`. Keras 3 numbers them by their place in
the graph. No name tells which layer is which, but the order does.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from dreamvid.checkpoints.conversion import LARGEST, Contents, Layout, Weights, fold
from dreamvid.errors import WeightsError
from dreamvid.models import inception_v3

NAME = "keras"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_ENTRIES = 10_000
"""Groups and tensors in a file; Inception V3 needs a fifth."""
DEEPEST = 12
"""Groups within groups."""

Group = tuple[str, ...]
"""The names that lead to it, from the outermost on."""


def claims(path: Path, start: bytes) -> bool:
    """Whether a file that begins with `start` is HDF5, which Keras writes."""
    return start.startswith(SIGNATURE)


def read(path: Path) -> Contents:
    """The tensors of a file of weights or of a whole model.

    They are named by layer and variable: "conv2d_12/kernel" by Keras 2, "layers/conv2d_12/kernel"
    by Keras 3.

    Raises:
      WeightsError: The file is damaged, or holds what Keras does not write: links, compressed
        tensors, or some that lie in other files.
    """
    tensors: dict[str, np.ndarray] = {}
    try:
        # locking: a file on a read-only disk is read all the same.
        with h5py.File(path, "r", locking=False) as file:
            groups = dict(_groups(path, file))
            claimed = sum(
                _bytes(path, data) for group in groups.values() for data in group.values()
            )
            room = min(LARGEST, path.stat().st_size)
            if claimed > room:
                raise WeightsError(f"{path} is no network: it claims {claimed} bytes of {room}")
            for group, variables in groups.items():
                names = _variables(group, variables)
                for key, data in variables.items():
                    name = f"{_layer(group)}/{names[key]}"
                    if name in tensors:
                        raise WeightsError(f"{path} is no single network: it has two {name[:80]!r}")
                    tensors[name] = np.asarray(data[()])
    # What h5py makes of libhdf5's complaints.
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        raise WeightsError(
            f"{path} is damaged or cut off, HDF5 says {str(error)[:200]!a}"
        ) from None
    if not tensors:
        raise WeightsError(f"{path} holds no weights of Keras")
    return Contents(path, tensors)


def _groups(path: Path, file: h5py.File) -> Iterator[tuple[Group, dict[str, h5py.Dataset]]]:
    """Every group that holds tensors of the network, and they by name."""
    # No attribute is read: on damaged ones libhdf5 may run for ever.
    waiting: list[tuple[Group, h5py.Group]] = [((), file)]
    entries = 0
    for names, group in waiting:  # grows as groups are found
        entries += len(group)
        if entries > MOST_ENTRIES or len(names) > DEEPEST:
            raise WeightsError(f"{path} is no network: it holds too many groups")
        tensors = {}
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(name, str) or not isinstance(link, h5py.HardLink):
                raise WeightsError(
                    f"{path} is no network: {str(name)[:80]!r} in it leads elsewhere"
                )
            entry = group[name]
            if isinstance(entry, h5py.Dataset):
                tensors[name] = entry
            elif isinstance(entry, h5py.Group) and not name.startswith("optimizer"):
                waiting.append(((*names, name), entry))
        if tensors and names:
            yield names, tensors


def _bytes(path: Path, data: h5py.Dataset) -> int:
    """What a tensor will take in memory."""
    storage, name = data.id.get_create_plist(), str(data.name)[-80:]
    # Only these two kinds are as long in the file as in memory.
    plain = storage.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    if not plain or storage.get_external_count():
        raise WeightsError(
            f"{path}: {name!r} is compressed, in pieces or elsewhere, which Keras's never are"
        )
    if data.shape is None or data.dtype.kind not in "fiu":
        raise WeightsError(f"{path}: {name!r} holds no numbers")
    return math.prod(data.shape) * data.dtype.itemsize


def _layer(group: Group) -> str:
    """The layer whose variables lie in a group."""
    if group[-1] == "vars":  # Keras 3
        return "/".join(group[:-1])
    # Keras 2: the layer's group holds another, named as in the graph: with a number more, or with
    # the layer's name while the outer one is that of a model within the model.
    outer = group[1] if group[0] == "model_weights" else group[0]
    return outer if group[-1].startswith(outer) else group[-1]


def _variables(group: Group, tensors: Mapping[str, h5py.Dataset]) -> dict[str, str]:
    """The variables' names by those in the file."""
    if group[-1] != "vars":
        return {name: name.removesuffix(":0") for name in tensors}
    # Keras 3 has only numbers.
    known = ("kernel", "bias")
    if all(tensor.ndim == 1 for tensor in tensors.values()):
        known = ("gamma", "beta", "moving_mean", "moving_variance")[-len(tensors) :]
    return {name: dict(zip("0123", known, strict=False)).get(name, name) for name in tensors}


def _by_place() -> tuple[str, ...]:
    """The convolutions in the order of Keras 3.

    The farthest from a block's output comes first, and of equals the one that was made first.
    """
    ordered = list(inception_v3.STEM)
    for block_name, block in inception_v3.BLOCKS.items():
        sources = [branch.source for branch in block.branches]
        behind: dict[str, float] = {}
        for branch in reversed(block.branches):
            # Twins are joined to each other before all branches are.
            outer = branch.source in (inception_v3.INPUT, inception_v3.POOL)
            twin = not outer and sources.count(branch.source) == 2
            steps = behind.setdefault(branch.name, 0.5 if twin else 0)
            behind[branch.source] = max(behind.get(branch.source, 0), steps + 1)
        farthest = sorted(block.branches, key=lambda branch: -behind[branch.name])
        ordered += [f"{block_name}_{branch.name}" for branch in farthest]
    return tuple(ordered)


BY_PLACE = _by_place()


def _layers(contents: Contents, variable: str, dimensions: int) -> list[str]:
    """The layers that have a variable, in the order of their numbers."""
    layers = [
        name.removesuffix(f"/{variable}")
        for name, tensor in contents.tensors.items()
        if name.endswith(f"/{variable}") and tensor.ndim == dimensions
    ]
    # Nine digits: Python refuses to read thousands.
    numbers = (re.search(r"_(\d{1,9})$", layer) for layer in layers)
    order = [int(number[1]) if number else 0 for number in numbers]
    return [layer for _, layer in sorted(zip(order, layers, strict=True))]


def _convolution(contents: Contents, layer: str, shape: tuple[int, ...]) -> Weights:
    kernels, norms = _layers(contents, "kernel", 4), _layers(contents, "moving_mean", 1)
    keras_3 = any("/" in name for name in kernels)
    place = (BY_PLACE if keras_3 else inception_v3.CONVOLUTIONS).index(layer)
    kernel = kernels[place] if place < len(kernels) else f"convolution {place + 1}"
    norm = norms[place] if place < len(norms) else f"batch normalization {place + 1}"
    outputs = shape[-1:]
    return fold(
        contents.take(f"{kernel}/kernel", shape),
        contents.take(f"{norm}/gamma", outputs) if f"{norm}/gamma" in contents.tensors else None,
        contents.take(f"{norm}/beta", outputs),
        contents.take(f"{norm}/moving_mean", outputs),
        contents.take(f"{norm}/moving_variance", outputs),
        epsilon=1e-3,
    )


def _head(contents: Contents, inputs: int) -> Weights | None:
    layers = _layers(contents, "kernel", 2)
    # Of several, none is sure to be the classifier of what the convolutions see.
    if len(layers) != 1:
        return None
    classes = contents.tensors[f"{layers[0]}/kernel"].shape[-1:]
    kernel = contents.take(f"{layers[0]}/kernel", (inputs, *classes))
    return kernel, contents.take(f"{layers[0]}/bias", classes)


LAYOUTS = (Layout("inception_v3", "keras", inception_v3.WIDTHS, "", _convolution, _head),)
"""The only Inception that Keras publishes; no name in its files tells it from other networks."""
