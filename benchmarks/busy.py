"""How busy the device is while a film is dreamed: python benchmarks/busy.py FILM [OPTION VALUE ...]

Dreams a film as `dreamvid video` does, options included, into a folder of its own, with JAX's
profiler at work after the first frames, and prints JSON: the share of the time in which the device
computed, frames a second, and the hardware. Without an accelerator the "device" is XLA's own
threads on the CPU, at least one of them at work.
"""

import contextlib
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax

from dreamvid.plan import plan_clip
from dreamvid.recipe import VIDEO
from dreamvid.render import render_clip

SKIPPED = 5
"""Frames that are not counted, in which programs are compiled."""


class Trace:
    """Watches a render and traces it."""

    stop_asked = False

    def __init__(self, folder: Path):
        self._folder = folder
        self.frames = 0
        self.seconds = 0.0
        self._began = 0.0

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """A file is being encoded after all frames: the trace is over by then."""
        if self.frames:
            self.end()

    def advance(self) -> None:
        """Another frame is finished."""
        if self.seconds:
            return
        self.frames += 1
        if self.frames == SKIPPED:
            jax.profiler.start_trace(str(self._folder))
            self._began = time.perf_counter()

    def made(self, output: Path) -> None:
        """The file is finished."""

    def end(self) -> None:
        """Writes the trace, once."""
        if self._began and not self.seconds:
            self.seconds = time.perf_counter() - self._began
            self.frames -= SKIPPED
            jax.profiler.stop_trace()


def read_spans(folder: Path) -> Iterator[tuple[float, float]]:
    """(beginning, end) in microseconds of whatever the device has computed."""
    (path,) = folder.rglob("*.trace.json.gz")
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    names: dict[tuple, str] = {}
    for event in events:
        if event.get("ph") == "M" and event["name"] in ("process_name", "thread_name"):
            key = (
                (event["pid"],) if event["name"] == "process_name" else (event["pid"], event["tid"])
            )
            names[key] = event["args"]["name"]
    for event in events:
        if event.get("ph") != "X":
            continue
        process = names.get((event["pid"],), "")
        thread = names.get((event["pid"], event["tid"]), "")
        if process.startswith(("/device:GPU", "/device:TPU")) or "XLA" in thread:
            yield event["ts"], event["ts"] + event["dur"]


def covered(spans: Iterator[tuple[float, float]]) -> float:
    """Seconds in which at least one span lies."""
    total, reached = 0.0, -1.0
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total / 1e6


def main() -> None:
    """Runs it."""
    film, *words = sys.argv[1:]
    changes = dict(zip(words[::2], words[1::2], strict=True))
    recipe = replace(VIDEO, source=film).change(changes)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plan = plan_clip(recipe, folder / "out.mp4")
        trace = Trace(folder)
        render_clip(plan, trace)
        device = jax.devices()[0]
        result = {
            "busy": round(covered(read_spans(folder)) / trace.seconds, 4),
            "frames_per_second": round(trace.frames / trace.seconds, 3),
            "frames": trace.frames,
            "size": str(plan.size),
            "layers": plan.recipe.layers,
            "device": f"{device.platform} {device.device_kind}",
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
