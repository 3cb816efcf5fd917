"""What a schedule may refer to beyond its own text: the clip, its sound, and tables in files."""

import csv
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamvid.registry import unknown_name


@dataclass(frozen=True)
class Scope:
    """What a text may refer to. Keep one for a clip: the files that it names are read once.

    Args:
      length: Of the clip, in ticks; infinite where it never ends.
      fps: Ticks a second.
      seed: The value of s.
      signals: By name, float64 (ticks,): linear between ticks, the last value held.
      folder: Where csv() looks for its files.
    """

    length: float = math.inf
    fps: float = 30.0
    seed: int = 0
    signals: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    folder: Path = Path()
    _columns: dict[Any, np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def signal(self, name: str) -> np.ndarray:
        """What audio(name) knows.

        Raises:
          ValueError: There is no such signal.
        """
        if not self.signals:
            raise ValueError(f"audio({name!r}) needs a sound: give one with --audio")
        if name not in self.signals:
            known = f"There are: {', '.join(self.signals)}"
            raise ValueError(str(unknown_name("audio signal", short(name), self.signals, known)))
        return self.signals[name]

    def column(self, name: str, column: str | int | None = None) -> np.ndarray:
        """What csv(name, column) reads.

        Raises:
          ValueError: It cannot be read.
        """
        if (name, column) not in self._columns:
            self._columns[name, column] = read_column(self.folder / name, column)
        return self._columns[name, column]

    def digest(self) -> str:
        """The sha256 of all that was read of tables so far; empty where nothing was."""
        if not self._columns:
            return ""
        total = hashlib.sha256()
        for key in sorted(self._columns, key=str):
            total.update(str(key).encode() + self._columns[key].tobytes())
        return total.hexdigest()


_LARGEST_CSV = 16 * 2**20


def read_column(path: Path, column: str | int | None) -> np.ndarray:
    """A column of numbers, float64 (rows,): by name, counted from 1, or the first with numbers.

    Raises:
      ValueError: There is none, in one line.
    """
    try:
        if not path.is_file():
            raise ValueError(f"there is no file at {path}: check the path")
        if path.stat().st_size > _LARGEST_CSV:
            raise ValueError(f"{path} is larger than 16 MiB: keep only the column that is needed")
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=delimiter) if "".join(row).strip()]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} cannot be read: {reason}") from None
    titled = bool(rows) and not any(map(_is_number, rows[0]))
    header = [cell.strip() for cell in rows[0]] if titled else []
    rows = rows[titled:]
    numeric = [k for k, cell in enumerate(rows[0]) if _is_number(cell)] if rows else []
    if not numeric:
        raise ValueError(f"{path} holds no numbers: write a value a tick, one in each row")
    if isinstance(column, str):
        if column not in header:
            known = f"Its columns: {short(', '.join(header)) or 'without names'}"
            raise ValueError(str(unknown_name("column", short(column), header, known, path.name)))
        place = header.index(column)
    else:
        place = numeric[0] if column is None else column - 1
        if not 0 <= place < len(rows[0]):
            raise ValueError(f"{path} has columns 1 to {len(rows[0])}, not {column}")
    cells = [row[place] if place < len(row) else "" for row in rows]
    for number, cell in enumerate(cells, 1 + titled):
        if not _is_number(cell) or not math.isfinite(float(cell)):
            raise ValueError(f"{path}, row {number}: {short(cell)!r} is not a finite number")
    return np.array(cells, np.float64)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def short(text: str, most: int = 40) -> str:
    """A user's text as an error quotes it, in 40 characters at most, or so many."""
    return text if len(text) <= most else text[: most - 1] + "…"
