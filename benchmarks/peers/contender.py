"""A contender, as the parent sees it: how it did, and its process."""

import json
import os
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE = 900.0
"""Seconds for an answer: programs are compiled on the way to it."""
GRADIENT_LIMIT = 1e-3
"""max|error| / max|ours| that the gradient may have on one of VIEWS parts of the picture.

Where rounding tips one unit over its threshold it is more, and in a whole picture there is always
such a unit, even between ours and ours with noise."""
STEP_LIMIT = 1e-2
"""Mean difference of two pictures after a step, over the mean change that ours made."""
VIEWS = 20
"""Parts that gradients are compared on at most."""


class NotRunError(Exception):
    """Why a contender cannot run, in a line."""


@dataclass
class Contender:
    """One way to dream, and how it did."""

    name: str
    script: str
    python: str | None
    """Its interpreter; None where none was named."""
    variant: str = ""
    objective: str = "energy"
    """What it differentiates: half the mean square of the layer, or its "mean"."""
    rule: str = "classic"
    """By whose rule it steps, as `Ours.dream` names it."""
    wanted: float | None = None
    """The ratio that is aimed at."""
    not_run: str = ""
    """Why not; empty where it was."""
    versions: dict[str, str] = field(default_factory=dict)
    gradient_apart: float | None = None
    """The least max|error| / max|ours| over the parts."""
    views: int = 0
    """How many it took."""
    whole_apart: float | None = None
    """max|error| / max|ours| on the whole picture."""
    step_apart: float | None = None
    """As STEP_LIMIT has it."""
    dream_apart: float | None = None
    """The same of the picture after ten steps, in which rounding has grown."""
    seconds: list[float] = field(default_factory=list)
    """Of each round's burst."""
    loaded: int = 0
    """Bytes in memory before the first step."""
    peak: int = 0
    """The most bytes in memory, compiling included."""

    @property
    def agrees(self) -> bool:
        """Whether what it computes is what we do."""
        apart = ((self.gradient_apart, GRADIENT_LIMIT), (self.step_apart, STEP_LIMIT))
        return all(found is not None and found <= limit for found, limit in apart)


class Process:
    """A contender's process."""

    def __init__(self, contender: Contender, task: dict[str, Any]):
        if contender.python is None:
            raise NotRunError("not named on the command line")
        self._log = Path(task["folder"]) / f"{contender.name}.log"
        counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        setting = dict.fromkeys(counts, str(task["threads"])) | {
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TORCHINDUCTOR_CACHE_DIR": f"{task['folder']}/inductor",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        told = json.dumps(task | {"variant": contender.variant})
        with self._log.open("w") as log:
            try:
                self._process = subprocess.Popen(
                    [contender.python, HERE / contender.script, told],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=os.environ | setting,
                )
            except OSError as error:
                raise NotRunError(f"{contender.python}: {error.strerror}") from None

    def ask(self, *words: str) -> dict[str, Any]:
        """Its answer to a line; raises NotRunError where it has none."""
        pipes = self._process
        assert pipes.stdin
        assert pipes.stdout
        try:
            pipes.stdin.write(" ".join(words) + "\n")
            pipes.stdin.flush()
        except BrokenPipeError:
            raise NotRunError(self._last_words()) from None
        if not select.select([pipes.stdout], [], [], PATIENCE)[0]:
            raise NotRunError(f"no answer to {words[0]!r} in {PATIENCE:.0f} s")
        line = pipes.stdout.readline()
        if not line:
            raise NotRunError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise NotRunError(answer["error"])
        return answer

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
        return said[:200] or f"ended with status {self._process.wait()}"
