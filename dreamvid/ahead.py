"""Work done ahead on threads, while whoever needs the results is busy with the last one."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def ahead(
    items: Iterable[T], work: Callable[[T], U], threads: int, depth: int
) -> Generator[U, None, None]:
    """Does work on each item, in their order, some of it before the result is asked for.

    Args:
      items: Drawn one after the other, on a thread of their own.
      work: Done on `threads` threads.
      threads: How many, at least 1.
      depth: Items that are waited for at a time, at least 1: besides what was yielded last, no
        more are in memory.

    Yields:
      The results, in the order of the items. What drawing an item or its work raises, is raised in
      its place. Closing the generator ends the threads and closes `items`.
    """
    source = iter(items)

    def draw() -> tuple[T, ...]:
        for item in source:
            return (item,)
        return ()

    def do(drawn: Future[tuple[T, ...]]) -> tuple[U, ...]:
        return tuple(work(item) for item in drawn.result())

    with ExitStack() as stack:
        stack.callback(getattr(source, "close", tuple))
        pools = []
        for size in (1, threads):  # a single one draws, so that the items keep their order
            pool = ThreadPoolExecutor(size)
            stack.callback(pool.shutdown, cancel_futures=True)
            pools.append(pool)
        drawing, working = pools
        results = deque(working.submit(do, drawing.submit(draw)) for _ in range(depth))
        while result := results.popleft().result():
            results.append(working.submit(do, drawing.submit(draw)))
            yield result[0]
