"""dreamvid train: a network of one's own, from a folder of pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dreamvid.cli.flags import Overwrite, output, with_group
from dreamvid.training.options import Training

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with a folder of pictures for each class; or a folder of pictures, to learn "
        "without classes.",
        show_default=False,
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--from", help="Train this network further: builtin, or a file of train's own."),
]
Folds = Annotated[
    int,
    typer.Option(
        min=0,
        max=100,
        help="Cross-validate: train so many networks, check each by other pictures, and write a "
        "table (.csv) instead of a network.",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        help="Take the options from a recipe: a file, train-builtin or train-builtin-on.",
        metavar="<name>",
    ),
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Keep the run folder with the checkpoints when done.")
]


@with_group(Training(), "Training")
def command(
    changes: dict[str, Any],
    *,
    data: Data,
    output: output("The network to make: .safetensors."),  # type: ignore[valid-type]
    start: Start = None,
    recipe: Recipe = None,
    folds: Folds = 0,
    overwrite: Overwrite = False,
    keep: Keep = False,
) -> None:
    """Train a network to dream with on a folder of pictures; an interrupted one goes on.

    Curves of how it learned are written beside the network, as a table and as a picture.
    """
    import shutil

    from dreamvid.cli.progress import Progress, say
    from dreamvid.kept import open_run
    from dreamvid.training.plans import plan_training
    from dreamvid.training.recipe import read_training
    from dreamvid.training.run import train

    training = Training(**{**(read_training(recipe) if recipe else {}), **changes})
    plan = plan_training(data, output, training, start=start, folds=folds, overwrite=overwrite)
    for line in plan.skipped[:3]:
        say(f"skipped: {line}")
    if plan.skipped:
        say(f"{len(plan.skipped)} skipped, {len(plan.pictures)} pictures used")
    with (
        open_run(plan.folder, plan.about, overwrite, "training") as kept,
        Progress("steps") as progress,
    ):
        train(plan, kept, progress, say)
        if not keep:
            shutil.rmtree(kept.folder / "checkpoints")


command.__name__ = "train"
