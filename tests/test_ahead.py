"""Laws of work done ahead: order, bounds, errors in their place, nothing left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from dreamvid.ahead import ahead


def test_results_come_in_order_however_long_each_takes():
    waits = [0.02, 0.0, 0.01, 0.0, 0.0, 0.015, 0.0]

    def work(number: int) -> int:
        time.sleep(waits[number])
        return number * number

    assert list(ahead(range(7), work, threads=4, depth=5)) == [n * n for n in range(7)]
    assert list(ahead([], work, threads=1, depth=1)) == []


@pytest.mark.parametrize(("threads", "depth"), [(1, 1), (1, 3), (4, 2)])
def test_no_more_items_are_drawn_than_may_be_in_memory(threads: int, depth: int):
    drawn = []
    work = ahead((drawn.append(n) or n for n in range(50)), lambda n: n, threads, depth)
    for number in range(10):
        assert next(work) == number
        time.sleep(0.005)
        assert len(drawn) <= number + 1 + depth
    work.close()


def test_items_are_drawn_while_the_last_result_is_used():
    drawn = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        drawn.set()
        yield 1

    work = ahead(items(), lambda n: n, threads=1, depth=2)
    assert next(work) == 0
    assert drawn.wait(5)
    assert list(work) == [1]


@pytest.mark.parametrize("where", ["drawing", "working"])
def test_what_is_raised_is_raised_in_its_place(where: str):
    def items() -> Iterator[int]:
        yield 0
        yield 1
        if where == "drawing":
            raise ValueError("two")
        yield 2
        yield 3

    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    results = ahead(items(), work, threads=2, depth=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert list(results) == []


def test_closing_it_ends_the_threads_and_closes_the_items():
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    before = threading.active_count()
    results = ahead(items(), lambda n: n, threads=3, depth=5)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before
    assert closed == [True]
