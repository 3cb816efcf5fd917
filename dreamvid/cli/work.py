"""What the commands that render have in common."""

from collections.abc import Callable
from pathlib import Path

from dreamvid.cli import signals
from dreamvid.cli.progress import Progress, Survey, say
from dreamvid.errors import OptionError, Stopped
from dreamvid.recipe import Recipe


def make(
    recipe: Recipe,
    output: Path,
    overwrite: bool,
    keep: bool = False,
    motion_only: bool = False,
    dry_run: bool = False,
) -> None:
    """Makes what a recipe says, or tells what would be done."""
    from dreamvid.plan import plan_clip, plan_still
    from dreamvid.render import render_clip, render_still

    if recipe.kind == "image":
        if motion_only:
            raise OptionError("--motion-only", "is for clips: a still does not move")
        still = plan_still(recipe, output, overwrite)
        if dry_run:
            print(still.task)
            return
        with Progress() as progress:
            render_still(still, progress)
        return
    with Survey() as survey:
        plan = plan_clip(recipe, output, overwrite, motion_only, watch=survey.looked)
    if dry_run:
        from dreamvid.cli.forecast import forecast

        print(forecast(plan))
        return
    for note in plan.notes:
        say(note)
    run(lambda watcher: render_clip(plan, watcher, keep))


def run(work: Callable[[Progress], None]) -> None:
    """Does work that can be stopped after a frame and gone on with."""
    with Progress() as progress, signals.patience():
        try:
            work(progress)
        except KeyboardInterrupt:
            how = "interrupted at once; the same command goes on from the last safe frame"
            raise Stopped(how) from None
