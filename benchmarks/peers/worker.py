"""What every contender's process does: it builds its network, and then answers the parent.

Standard library and NumPy only, because every framework's environment runs this file. The parent
writes a line, for example "steps 10" or "gradient FILE 0", and gets a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

STEPS = 10
"""Of a burst."""
RATE, JITTER = 1.5, 32
"""Of the classic step: 8-bit levels, and pixels."""
PART = (96, 128)
"""Height and width of the parts of the picture that gradients are compared on."""
SEED = 0
"""Of the shifts that pytorch-deepdream draws."""


@dataclass(frozen=True)
class Task:
    """What a contender is to do."""

    folder: str
    """Of what all of them work with: see `picture`, `shifts` and `weights`."""
    checkpoint: str
    """The state dict that the weights are from."""
    layer: str
    """Where the network ends, by dreamvid's name of it."""
    name: str
    """What torchvision and pytorch-deepdream call the layer."""
    threads: int
    variant: str
    """Which way to run the network, or a folder to run from."""

    @property
    def picture(self) -> np.ndarray:
        """What every burst begins with: float32 (h, w, 3), RGB in [0, 1]."""
        return np.load(Path(self.folder) / "picture.npy")

    def view(self, number: int) -> np.ndarray:
        """One of many pictures that gradients are compared on: 0 is the whole, others are parts."""
        if number == 0:
            return self.picture
        moved = np.roll(self.picture, (37 * number, 61 * number), (0, 1))
        return np.ascontiguousarray(moved[: PART[0], : PART[1]])

    @property
    def shifts(self) -> list[tuple[int, int]]:
        """Of each step: (rows, columns)."""
        return [(int(y), int(x)) for y, x in np.load(Path(self.folder) / "shifts.npy")]

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The folded ones, "<layer>/<branch>/kernel" (HWIO) and "/bias"; "mean" and "scale" of
        what the network sees, (255 * RGB - mean) * scale."""
        with np.load(Path(self.folder) / "weights.npz") as file:
            return dict(file)


class Contender(Protocol):
    """One way to dream."""

    versions: dict[str, str]
    """Of what it runs on, and whatever else is to be known."""

    def burst(self, count: int) -> None:
        """Takes some steps, at most STEPS, from the task's picture on."""
        ...

    def gradient(self, number: int) -> ArrayLike:
        """Of its objective by one of the task's views: float32 (h, w, 3), by RGB in [0, 1]."""
        ...

    def dreamed(self) -> ArrayLike:
        """The picture that the last burst has made: float32 (h, w, 3), RGB in [0, 1]."""
        ...


def serve(build: Callable[[Task], Contender]) -> None:
    """Builds a contender as the command line says, and answers until the parent hangs up."""
    # Frameworks print; whatever they say goes to the log.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    told = json.loads(sys.argv[1])
    task = Task(**told)
    contender = None
    for line in sys.stdin:
        try:
            contender = contender or build(task)
            found = _answer(contender, Path(task.folder), *line.split())
        except (Exception, SystemExit) as error:  # whatever it is, the others go on
            said = str(error).strip().splitlines() or [""]
            found = {"error": f"{type(error).__name__}: {said[0][:200]}"}
        print(json.dumps(found), file=answers)


def _answer(contender: Contender, folder: Path, what: str, *words: str) -> dict[str, Any]:
    if what == "versions":
        return contender.versions
    if what == "memory":
        return memory()
    if what == "steps":
        began = time.perf_counter()
        contender.burst(int(words[0]))
        return {"seconds": time.perf_counter() - began}
    name, *rest = words
    values = (int(word) if word.isdecimal() else word for word in rest)
    np.save(folder / name, np.asarray(getattr(contender, what)(*values), np.float32))
    return {}


def seeded_shifts() -> np.ndarray:
    """The shifts that pytorch-deepdream draws after SEED: (STEPS, 2), rows and columns."""
    return np.random.RandomState(SEED).randint(-JITTER, JITTER + 1, (STEPS, 2))


def memory() -> dict[str, int]:
    """Bytes of this process that are in memory, and the most that ever were."""
    lines = Path("/proc/self/status").read_text().splitlines()
    known = dict(line.split(":", 1) for line in lines)
    return {
        "resident": int(known["VmRSS"].split()[0]) << 10,
        "peak": int(known["VmHWM"].split()[0]) << 10,
    }
