"""The wire format is read as protobuf's documentation describes it, and damage is told."""

from collections.abc import Callable

import numpy as np
import pytest
from protobufs import field, varint

from dreamvid.checkpoints.wire import MalformedError, Message, shaped


def test_fields_come_back_by_their_numbers():
    message = Message(field(1, 150) + field(2, "testing") + field(3, field(1, "inner")))
    assert message.integer(1) == 150
    assert message.text(2) == "testing"
    assert message.message(3).text(1) == "inner"
    # The documentation's own bytes of these.
    assert field(1, 150) + field(2, "testing") == b"\x08\x96\x01\x12\x07testing"


def test_fields_that_are_not_there_are_empty():
    message = Message(b"")
    assert message.integer(1) == 0
    assert message.text(1) == ""
    assert list(message.messages(1)) == message.integers(1) == list(message.array(1, "<f4")) == []
    assert message.message(1).message(1).text(1) == ""


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -(2**63)])
def test_integers_have_64_bits_and_a_sign(value: int):
    assert Message(field(7, value)).integer(7) == value


def test_repeated_numbers_may_be_packed_or_not():
    numbers = np.array([1, -2.5, 3e8], "<f4")
    packed = field(5, numbers.tobytes())
    single = b"".join(varint(5 << 3 | 5) + number.tobytes() for number in numbers)
    for data in (packed, single):
        np.testing.assert_array_equal(Message(data).array(5, "<f4"), numbers)
    np.testing.assert_array_equal(Message(packed + single).array(5, "<f4"), [*numbers, *numbers])
    assert Message(field(1, varint(300) + varint(-1)) + field(1, 7)).integers(1) == [300, -1, 7]


def test_a_message_may_end_only_between_two_fields():
    fields = field(1, "x" * 200), varint(2 << 3 | 1) + bytes(8), field(3, 300)
    whole = b"".join(fields)
    ends = {0, len(fields[0]), len(fields[0] + fields[1]), len(whole)}
    for kept in range(len(whole) + 1):
        if kept in ends:
            Message(whole[:kept])
        else:
            with pytest.raises(MalformedError, match="cut off"):
                Message(whole[:kept])


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",  # there is no field 0
        varint(1 << 3 | 3),  # a group, which neither format has
        varint(1 << 3 | 7),
        b"\xff" * 11,
        varint(1 << 3 | 2) + varint(2**62),
    ],
)
def test_what_is_no_message_is_refused(data: bytes):
    with pytest.raises(MalformedError, match="damaged"):
        Message(data)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.text(1),
        lambda m: list(m.messages(1)),
        lambda m: m.array(1, "<f4"),
        lambda m: m.array(2, "<f4"),
        lambda m: m.text(2),
    ],
)
def test_a_field_of_another_kind_is_refused(ask: Callable[[Message], object]):
    with pytest.raises(MalformedError):
        ask(Message(field(1, 5) + field(2, b"\xff\xfe\xfd")))


def count_leaves(message: Message, depth: int) -> int:
    return sum(count_leaves(each, depth - 1) for each in message.messages(1)) if depth else 1


def test_a_file_of_very_many_parts_is_given_up():
    wide = field(1, b"") * 10_000_000
    deep = field(1, field(1, field(1, b"") * 1000) * 100)
    assert count_leaves(Message(deep), 1) == 1  # what is not asked for does not count
    with pytest.raises(MalformedError, match="too many parts"):
        Message(wide)
    with pytest.raises(MalformedError, match="too many parts"):
        count_leaves(Message(deep), 3)
    with pytest.raises(MalformedError, match="too many parts"):
        Message(field(1, bytes(10_000_000))).integers(1)


def test_a_row_takes_the_shape_that_it_fills_and_no_other():
    row = np.arange(6.0)
    np.testing.assert_array_equal(shaped("w", row, (2, 3)), [[0, 1, 2], [3, 4, 5]])
    assert shaped("w", row[:1], ()).shape == ()
    assert shaped("w", row, (6, *(1,) * 7)).ndim == 8
    for shape in ((2, 2), (), (-2, -3), (0,), (2**62, 2**62), (6, *(1,) * 8)):
        with pytest.raises(MalformedError, match="w has 6 values for a shape of "):
            shaped("w", row, shape)
