"""Reads the pickles in PyTorch's files without running them.

A pickle is a program for a stack machine that may import and call anything. The machine below has
only the instructions that make plain values. A global is a name to it, never imported; a "call" of
one of the few names it knows makes a description of a tensor.

Source: the instructions as Python's `pickletools` documents them; the names as `torch.save` writes
them.
"""

import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dreamvid.checkpoints.conversion import MOST_AXES
from dreamvid.errors import WeightsError

MOST_INSTRUCTIONS = 200_000
"""Instructions in a pickle; Inception V3 needs a tenth."""

STORAGES = {
    "Half": "<f2",
    "BFloat16": "<u2",
    "Float": "<f4",
    "Double": "<f8",
    "Byte": "u1",
    "Bool": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
}
"""The types of number that may be stored, as in `torch.HalfStorage`, by NumPy's name."""
GLOBALS = frozenset(
    (
        "collections.OrderedDict",
        "torch.Size",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        *(f"torch.{kind}Storage" for kind in STORAGES),
    )
)


@dataclass(frozen=True)
class Global:
    """The name of something that PyTorch would import."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A row of numbers that lies elsewhere in the file."""

    kind: str
    """One of `STORAGES`."""
    key: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides are in elements, and all of it is unchecked."""

    storage: Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


INSTRUCTIONS = {each.code.encode("latin-1"): each for each in pickletools.opcodes}
MARK = object()


class Machine:
    """Runs pickles of one file.

    The values never take more memory than the pickle itself does: what it repeats is shared.
    """

    def __init__(self, path: Path):
        self.path = path
        self.storages: dict[str, Storage] = {}
        """All that were mentioned so far, by key."""
        self._stack: list = []
        self._memo: dict[int, object] = {}

    def run(self, stream: BinaryIO) -> object:
        """The value of the next pickle.

        Args:
          stream: In memory, for a pickle may claim texts of any length; left behind the pickle.

        Raises:
          WeightsError: The pickle is damaged, too long, or asks for anything but tensors, dicts,
            lists, tuples, numbers and texts.
        """
        self._stack, self._memo = [], {}
        try:
            for _ in range(MOST_INSTRUCTIONS):
                instruction = INSTRUCTIONS[stream.read(1)]
                if instruction.name == "STOP":
                    return self._stack.pop()
                self._step(instruction.name, self._argument(instruction, stream))
        except (ValueError, TypeError, LookupError):
            raise WeightsError(f"{self.path} is damaged: its pickle makes no sense") from None
        raise WeightsError(f"{self.path} is no network: its pickle is too long")

    def _argument(self, instruction: pickletools.OpcodeInfo, stream: BinaryIO):
        if instruction.name in ("GLOBAL", "INST"):
            # pickletools would take escapes in them for more than the letters they are.
            lines = [stream.readline() for _ in ("module", "name")]
            if not lines[-1].endswith(b"\n"):
                raise ValueError
            return ".".join(line[:-1].decode() for line in lines)
        if instruction.arg is None:
            return None
        if instruction.arg.n == pickletools.UP_TO_NEWLINE:  # of protocol 0
            raise self._refusal(f"the pickle instruction {instruction.name}")
        return instruction.arg.reader(stream)

    def _step(self, instruction: str, argument) -> None:
        stack = self._stack
        match instruction:
            case "PROTO" | "FRAME":
                pass
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(instruction == "NEWTRUE")
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "MARK":
                stack.append(MARK)
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = self._pop(int(instruction[-1]))
                stack.append(tuple(items))
            case "TUPLE":
                items = self._pop_to_mark()
                stack.append(tuple(items))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "APPEND":
                item = stack.pop()
                self._last(list).append(item)
            case "APPENDS":
                items = self._pop_to_mark()
                self._last(list).extend(items)
            case "SETITEM":
                key, value = self._pop(2)
                self._set_items([key, value])
            case "SETITEMS":
                self._set_items(self._pop_to_mark())
            case "GLOBAL" | "INST":
                stack.append(self._global(argument))
            case "STACK_GLOBAL":
                stack.append(self._global(".".join(self._pop(2))))
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(self._described(function, arguments))
            case "BUILD":
                # The versions of a state dict's modules, which no tensor needs.
                stack.pop()
                self._last(dict)
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case _:
                raise self._refusal(f"the pickle instruction {instruction}")

    def _pop(self, count: int) -> list:
        if len(self._stack) < count:
            raise IndexError
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list:
        stack = self._stack
        start = len(stack)
        while stack[start - 1] is not MARK:
            start -= 1
            if start == 0:
                raise IndexError
        items = stack[start:]
        del stack[start - 1 :]
        return items

    def _last(self, kind: type):
        if type(self._stack[-1]) is not kind:
            raise TypeError
        return self._stack[-1]

    def _set_items(self, items: list) -> None:
        target = self._last(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Others could be costly to hash: a deep tuple, a number of a million digits.
            if not isinstance(key, str) and not _is_moderate(key):
                raise TypeError
            target[key] = value

    def _global(self, name: str) -> Global:
        if name not in GLOBALS:
            raise self._refusal(repr(name if len(name) < 100 else name[:100] + " ..."))
        return Global(name)

    def _refusal(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.path} asks for {what}, which dreamvid does not run: save the network's "
            "state_dict(), which holds tensors and dicts only"
        )

    def _described(self, function: object, arguments: object) -> object:
        """What a call would return."""
        match function, arguments:
            case Global("collections.OrderedDict"), ():
                return {}
            case Global("torch.Size"), (tuple() as sizes,):
                return sizes
            case Global("torch._utils._rebuild_parameter"), (Tensor() as tensor, *_):
                return tensor
            case (
                Global("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2"),
                (Storage() as storage, int(offset), tuple() as sizes, tuple() as strides, *_),
            ) if len(sizes) == len(strides) <= MOST_AXES:
                if all(map(_is_moderate, (offset, *sizes, *strides))):
                    return Tensor(storage, offset, sizes, strides)
        raise TypeError

    def _storage(self, identity: object) -> Storage:
        match identity:
            # The legacy form adds a view of the storage, which PyTorch has not used since 0.4.
            case ("storage", Global(name), str(key), _, int(count), *views) if (
                views in ([], [None]) and len(key) < 99 and count >= 0 and _is_moderate(count)
            ):
                kind = name.removeprefix("torch.").removesuffix("Storage")
                storage = Storage(kind, key, count)
                if kind in STORAGES and self.storages.setdefault(key, storage) == storage:
                    return storage
        raise TypeError


def _is_moderate(number: object) -> bool:
    """Whether it is a whole number that is cheap to compute with."""
    return isinstance(number, int) and number.bit_length() < 48
