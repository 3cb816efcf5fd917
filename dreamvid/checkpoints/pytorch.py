"""PyTorch's files (.pth), the zip form and the legacy one; no pickle is executed.

Source: both forms as `torch.save` writes them (torch/serialization.py of PyTorch 2).
"""

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from dreamvid.checkpoints import archives
from dreamvid.checkpoints.conversion import LARGEST, Contents, Layout, Weights, fold
from dreamvid.checkpoints.pickles import STORAGES, Machine, Storage, Tensor
from dreamvid.errors import WeightsError
from dreamvid.models import inception_v1, inception_v3

NAME = "pytorch"
# The number that the legacy form's first pickle holds, 0x1950a86a20f9469cfc6c.
MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
LONGEST_PICKLE = 1 << 22
"""Bytes of all pickles of a file; Inception V3 needs a fiftieth."""
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which keys a training script keeps the network's state among other things."""
PARALLEL = "module."
"""What the names begin with when the network was trained on several devices."""

Load = Callable[[Storage], bytes]
"""Reads the bytes of a storage."""


def claims(path: Path, start: bytes) -> bool:
    """Whether a file that begins with `start` is PyTorch's."""
    if MAGIC in start[:32]:
        return start.startswith(b"\x80")
    if not start.startswith(archives.ZIP):
        return False
    if b"/data.pkl" in start:  # PyTorch writes it first, so that a file cut short is known too
        return True
    try:
        with path.open("rb") as file:
            return any(_is_pickle(name) for name in archives.open_zip(path, file).namelist())
    except (*archives.DAMAGE, WeightsError):
        return False


def read(path: Path) -> Contents:
    """The tensors of a checkpoint: a state dict, or a dict that holds one.

    bfloat16 is read as float32.

    Raises:
      WeightsError: The file is damaged, claims more than it holds, or its pickle asks for anything
        but tensors and dicts.
    """
    try:
        with path.open("rb") as file:
            legacy = MAGIC in file.read(32)
            file.seek(0)
            value, load = (_open_legacy if legacy else _open_zip)(path, file)
            views = _state(path, value)
            storages = {view.storage.key: view.storage for view in views.values()}
            if sum(map(_bytes, storages.values())) > LARGEST:
                raise WeightsError(f"{path} is no network: it claims more than {LARGEST} bytes")
            rows = {key: _row(path, storage, load) for key, storage in storages.items()}
    except archives.DAMAGE as error:
        raise WeightsError(
            f"{path} cannot be read as a PyTorch file: {str(error)[:200]!a}"
        ) from None
    tensors = {name: _resolved(path, name, rows[v.storage.key], v) for name, v in views.items()}
    return Contents(path, tensors)


def _is_pickle(member: str) -> bool:
    return member.count("/") == 1 and member.endswith("/data.pkl")


