"""Clips encoded on a thread of their own, while later frames of them are still being dreamed."""

import itertools
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from dreamvid.errors import DreamError, Stopped
from dreamvid.journal import Journal
from dreamvid.media.sinks import open_sink
from dreamvid.plan import Plan, is_from
from dreamvid.types import Watcher

log = logging.getLogger(__name__)

NEAR = 1 << 27
"""Bytes of pictures that wait to be encoded; those beyond are read from the journal later."""


class Encoder:
    """Encodes the frames of a run into a file; a context manager, which gives up the unfinished.

    Whoever makes the frames never waits for it: those that come too fast are taken from the journal
    once they are safe there. Should it fail, which is logged, frames can still be made and kept;
    `finish` tells.
    """

    def __init__(self, plan: Plan, journal: Journal, output: Path, *order: range):
        """Begins with the frames that are there.

        Args:
          plan: Of the run.
          journal: Of the run, where each frame is or will be.
          output: The file.
          order: The numbers of its frames, as they follow each other.
        """
        self._plan, self._journal = plan, journal
        self._output, self._order = output, order
        self._total = sum(map(len, order))
        self._news = threading.Condition()  # held by whoever uses what follows
        self._near: dict[int, np.ndarray] = {}
        self._next = 0
        self._safe = -1
        self._encoded = 0
        self._awaited = self._wanted = self._given_up = False
        self._failure: BaseException | None = None
        self._look()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._given_up = True
            self._news.notify_all()
        self._thread.join()

    def offer(self, number: int, picture: np.ndarray | None) -> None:
        """Tells of a frame that the journal has been given.

        Args:
          number: Its place in the clip.
          picture: The frame, uint8 or uint16 (h, w, 3); None where it is not part of the clip.
        """
        with self._news:
            if picture is not None:
                room = max(NEAR // picture.nbytes, 1)
                if self._next <= number < self._next + room:
                    self._near[number] = picture
            self._look()

    def finish(self, watcher: Watcher) -> None:
        """Waits for the file, all of whose frames are safe in the journal.

        Args:
          watcher: Told of each frame, also of those that were encoded long before.

        Raises:
          DreamError: It cannot be written.
          Stopped: The watcher asked for it.
        """
        watcher.begin(f"encoding {self._output.name}", self._total)
        with self._news:
            # What the journal lacks now it lacks for good, and will say so.
            self._awaited, self._safe = True, sys.maxsize
            self._news.notify_all()
        for count in range(1, self._total + 1):
            with self._news:
                while self._encoded < count and not self._failure:
                    self._news.wait()
                if self._encoded < count:
                    break
            watcher.advance()
            if watcher.stop_asked:
                raise stopped("while encoding, all frames are safe", self._journal)
        with self._news:
            self._wanted = True
            self._news.notify_all()
        self._thread.join()
        if self._failure:
            raise self._failure
        watcher.made(self._output)

    def _look(self) -> None:
        """Finds what has become safe."""
        with self._news:
            self._safe = self._journal.carry.index if self._journal.carry else -1
            self._news.notify_all()

    def _work(self) -> None:
        plan = self._plan
        try:
            with open_sink(
                self._output,
                plan.showing(self._total),
                plan.settings,
                plan.recipe.output,
                plan.run.overwrite or is_from(self._output, plan.settings),
                owner=str(self._journal.folder.absolute()),
            ) as sink:
                for picture in itertools.chain(*map(self._pictures, self._order)):
                    sink.write(picture)
                    self._count()
                # A run that is stopped just now shall leave no file.
                self._wait_until(lambda: self._wanted)
        except BaseException as failure:  # raised again where the file is waited for
            with self._news:
                self._failure = failure
                if isinstance(failure, DreamError) and not self._awaited:
                    told = "%s. What is dreamed is kept, and can be encoded by the same command"
                    log.warning(told, str(failure).rstrip("."))
                self._news.notify_all()

    def _count(self) -> None:
        with self._news:
            self._encoded += 1
            self._news.notify_all()
            if self._given_up:
                raise _GivenUpError

    def _pictures(self, numbers: range) -> Iterator[np.ndarray]:
        """The frames of these numbers, each once it is there."""
        if numbers.step < 0:
            self._wait_until(lambda: self._safe >= numbers.start)
            yield from self._journal.pictures(numbers.stop + 1, numbers.start + 1, reverse=True)
            return
        number = numbers.start
        while number < numbers.stop:
            picture, safe = self._wait_for(number)
            if picture is None:
                stop = min(safe + 1, numbers.stop)
                yield from self._journal.pictures(number, stop)
                number = stop
            else:
                yield picture
                number += 1

    def _wait_for(self, number: int) -> tuple[np.ndarray | None, int]:
        """A frame, where it is near, and the last one that is safe: that or a later one, if not."""
        with self._news:
            self._next = number
            self._near = {at: picture for at, picture in self._near.items() if at >= number}
            self._wait_until(lambda: number in self._near or self._safe >= number)
            return self._near.pop(number, None), self._safe

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        with self._news:
            self._news.wait_for(lambda: self._given_up or ready())
            if self._given_up:
                raise _GivenUpError


class _GivenUpError(Exception):
    """Nobody waits for the file any more."""


def stopped(how: str, journal: Journal) -> Stopped:
    """What tells that a run was stopped, and how to go on."""
    return Stopped(f"stopped {how}; go on with: dreamvid resume {journal.folder}")
