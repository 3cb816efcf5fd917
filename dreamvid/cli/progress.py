"""Progress of a long job: a bar on a terminal, plain lines in a pipe. All on standard error."""

import sys
import time

QUIET_SECONDS = 5.0
"""Least time between two plain lines."""


class Progress:
    """Counts the finished parts of a job; a context manager."""

    def __init__(self, total: int, what: str):
        """Args: the number of parts, and what they are called, for example "frames"."""
        self._total, self._what = total, what
        self._done = 0
        self._began = self._told = time.monotonic()
        self._bar = _Bar(total) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self) -> None:
        """Another part is finished."""
        now = time.monotonic()
        if self._done == 0:
            # The first part waited for the compiler, which would spoil the rate.
            self._began = now
        self._done += 1
        line = f"{self._done} of {self._total} {self._what}{self._pace(now - self._began)}"
        if self._bar:
            self._bar.show(self._done, line)
        elif now - self._told > QUIET_SECONDS or self._done in (1, self._total):
            self._told = now
            print(line, file=sys.stderr, flush=True)

    def _pace(self, seconds: float) -> str:
        if self._done < 2:
            return ""
        rate = (self._done - 1) / seconds
        left = round((self._total - self._done) / rate)
        return f", {rate:.2f} {self._what}/s, {left // 60}:{left % 60:02d} left"


class _Bar:
    def __init__(self, total: int):
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}")
        self._rich = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._rich.add_task("compiling for the first frame", total=total)
        self.start, self.stop = self._rich.start, self._rich.stop

    def show(self, done: int, line: str) -> None:
        self._rich.update(self._task, completed=done, description=line)