def _open_zip(path: Path, file: BinaryIO) -> tuple[object, Load]:
    """What the zip form holds, and what loads its storages."""
    archive = archives.open_zip(path, file)
    members = {member.filename: member for member in archive.infolist()}
    for name, member in members.items():
        # A compressed one could grow a thousandfold.
        if member.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(
                f"{path}: {name[:80]!r} is compressed, which PyTorch's files never are"
            )
    if sum(member.file_size for member in members.values()) > file.seek(0, io.SEEK_END):
        raise WeightsError(f"{path} is no network: its parts claim more than the file's size")
    pickles = [name for name in members if _is_pickle(name)]
    if len(pickles) != 1:
        raise WeightsError(f"{path} is no PyTorch file: it holds {len(pickles)} named data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in members and archive.open(order).read(7) != b"little":
        raise WeightsError(f"{path} is of a big-endian machine: save it on a little-endian one")

    def load(storage: Storage) -> bytes:
        name = f"{folder}data/{storage.key}"
        if name not in members:
            raise WeightsError(f"{path} is no whole network: {name!r} is missing")
        return archive.read(name)

    if members[pickles[0]].file_size > LONGEST_PICKLE:
        raise WeightsError(f"{path} is no network: its pickle is too long")
    return Machine(path).run(io.BytesIO(archive.read(pickles[0]))), load


def _open_legacy(path: Path, file: BinaryIO) -> tuple[object, Load]:
    """What the legacy form holds, and what loads its storages."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    # In memory: a pickle that claims an endless text gets what there is.
    stream, machine = io.BytesIO(file.read(LONGEST_PICKLE)), Machine(path)
    for _ in ("magic number", "protocol", "machine"):  # the data is little-endian on all machines
        machine.run(stream)
    value, keys = machine.run(stream), machine.run(stream)
    known = machine.storages
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in known for k in keys):
        raise WeightsError(f"{path} is damaged: its list of storages does not fit")
    places, place = {}, stream.tell()
    for storage in map(known.__getitem__, keys):
        file.seek(place)
        count = file.read(8)
        places[storage.key], place = place + 8, place + 8 + _bytes(storage)
        if place > end:
            raise WeightsError(f"{path} is cut short in storage {storage.key!r}")
        if count != storage.count.to_bytes(8, "little"):
            raise WeightsError(f"{path} is damaged: storage {storage.key!r} has another length")

    def load(storage: Storage) -> bytes:
        if storage.key not in places:
            raise WeightsError(f"{path} is no whole network: storage {storage.key!r} is missing")
        file.seek(places[storage.key])
        return file.read(_bytes(storage))

    return value, load


def _bytes(storage: Storage) -> int:
    return storage.count * np.dtype(STORAGES[storage.kind]).itemsize


def _state(path: Path, value: object) -> dict[str, Tensor]:
    """The tensors of a network's state, by the names that PyTorch gives them."""
    state = value if isinstance(value, dict) else {}
    for key in WRAPPERS:
        if isinstance(state.get(key), dict):
            state = state[key]
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name: save the network's state_dict()")
    if all(name.startswith(PARALLEL) for name in tensors):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _row(path: Path, storage: Storage, load: Load) -> np.ndarray:
    """All numbers of a storage."""
    data = load(storage)
    if len(data) < _bytes(storage):
        raise WeightsError(
            f"{path}: storage {storage.key!r} has {len(data)} of its {_bytes(storage)} bytes"
        )
    row = np.frombuffer(data, STORAGES[storage.kind], storage.count)
    if storage.kind == "BFloat16":  # the upper half of a float32
        return (row.astype(np.uint32) << 16).view(np.float32)
    return row


def _resolved(path: Path, name: str, row: np.ndarray, view: Tensor) -> np.ndarray:
    """A tensor as a view of its storage's numbers."""
    axes = list(zip(view.sizes, view.strides, strict=True))
    count = math.prod(view.sizes)
    inside = all(number >= 0 for number in (view.offset, *view.sizes, *view.strides))
    if inside and count:
        last = view.offset + sum((size - 1) * stride for size, stride in axes)
        # Zero strides could make a giant of one number.
        inside = last < row.size and count <= row.size
    if not inside or math.prod(max(size, 1) for size in view.sizes) > LARGEST:
        raise WeightsError(f"{path}: tensor {name[:80]!r} {view.sizes} reaches beyond its storage")
    if not count:
        return np.zeros(view.sizes, row.dtype)
    # Along an axis of one any stride will do, also one that is no machine integer.
    strides = [stride * row.itemsize if size > 1 else 0 for size, stride in axes]
    return np.lib.stride_tricks.as_strided(row[view.offset :], view.sizes, strides, writeable=False)


def _layout(architecture: str, family: str, definition: ModuleType, mark: str) -> Layout:
    names = definition.NAMES["torchvision"]

    def convolution(contents: Contents, layer: str, shape: tuple[int, ...]) -> Weights:
        height, width, inputs, outputs = shape
        kernel = contents.take(f"{names[layer]}.conv.weight", (outputs, inputs, height, width))
        norm = [
            contents.take(f"{names[layer]}.bn.{part}", (outputs,))
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
        return fold(kernel.transpose(2, 3, 1, 0), *norm, epsilon=1e-3)

    return Layout(architecture, family, definition.WIDTHS, mark, convolution, _head)


def _head(contents: Contents, inputs: int) -> Weights | None:
    if "fc.weight" not in contents.tensors:
        return None
    classes = contents.tensors["fc.weight"].shape[:1]
    return contents.take("fc.weight", (*classes, inputs)).T, contents.take("fc.bias", classes)


LAYOUTS = (
    _layout("inception_v1", "torchvision", inception_v1, "inception3a.branch1.conv.weight"),
    _layout("inception_v3", "torch", inception_v3, "Mixed_5b.branch1x1.conv.weight"),
)
"""torchvision's GoogLeNet and Inception V3; timm's Inception V3 bears the same names."""
