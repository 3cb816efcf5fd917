"""Writes the files of TensorFlow and Caffe, right ones and wrong ones, in the wire format."""

from collections.abc import Iterable, Mapping

import numpy as np


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; negative numbers in 64 bits."""
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a message: an integer, a text, or whatever is bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(name: str, operation: str, *attributes: tuple[str, bytes]) -> bytes:
    """A node of a TensorFlow graph."""
    entries = (field(5, field(1, key) + field(2, value)) for key, value in attributes)
    return field(1, field(1, name) + field(2, operation) + b"".join(entries))


def constant(name: str, kind: int, shape: Iterable[int], values: bytes) -> bytes:
    """A constant of a TensorFlow graph.

    Args:
      name: Of the node.
      kind: TensorFlow's number of its type; 1 is float32.
      shape: Claimed, whether or not the values fill it.
      values: Fields of the TensorProto that hold them.
    """
    axes = b"".join(field(2, field(1, size)) for size in shape)
    tensor = field(1, kind) + field(2, axes) + values
    return node(name, "Const", ("dtype", field(6, kind)), ("value", field(8, tensor)))


def graph(tensors: Mapping[str, np.ndarray]) -> bytes:
    """A frozen graph of float32 constants behind a placeholder."""
    constants = (
        constant(name, 1, tensor.shape, field(4, tensor.astype("<f4").tobytes()))
        for name, tensor in tensors.items()
    )
    return node("input", "Placeholder", ("dtype", field(6, 1))) + b"".join(constants)


def blob(values: np.ndarray, shape: Iterable[int] | None = None, legacy: bool = False) -> bytes:
    """A blob of Caffe's; `shape` is claimed, in one of the two ways of telling it."""
    sizes = tuple(values.shape if shape is None else shape)
    data = field(5, values.astype("<f4").tobytes())
    if not legacy:
        return data + field(7, field(1, b"".join(map(varint, sizes))))
    four = (1,) * (4 - len(sizes)) + sizes
    return b"".join(field(n, size) for n, size in enumerate(four, start=1)) + data


def layer(name: str, *blobs: bytes, version: int = 2) -> bytes:
    """A layer of a Caffe net, of the first or second version."""
    if version == 1:
        held = b"".join(field(6, each) for each in blobs)
        return field(2, field(2, "data") + field(3, name) + field(4, name) + held)
    held = b"".join(field(7, each) for each in blobs)
    return field(100, field(1, name) + field(2, "Convolution") + held)


def net(
    layers: Mapping[str, Iterable[np.ndarray]], version: int = 2, legacy: bool = False
) -> bytes:
    """A Caffe net whose layers have these blobs."""
    written = (
        layer(name, *(blob(each, legacy=legacy) for each in blobs), version=version)
        for name, blobs in layers.items()
    )
    return field(1, "GoogleNet") + b"".join(written)
