"""Two thousand frames in a row: python benchmarks/endurance.py [FRAMES [SIZE]]

Renders a long zoom as `dreamvid zoom` does, and fails where memory grows or anything is compiled
after the first tenth of it. Prints JSON.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from dreamvid import machine

machine.use_huge_pages()
machine.prepare()

import jax  # noqa: E402

from dreamvid.fields import Size  # noqa: E402
from dreamvid.plan import plan_clip  # noqa: E402
from dreamvid.recipe import ZOOM  # noqa: E402
from dreamvid.render import render_clip  # noqa: E402

GROWTH = 0.05
"""Of the memory after a tenth of the frames: more at the end is a leak."""


class Guard:
    """Watches the memory of a render, and what it compiles."""

    stop_asked = False

    def __init__(self, frames: int):
        self.resident: list[int] = []
        self.compiled: list[int] = []
        self._frames = frames
        jax.monitoring.register_event_duration_secs_listener(self._count)

    def _count(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.compiled.append(len(self.resident))

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """The encoding of the file is not watched."""

    def advance(self) -> None:
        """Another frame is dreamed, or encoded."""
        if len(self.resident) < self._frames:
            self.resident.append(resident())

    def made(self, output: Path) -> None:
        """The file is finished."""


def resident() -> int:
    """Bytes of this process in memory, as Linux counts them."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main(frames: int = 2000, size: str = "320x180") -> None:
    """Renders and checks."""
    recipe = replace(ZOOM, clip=replace(ZOOM.clip, frames=frames, size=Size.parse(size)))
    with tempfile.TemporaryDirectory() as folder:
        guard = Guard(frames)
        render_clip(plan_clip(recipe, Path(folder) / "out.mp4"), guard)
    settled = frames // 10
    before, after = guard.resident[settled], max(guard.resident[-settled:])
    late = [frame for frame in guard.compiled if settled <= frame < frames]
    result = {
        "frames": len(guard.resident),
        "size": size,
        "resident_mb": {"settled": before >> 20, "end": after >> 20},
        "compiled": len(guard.compiled),
        "compiled_late": late,
    }
    print(json.dumps(result))
    assert not late, f"compiled at frames {late}"
    assert after <= before * (1 + GROWTH), f"memory grew from {before >> 20} to {after >> 20} MB"


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, str), sys.argv[1:], strict=False)))
