"""Progress of a long job: a bar on a terminal, plain lines in a pipe. All on standard error."""

import contextlib
import sys
import time
from pathlib import Path

from dreamvid.cli import signals

QUIET_SECONDS = 5.0
"""Least time between two plain lines."""


class Progress:
    """Shows how a render goes on; a context manager, and a `dreamvid.render.Watcher`."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._done = self._made = 0
        self._began = self._told = 0.0
        self._bar: _Bar | None = None
        self._warned = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._hide()

    @property
    def stop_asked(self) -> bool:
        """Whether a signal has come."""
        if signals.asked_to_stop() and not self._warned:
            self._warned = True
            _say("stopping after this frame; once more to stop at once")
        return self._warned

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """Says what is being done; the first frame may take a while to compile."""
        signals.check()
        self._hide()
        self._total, self._done, self._made, self._told = total, done, 0, 0.0
        if done:
            task += f", from frame {done} on"
        if _on_a_terminal():
            self._bar = _Bar(task, total, done)
        else:
            _say(task)

    def advance(self) -> None:
        """Another frame is finished."""
        signals.check()
        now = time.monotonic()
        if self._made == 0:
            # The first frame waited for the compiler, which would spoil the rate.
            self._began = now
        self._made += 1
        self._done += 1
        of = "" if self._total is None else f" of {self._total}"
        line = f"{self._done}{of} frames{self._pace(now - self._began)}"
        if self._bar:
            self._bar.show(self._done, line)
        elif self._total != 1 and (
            now - self._told > QUIET_SECONDS or self._made == 1 or self._done == self._total
        ):
            self._told = now
            _say(line)

    def made(self, output: Path) -> None:
        """Prints the name of a finished file."""
        self._hide()
        print(output, flush=True)

    def _hide(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _pace(self, seconds: float) -> str:
        if self._made < 2 or seconds <= 0:
            return ""
        rate = (self._made - 1) / seconds
        if self._total is None:
            return f", {rate:.2f} frames/s"
        left = round((self._total - self._done) / rate)
        return f", {rate:.2f} frames/s, {left // 60}:{left % 60:02d} left"


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()


def _say(line: str) -> None:
    # A render goes on where nobody can hear of it.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, task: str, total: int | None, done: int):
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}")
        self._rich = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._rich.add_task(task, total=total, completed=done)
        self._rich.start()
        self.stop = self._rich.stop

    def show(self, done: int, line: str) -> None:
        self._rich.update(self._task, completed=done, description=line)
