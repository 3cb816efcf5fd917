"""Progress of downloads."""

import time

from dreamvid.cli import signals
from dreamvid.cli.progress import Display, say


class Transfers(Display):
    """Shows how downloads go on; a `dreamvid.checkpoints.downloads.Watcher`."""

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """Says what comes, and from where."""
        self.start(f"{task}{f', from {_megabytes(done)} on' if done else ''}", total, done)

    def advance(self, count: int) -> None:
        """So many more bytes are here."""
        signals.check()
        self.done += count
        self.fresh += count
        of = f" of {_megabytes(self.total)}" if self.total else ""
        rate = self.fresh / max(time.monotonic() - self.began, 1e-3)
        self.show(f"{_megabytes(self.done)}{of}, {_megabytes(rate)}/s")

    def say(self, line: str) -> None:
        """Says something that is no progress."""
        self.hide()
        say(line)


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
