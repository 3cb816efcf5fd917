"""TensorFlow's frozen graphs (.pb), whose weights are constants; also inside a .zip.

The graph is not run and not even looked at: only its constants are read, by their names.
Source: the field numbers in tensorflow/core/framework/graph.proto, node_def.proto,
attr_value.proto, tensor.proto, tensor_shape.proto and types.proto.
"""

import math
import re
from pathlib import Path

import numpy as np

from dreamvid.checkpoints import archives, caffe
from dreamvid.checkpoints.conversion import Contents, Layout, Weights
from dreamvid.checkpoints.wire import MalformedError, Message, is_possible, shaped
from dreamvid.errors import WeightsError
from dreamvid.models import inception_v1

NAME = "tensorflow"

# A graph begins with its first node, which begins with its name and operation.
_GRAPH = re.compile(
    rb"\n[\x80-\xff]{,4}[\0-\x7f]\n[\x80-\xff]?[\0-\x7f][\w.][\w./>-]*\x12.[\w>]", re.DOTALL
)
# DataType: NumPy's name, and the field of values that are told one by one.
_FLOATS = {1: ("<f4", 5), 2: ("<f8", 6), 19: ("<f2", 13)}
_NO_FLOATS = np.empty(0, object)
"""Stands for strings, integers and the like, which no network of ours needs of a graph."""
_LONGEST_LABELS = 1 << 20
"""Bytes of all class names; ImageNet's take a hundredth."""


def claims(path: Path, start: bytes) -> bool:
    """Whether a file that begins with `start` is a frozen graph, or a zip that may hold one."""
    if start.startswith(archives.ZIP) or _GRAPH.match(start):
        return True
    return path.suffix == ".pb" and not caffe.is_net(start)


def read(path: Path) -> Contents:
    """The constants of a frozen graph, and the labels that lie beside it in a zip.

    Raises:
      WeightsError: The file cannot be read, is damaged, or holds no constants.
    """
    try:
        tensors = _constants(archives.content(path, ".pb"))
    except MalformedError as error:
        raise WeightsError(f"{path} cannot be read as a TensorFlow graph: {error}") from None
    lists = archives.find(path, "label_strings.txt")
    text = lists.popitem()[1] if len(lists) == 1 else b""
    if len(text) > _LONGEST_LABELS:
        raise WeightsError(f"{path} is no network: its labels take {len(text)} bytes")
    return Contents(path, tensors, tuple(text.decode("utf-8", "replace").splitlines()))


def _constants(graph: bytes) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    left = archives.LARGEST_FILE
    for node in Message(graph).messages(1):
        name, operation = node.text(1), node.text(2)
        if operation != "Const":
            continue
        if name in found:
            raise MalformedError(f"two nodes are called {name[:80]!r}")
        for attribute in node.messages(5):
            if attribute.text(1) == "value":
                found[name] = _array(name[:80], attribute.message(2).message(8), left)
                left -= found[name].nbytes
    if not found:
        raise MalformedError("it has no constants; variables must be frozen into constants first")
    return found


def _array(name: str, tensor: Message, most: int) -> np.ndarray:
    """A constant's value, once its shape is known to take no more than `most` bytes."""
    shape = tuple(axis.integer(1) for axis in tensor.message(2).messages(2))
    if tensor.integer(1) not in _FLOATS or 0 in shape:
        return _NO_FLOATS
    kind, field = _FLOATS[tensor.integer(1)]
    if not is_possible(shape):
        raise MalformedError(f"constant {name!r} has no possible shape: {str(shape)[:80]}")
    size = math.prod(shape)
    if size * np.dtype(kind).itemsize > most:
        raise MalformedError(f"constant {name!r} claims {shape}, more than a network needs")
    values = tensor.array(4, kind)
    if not len(values):
        if kind == "<f2":  # integers that hold the 16 bits
            few = np.array([n & 0xFFFF for n in tensor.integers(field)], "<u2").view(kind)
        else:
            few = tensor.array(field, kind)
        # The last value stands for all that are left out, and none at all for zeros.
        last = few[-1:] if len(few) else np.zeros(1, kind)
        values = np.concatenate([few, last.repeat(max(size - len(few), 0))])
    return shaped(f"constant {name!r}", values, shape)


def _convolution(contents: Contents, layer: str, shape: tuple[int, ...]) -> Weights:
    return contents.take(f"{layer}_w", shape), contents.take(f"{layer}_b", shape[3:])


def _head(contents: Contents, channels: int) -> Weights | None:
    if "softmax2_w" not in contents.tensors:
        return None
    classes = contents.tensors["softmax2_w"].shape[-1:]
    kernel = contents.take("softmax2_w", (channels, *classes))
    return kernel, contents.take("softmax2_b", classes)


LAYOUTS = (Layout("inception_v1", "tf", inception_v1.WIDTHS_5H, "conv2d0_w", _convolution, _head),)
