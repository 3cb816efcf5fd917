"""Caffe's networks (.caffemodel), with layers of the first or second version; also in a .tar.gz.

Source: the field numbers, and the two ways of telling a blob's shape, in Caffe's caffe.proto.
"""

import re
from pathlib import Path

import numpy as np

from dreamvid.checkpoints import archives
from dreamvid.checkpoints.conversion import Contents, Layout, Weights
from dreamvid.checkpoints.wire import MalformedError, Message, shaped
from dreamvid.errors import WeightsError
from dreamvid.models import inception_v1

NAME = "caffe"

# What follows a net's name: an input, or a layer, which begins with its name or with the maps that
# it takes or makes.
_BODY = re.compile(
    rb"\x1a[\1-\x7f][\w./-]"
    rb"|\x12[\x80-\xff]{,4}[\0-\x7f][\n\x12\x1a\"]"
    rb"|\xa2\x06[\x80-\xff]{,4}[\0-\x7f]\n"
)
# Layers of the first version, and of the second: their field in a net, and in them those of their
# name and their blobs.
_VERSIONS = ((2, 4, 6), (100, 1, 7))
_HEAD = "loss3/classifier"


def claims(path: Path, start: bytes) -> bool:
    """Whether a file that begins with `start` is a Caffe net, or a .tar.gz that may hold one."""
    return start.startswith(archives.GZIP) or is_net(start) or path.suffix == ".caffemodel"


def is_net(start: bytes) -> bool:
    """Whether a file that begins with `start` is a Caffe net."""
    if start.startswith(b"\n") and len(start) > 1:
        after = 2 + start[1]
        if start[2:after].decode("utf-8", "replace").isprintable():
            start = start[after:]
    return _BODY.match(start) is not None


def read(path: Path) -> Contents:
    """The blobs of a net, called "<layer>/0", "<layer>/1" and so on.

    Raises:
      WeightsError: The file cannot be read, is damaged, or holds no blobs.
    """
    try:
        return Contents(path, _blobs(archives.content(path, ".caffemodel")))
    except MalformedError as error:
        raise WeightsError(f"{path} cannot be read as a Caffe network: {error}") from None


def _blobs(net: bytes) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    whole = Message(net)
    for layers, name, blobs in _VERSIONS:
        for layer in whole.messages(layers):
            for index, blob in enumerate(layer.messages(blobs)):
                blob_name = f"{layer.text(name)}/{index}"
                if blob_name in found:
                    raise MalformedError(f"two blobs are called {blob_name[:80]!r}")
                found[blob_name] = _array(blob_name[:80], blob)
    if not found:
        raise MalformedError("its layers hold no blobs")
    return found


def _array(name: str, blob: Message) -> np.ndarray:
    shape = tuple(blob.integer(field) for field in (1, 2, 3, 4))
    if not any(shape):  # told as now, for any number of axes
        shape = tuple(blob.message(7).integers(1))
    values = blob.array(5, "<f4")
    if not len(values):
        values = blob.array(8, "<f8")
    return shaped(f"blob {name!r}", values, shape)


def _take(contents: Contents, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor that may lie under the four axes that every blob once had."""
    four = (1,) * (4 - len(shape)) + shape
    if name in contents.tensors and contents.tensors[name].shape == four:
        return contents.take(name, four).reshape(shape)
    return contents.take(name, shape)


def _convolution(contents: Contents, layer: str, shape: tuple[int, ...]) -> Weights:
    name = inception_v1.NAMES["caffe"][layer]
    kernel = _take(contents, f"{name}/0", shape[::-1][:2] + shape[:2])  # OIHW
    return kernel.transpose(2, 3, 1, 0), _take(contents, f"{name}/1", shape[3:])


def _head(contents: Contents, channels: int) -> Weights | None:
    """The last classifier; where a network was trained on, it is often called by a longer name."""
    names = [name for name in contents.tensors if re.fullmatch(rf"{_HEAD}.*/0", name)]
    if len(names) != 1:
        return None
    kernel, bias = names[0], names[0][:-1] + "1"
    classes = contents.tensors[kernel].shape[-2:-1]
    matrix = _take(contents, kernel, (*classes, channels))
    return matrix.T, _take(contents, bias, classes)


LAYOUTS = (
    Layout("inception_v1", "caffe", inception_v1.WIDTHS, "conv1/7x7_s2/0", _convolution, _head),
)
