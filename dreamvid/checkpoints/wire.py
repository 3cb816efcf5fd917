"""Protocol Buffers' wire format, as much of it as the files of networks need.

By hand: the protobuf library makes forty bytes of the two that an empty message takes, so that
50 MB of them cost it seconds and gigabytes (measured). Here only what is asked for is read, and a
file of more parts than a network has is given up.

Source: protobuf.dev/programming-guides/encoding.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from typing import TypeAlias

import numpy as np

from dreamvid.checkpoints.conversion import MOST_AXES

MOST_PARTS = 100_000
"""Tags, lengths and integers that are read of one file; inception5h takes nine thousand."""

_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}  # bytes of a value

Value: TypeAlias = int | memoryview


class MalformedError(ValueError):
    """The bytes are no such message; the text says why, to stand behind the name of a file."""


class Message:
    """One message, whose fields are known by their numbers.

    Where a field that may stand once stands several times, the last counts. Each method raises
    MalformedError where the field holds another kind of value.
    """

    def __init__(self, data: bytes | memoryview, reads: Iterator[int] | None = None):
        """The message with its fields; what lies inside them is read when it is asked for.

        Args:
          data: The whole message.
          reads: Counts what is read of the file that the message lies in.

        Raises:
          MalformedError: It is cut off, damaged, or has too many parts.
        """
        self._reads = reads if reads is not None else count(1)
        self._fields: defaultdict[int, list[Value]] = defaultdict(list)
        data = memoryview(data)
        at = 0
        while at < len(data):
            tag, at = self._varint(data, at)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, at = self._varint(data, at)
            else:
                length, at = (_FIXED[kind], at) if kind in _FIXED else self._varint(data, at)
                value, at = data[at : at + length], at + length
            if at > len(data) or not number or kind not in (_VARINT, _BYTES, *_FIXED):
                raise MalformedError("it is damaged or cut off")
            self._fields[number].append(value)

    def messages(self, number: int) -> "Iterator[Message]":
        """The messages of a field, in their order."""
        return (Message(view, self._reads) for view in self._views(number))

    def message(self, number: int) -> "Message":
        """The message of a field; an empty one where there is none."""
        return Message(self.data(number), self._reads)

    def data(self, number: int) -> memoryview:
        """The bytes of a field; empty where there is none."""
        return [memoryview(b""), *self._views(number)][-1]

    def text(self, number: int) -> str:
        """The text of a field; empty where there is none."""
        try:
            return str(self.data(number), "utf-8")
        except UnicodeDecodeError:
            raise MalformedError("a name in it is no text") from None

    def integer(self, number: int) -> int:
        """The integer of a field; 0 where there is none."""
        return [0, *self.integers(number)][-1]

    def integers(self, number: int) -> list[int]:
        """The integers of a field, one by one or packed."""
        found = []
        for value in self._fields.get(number, ()):
            if isinstance(value, int):
                found.append(value)
                continue
            at = 0
            while at < len(value):
                integer, at = self._varint(value, at)
                found.append(integer)
        return [value - (1 << 64) if value >> 63 else value for value in found]

    def array(self, number: int, kind: str) -> np.ndarray:
        """The fixed-width numbers of a field, one by one or packed.

        Args:
          number: Of the field.
          kind: NumPy's name of their type, for example "<f4".
        """
        data = b"".join(self._views(number))
        if len(data) % np.dtype(kind).itemsize:
            raise MalformedError("it is damaged")
        return np.frombuffer(data, kind)

    def _views(self, number: int) -> list[memoryview]:
        views = [value for value in self._fields.get(number, ()) if isinstance(value, memoryview)]
        if len(views) < len(self._fields.get(number, ())):
            raise MalformedError("it is damaged")
        return views

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """An integer of seven bits a byte, the lowest first, and where the next value begins."""
        if next(self._reads) > MOST_PARTS:
            raise MalformedError("it has too many parts")
        value = 0
        for index in range(min(10, len(data) - at)):
            byte = data[at + index]
            value |= (byte & 127) << 7 * index
            if byte < 128:
                return value & (1 << 64) - 1, at + index + 1
        raise MalformedError("it is damaged or cut off")


def is_possible(shape: tuple[int, ...]) -> bool:
    """Whether a claimed shape is one that a tensor of a network may have."""
    return len(shape) <= MOST_AXES and min(shape, default=1) > 0


def shaped(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A row of numbers in the shape that is claimed for it.

    Args:
      name: What they are, for the error.
      values: In one row; along the last axis they are neighbours.
      shape: Whatever the file says.

    Raises:
      MalformedError: The shape is impossible, or needs more or fewer values.
    """
    if not is_possible(shape) or math.prod(shape) != len(values):
        raise MalformedError(f"{name} has {len(values)} values for a shape of {str(shape)[:80]}")
    return values.reshape(shape)
