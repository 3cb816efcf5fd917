"""Progress of a long job: a bar on a terminal, plain lines in a pipe. All on standard error."""

import contextlib
import sys
import time

from dreamvid.cli import signals

QUIET_SECONDS = 5.0
"""Least time between two plain lines."""


class Progress:
    """Shows how many frames of a render are finished; a context manager.

    Args:
      total: The number of frames.
    """

    def __init__(self, total: int):
        self._total = total
        self._done = 0
        self._began = self._told = 0.0
        self._bar: _Bar | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, task: str) -> None:
        """Says what is being done; the first frame may take a while to compile."""
        signals.check()
        if _on_a_terminal():
            self._bar = _Bar(f"{task}, compiling", self._total)
        else:
            _say(task)

    def advance(self) -> None:
        """Another frame is finished."""
        signals.check()
        now = time.monotonic()
        if self._done == 0:
            # The first frame waited for the compiler, which would spoil the rate.
            self._began = now
        self._done += 1
        line = f"{self._done} of {self._total} frames{self._pace(now - self._began)}"
        if self._bar:
            self._bar.show(self._done, line)
        elif self._total > 1 and (
            now - self._told > QUIET_SECONDS or self._done in (1, self._total)
        ):
            self._told = now
            _say(line)

    def _pace(self, seconds: float) -> str:
        if self._done < 2 or seconds <= 0:
            return ""
        rate = (self._done - 1) / seconds
        left = round((self._total - self._done) / rate)
        return f", {rate:.2f} frames/s, {left // 60}:{left % 60:02d} left"


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()


def _say(line: str) -> None:
    # A render goes on where nobody can hear of it.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, task: str, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}")
        self._rich = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._rich.add_task(task, total=total)
        self._rich.start()
        self.stop = self._rich.stop

    def show(self, done: int, line: str) -> None:
        self._rich.update(self._task, completed=done, description=line)
