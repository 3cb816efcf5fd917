"""Side by side with other programs, in turns: the same network, weights, picture, size and steps.

    python benchmarks/peers.py CHECKPOINT.pth --torch PYTHON --tensorflow PYTHON --deepdream FOLDER

CHECKPOINT is a state dict of torchvision's GoogLeNet. Each contender is a process of its own, which
lives through all rounds; in each round all of them take a burst of ten steps, one after the other,
each from the same picture on. What a contender computes is compared with ours first, and no ratio
is told where the two differ. Prints what it finds, and with -o all of it as JSON. Linux only.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dreamvid.ascent import draw_shift
from dreamvid.checkpoints import foreign
from dreamvid.errors import DreamError
from dreamvid.fields import Size
from dreamvid.media.stills import fit, read_picture
from dreamvid.models import inception_v1
from dreamvid.paths import sha256_of

sys.path.insert(0, str(Path(__file__).parent / "peers"))

# isort: split
import report
import worker
from contender import GRADIENT_LIMIT, VIEWS, Contender, NotRunError, Process

jax.config.update("jax_platforms", "cpu")

HERE = Path(__file__).parent
PICTURE = HERE.parent / "samples" / "sky.jpg"
PAUSE = 0.3
"""Seconds before a burst, in which the threads of the one before come to rest."""

Running = list[tuple[Contender, Process]]
"""Those that run, ours first."""


def contenders(chosen: argparse.Namespace) -> list[Contender]:
    """All of them, ours first, whether they can run or not."""
    eager, tutorial = "torch_eager.py", "tensorflow_tutorial.py"
    checkout = str(chosen.deepdream.resolve()) if chosen.deepdream else ""
    theirs = Contender(
        "pytorch-deepdream",
        "pytorch_deepdream.py",
        chosen.torch if checkout else None,
        checkout,
        rule="pytorch-deepdream",
        wanted=2.5,
    )
    return [
        Contender("dreamvid", "ours.py", sys.executable),
        Contender("PyTorch, channels-last", eager, chosen.torch, "channels-last", wanted=1.0),
        Contender("PyTorch, channels-first", eager, chosen.torch, "channels-first", wanted=1.4),
        Contender("PyTorch, torch.compile", eager, chosen.torch, "compiled"),
        theirs,
        Contender(
            "TensorFlow's tutorial",
            tutorial,
            chosen.tensorflow,
            objective="mean",
            rule="tutorial",
        ),
    ]


def lay_out(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Writes what all contenders work with into a folder.

    Returns:
      The `worker.Task`, but for the variant.

    Raises:
      DreamError: The checkpoint or the layer is not one to compare on.
    """
    spec, tensors = foreign.read(chosen.checkpoint)
    if (spec.architecture, spec.family) != ("inception_v1", "torchvision"):
        raise DreamError(f"{chosen.checkpoint} is not torchvision's GoogLeNet: name one that is")
    if chosen.layer not in inception_v1.BLOCKS:
        blocks = ", ".join(inception_v1.BLOCKS)
        raise DreamError(f"--layer {chosen.layer} is no block of the network: {blocks}")
    constants = {name: np.array(getattr(spec, name), np.float32) for name in ("mean", "scale")}
    np.savez(folder / "weights.npz", **tensors, **constants)
    np.save(folder / "picture.npy", fit(read_picture(PICTURE).rgb, chosen.size))
    key = jax.random.key(worker.SEED)
    shifts = [draw_shift(key, index, worker.JITTER) for index in range(worker.STEPS)]
    np.save(folder / "shifts.npy", shifts)
    return {
        "folder": str(folder),
        "checkpoint": str(chosen.checkpoint.resolve()),
        "layer": chosen.layer,
        "name": inception_v1.NAMES["torchvision"][chosen.layer],
        "threads": chosen.threads,
    }


@contextmanager
def started(everyone: Sequence[Contender], task: dict[str, Any]) -> Iterator[Running]:
    """The processes of those that can run, each of which has taken a first burst of steps."""
    with ExitStack() as stack:
        running: Running = []
        for contender in everyone:
            print(f"starting {contender.name}", file=sys.stderr)
            try:
                process = Process(contender, task)
                stack.callback(process.close)
                contender.versions = process.ask("versions")
                contender.loaded = process.ask("memory")["resident"]
                process.ask("steps", str(worker.STEPS))
            except NotRunError as error:
                contender.not_run = str(error)
            else:
                running.append((contender, process))
        yield running


