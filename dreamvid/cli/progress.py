"""Progress of a long job: a bar on a terminal, plain lines in a pipe. All on standard error."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Self

from dreamvid.cli import signals

QUIET_SECONDS = 5.0
"""Least time between two plain lines."""


def say(line: str) -> None:
    """Prints a line for people."""
    # Work goes on where nobody can hear of it.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class Display:
    """Shows how a count grows; a context manager."""

    def __init__(self) -> None:
        self.total: int | None = None
        """Where the count will end, if that is known."""
        self.done = 0
        """The count."""
        self.fresh = 0
        """What of it is new since the start."""
        self.began = self._told = 0.0
        self._bar: _Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def start(self, task: str, total: int | None, done: int) -> None:
        """Shows a new task."""
        self.hide()
        self.total, self.done, self.fresh = total, done, 0
        self.began = self._told = time.monotonic()
        if _on_a_terminal():
            self._bar = _Bar(task, total, done)
        else:
            say(task)

    def show(self, line: str, due: bool = False) -> None:
        """Shows the count.

        Args:
          line: What to say of it.
          due: Whether a plain line is printed even if the last one is not long ago.
        """
        now = time.monotonic()
        if self._bar:
            self._bar.show(self.done, line)
        elif self.total != 1 and (due or now - self._told > QUIET_SECONDS):
            self._told = now
            say(line)

    def hide(self) -> None:
        """Leaves the terminal to others."""
        if self._bar:
            self._bar.stop()
            self._bar = None


class Progress(Display):
    """Shows how a render goes on; a `dreamvid.types.Watcher`.

    Args:
      things: What is counted.
    """

    _warned = False

    def __init__(self, things: str = "frames"):
        super().__init__()
        self.things = things
        self._thing = things.removesuffix("s")

    @property
    def stop_asked(self) -> bool:
        """Whether a signal has come."""
        if signals.asked_to_stop() and not self._warned:
            self._warned = True
            say(f"stopping after this {self._thing}; once more to stop at once")
        return self._warned

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """Says what is being done; the first may take a while to compile."""
        signals.check()
        self.start(f"{task}{f', from {self._thing} {done} on' if done else ''}", total, done)

    def advance(self) -> None:
        """Another is finished."""
        signals.check()
        if self.fresh == 0:
            # The first waited for the compiler, which would spoil the rate.
            self.began = time.monotonic()
        self.fresh += 1
        self.done += 1
        of = "" if self.total is None else f" of {self.total}"
        line = f"{self.done}{of} {self.things}{self._pace(time.monotonic() - self.began)}"
        self.show(line, due=self.fresh == 1 or self.done == self.total)

    def made(self, output: Path) -> None:
        """Prints the name of a finished file."""
        self.hide()
        print(output, flush=True)

    def _pace(self, seconds: float) -> str:
        if self.fresh < 2 or seconds < 0.1:  # what was there already came in no time
            return ""
        rate = (self.fresh - 1) / seconds
        if self.total is None:
            return f", {rate:.2f} {self.things}/s"
        left = round((self.total - self.done) / rate)
        return f", {rate:.2f} {self.things}/s, {left // 60}:{left % 60:02d} left"


class Survey(Display):
    """Shows how a film is looked through; says nothing where there is none."""

    def looked(self, count: int) -> None:
        """So many pictures have been looked through."""
        signals.check()
        if not self.began:
            self.start("looking through the film", None, 0)
        self.done = count
        self.show(f"looked through {count} pictures")


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()


class _Bar:
    def __init__(self, task: str, total: int | None, done: int):
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False)
        self._rich = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._rich.add_task(task, total=total, completed=done)
        self._rich.start()
        self.stop = self._rich.stop

    def show(self, done: int, line: str) -> None:
        self._rich.update(self._task, completed=done, description=line)
