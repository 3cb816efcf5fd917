"""Kills a small render at moments drawn over its whole run, and compares what it ends with.

    python benchmarks/crashes.py --kills 20

Each render is killed once (SIGKILL), then the same command is given until it is done; its frames
must be those of a render that nothing befell, bit for bit. Prints a table, and all of it as JSON.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from dreamvid.journal import run_folder
from dreamvid.media.clips import read_frames

OUTPUT = Path("out.mkv")  # FFV1: lossless
QUICK = ("--layer", "mixed3a", "--steps", "1", "--octaves", "2", "--size", "96x64")


@dataclass
class Death:
    """A render that was killed, and what became of it."""

    moment: float
    """Seconds from its start."""
    stage: str
    """Its last words."""
    segments: int
    """Closed ones that it left."""
    runs: int
    """After it, until the clip was there."""
    seconds: float
    """That those took."""
    identical: bool
    left_over: list[str]
    """Files beside the clip at the end."""


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    words = [sys.executable, "-m", "dreamvid", "zoom", "-o", str(OUTPUT), *QUICK]
    words += ["--frames", str(chosen.frames)]
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        whole = _live(words, _made(scratch, "whole"))
        span = time.monotonic() - began
        draw = random.Random(chosen.seed)
        moments = sorted(draw.uniform(0, span) for _ in range(chosen.kills))
        print(f"{chosen.frames} frames, uninterrupted in {span:.1f} s")
        print("killed at  segments  runs  more s  same  left  last words")
        deaths = []
        for number, moment in enumerate(moments):
            death = _die(words, _made(scratch, str(number)), moment, whole)
            deaths.append(death)
            same, left = "yes" if death.identical else "NO", len(death.left_over)
            counts = f"{death.segments:>10}  {death.runs:>4}  {death.seconds:>6.1f}"
            print(f"{moment:>8.2f}s{counts}  {same:<4}  {left:>4}  {death.stage}", flush=True)
    print(json.dumps({"seconds": span, "deaths": [asdict(death) for death in deaths]}))
    sys.exit(not all(death.identical for death in deaths))


def _made(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder


def _live(words: list[str], folder: Path) -> list[str]:
    """A digest of each frame of the clip that the command makes."""
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return _digests(folder / OUTPUT)


def _digests(clip: Path) -> list[str]:
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in read_frames(clip)]


def _die(words: list[str], folder: Path, moment: float, whole: list[str]) -> Death:
    with (folder / "words").open("w+") as said:
        process = subprocess.Popen(words, cwd=folder, stdout=said, stderr=said)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.seek(0)
        stage = ([*said.read().splitlines()] or ["(starting)"])[-1]
    (folder / "words").unlink()
    run = run_folder(folder / OUTPUT)
    segments = len(list(run.glob("*-*.nut")))
    began, runs = time.monotonic(), 0
    # It may have been quicker than the first.
    done = (folder / OUTPUT).exists() and not run.exists()
    frames = _digests(folder / OUTPUT) if done else None
    while frames is None:
        runs += 1
        try:
            frames = _live(words, folder)
        except subprocess.CalledProcessError:
            if runs == 3:
                frames = []
    seconds = time.monotonic() - began
    left = sorted(path.name for path in folder.iterdir() if path.name != OUTPUT.name)
    return Death(moment, stage, segments, runs, seconds, frames == whole, left)


if __name__ == "__main__":
    main()
