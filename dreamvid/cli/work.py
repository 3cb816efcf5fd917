"""What the commands that render have in common."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from dreamvid.cli import signals
from dreamvid.cli.progress import Progress, Survey, say
from dreamvid.errors import OptionError, Stopped
from dreamvid.recipe import Recipe

MOST_SEEDS = 256
"""That are made at once."""


def make(
    recipe: Recipe,
    output: Path,
    overwrite: bool,
    keep: bool = False,
    motion_only: bool = False,
    dry_run: bool = False,
    seeds: str | None = None,
) -> None:
    """Makes what a recipe says, or tells what would be done.

    Args:
      recipe: What to make.
      output: The file to make.
      overwrite: Whether what is there may be replaced.
      keep: Whether the run folder of a finished clip stays.
      motion_only: Whether the camera moves without dreaming.
      dry_run: Whether nothing is made.
      seeds: What --seeds says: several are made at once, a file for each.
    """
    if seeds is not None:
        _make_variants(recipe, output, read_seeds(seeds), overwrite, keep, motion_only, dry_run)
        return
    from dreamvid.plan import plan_clip, plan_still
    from dreamvid.render import render_clip, render_stills

    if recipe.kind == "image":
        if motion_only:
            raise OptionError("--motion-only", "is for clips: a still does not move")
        still = plan_still(recipe, output, overwrite)
        if dry_run:
            print(still.task)
            return
        with Progress() as progress:
            render_stills([still], progress)
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


def _make_variants(
    recipe: Recipe,
    output: Path,
    seeds: list[int],
    overwrite: bool,
    keep: bool,
    motion_only: bool,
    dry_run: bool,
) -> None:
    """Makes a recipe with several seeds at once."""
    from dreamvid.cli.forecast import forecast
    from dreamvid.plan import plan_clip, plan_still
    from dreamvid.render import render_stills, render_variants

    if recipe.kind == "video" or recipe.clip.frames is None:
        kind = "films" if recipe.kind == "video" else "endless clips"
        raise OptionError("--seeds", f"is for stills and for zooms that end, not for {kind}")
    if motion_only:
        raise OptionError("--motion-only", "moves the same with every seed: leave --seeds out")
    named = {seed: output.with_name(f"{output.stem}-seed{seed}{output.suffix}") for seed in seeds}
    recipes = {
        path: dataclasses.replace(recipe, general=dataclasses.replace(recipe.general, seed=seed))
        for seed, path in named.items()
    }
    if recipe.kind == "image":
        stills = [plan_still(one, path, overwrite) for path, one in recipes.items()]
        if dry_run:
            print("\n".join(f"{plan.output}: {plan.task}" for plan in stills))
            return
        with Progress() as progress:
            render_stills(stills, progress)
        return
    plans = [plan_clip(one, path, overwrite) for path, one in recipes.items()]
    if dry_run:
        print("\n\n".join(map(forecast, plans)))
        return
    run(lambda watcher: render_variants(plans, watcher, keep))


def read_seeds(text: str) -> list[int]:
    """The seeds in a text such as "1..16" or "3, 5, 9..12".

    Raises:
      OptionError: It is no such text, or names none or too many.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = (word.strip() for word in part.partition(".."))
        if not (first.isdecimal() and (last or first).isdecimal()) or (".." in part) > bool(last):
            raise OptionError("--seeds", f"is {text!r}: write it as 1..16, or as 3, 5, 9..12")
        low, high = int(first), int(last or first)
        if high - low >= MOST_SEEDS or high >= 2**32:
            raise OptionError("--seeds", f"is {text!r}: at most {MOST_SEEDS} seeds below 2**32")
        seeds |= dict.fromkeys(range(low, high + 1))
    if not 0 < len(seeds) <= MOST_SEEDS:
        raise OptionError("--seeds", f"is {text!r}: name 1 to {MOST_SEEDS} seeds")
    return list(seeds)