def take_rounds(running: Running, rounds: int) -> None:
    """Lets all of them take bursts in turn, each round beginning with another one."""
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        first = number % len(running)
        for contender, process in (*running[first:], *running[:first]):
            time.sleep(PAUSE)
            contender.seconds.append(process.ask("steps", str(worker.STEPS))["seconds"])
    for contender, process in running:
        contender.peak = process.ask("memory")["peak"]


def compare(running: Running, folder: Path) -> None:
    """Holds what each of them computes against ours, and ours against ours of a noisy picture."""
    ours = running[0][1]
    begun = np.load(folder / "picture.npy")

    def fetch(process: Process, what: str, *words: object) -> np.ndarray:
        process.ask(what, "found.npy", *map(str, words))
        return np.load(folder / "found.npy")

    def gradient(contender: Contender, process: Process, number: int) -> float:
        reference = fetch(ours, "gradient", number, contender.objective)
        noisy = ("energy", "noisy") if process is ours else ()
        found = fetch(process, "gradient", number, *noisy)
        return float(abs(found - reference).max() / abs(reference).max())

    def dream(contender: Contender, process: Process, count: int) -> float:
        reference = fetch(ours, "dream", contender.rule, count)
        if process is ours:
            found = fetch(ours, "dream", "noisy", count)
        else:
            process.ask("steps", str(count))
            found = fetch(process, "dreamed")
        return float(abs(found - reference).mean() / abs(reference - begun).mean())

    for one in running:
        contender, _ = one
        print(f"checking {contender.name}", file=sys.stderr)
        errors = []
        while len(errors) < VIEWS and min(errors, default=np.inf) > GRADIENT_LIMIT:
            errors.append(gradient(*one, len(errors) + 1))
        contender.gradient_apart, contender.views = min(errors), len(errors)
        contender.whole_apart = gradient(*one, 0)
        contender.step_apart = dream(*one, 1)
        contender.dream_apart = dream(*one, worker.STEPS)


def commit(folder: Path) -> str:
    """What a checkout is of, and whether its Python files are as they were committed."""
    git = ["git", "-C", str(folder)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "of unknown version"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"], check=False)
    told = "CHANGED" if changed.returncode else "unchanged"
    return f"commit {head.stdout.strip()}, its Python files {told}"


def hardware(threads: int) -> dict[str, Any]:
    """The computer."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": memory,
        "system": f"{platform.system()} {platform.machine()}",
    }


def main() -> int:
    """Runs it; 1 where a contender that ran differs from us."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="torchvision's GoogLeNet, a state dict")
    parser.add_argument("--torch", metavar="PYTHON", help="that has PyTorch and torchvision")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="that has TensorFlow and Keras")
    parser.add_argument("--deepdream", type=Path, metavar="FOLDER", help="its checkout")
    parser.add_argument("--size", type=Size.parse, default="640x360")
    parser.add_argument("--layer", default="mixed4c")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="renew RESULTS.md")
    parser.add_argument("-o", "--output", type=Path, help="for all of it, as JSON")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds: at least one")
    cores = sorted(os.sched_getaffinity(0))
    if not 1 <= chosen.threads <= len(cores):
        parser.error(f"--threads: 1 to {len(cores)} here")
    # What the contenders inherit: some of them ask for nothing else.
    os.sched_setaffinity(0, cores[: chosen.threads])
    everyone = contenders(chosen)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            task = lay_out(folder, chosen)
        except DreamError as error:
            parser.error(str(error))
        with started(everyone, task) as running:
            if not running or running[0][0] is not everyone[0]:
                parser.error(f"dreamvid itself: {everyone[0].not_run}")
            take_rounds(running, chosen.rounds)
            compare(running, folder)
    if chosen.deepdream and not everyone[4].not_run:
        everyone[4].versions["checkout"] = commit(chosen.deepdream)
    results = report.Results(
        date=datetime.now(UTC).date().isoformat(),
        hardware=hardware(chosen.threads) | {"load": [load, os.getloadavg()[0]]},
        size=str(chosen.size),
        layer=chosen.layer,
        checkpoint=f"{chosen.checkpoint.name}, SHA-256 {sha256_of(chosen.checkpoint)[:8]}",
        rounds=chosen.rounds,
        contenders=everyone,
    )
    print(report.in_short(results))
    if chosen.output:
        chosen.output.write_text(json.dumps(asdict(results), indent=1) + "\n")
    if chosen.record:
        (HERE / "RESULTS.md").write_text(report.in_full(results))
    return int(any(not c.agrees for c in everyone[1:] if not c.not_run))


if __name__ == "__main__":
    sys.exit(main())
