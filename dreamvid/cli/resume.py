"""dreamvid resume: goes on with a render that was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from dreamvid.cli.flags import Keep


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN_FOLDER", help="Such as out.mp4.run, beside the output.")
    ],
    *,
    finish: Annotated[
        bool, typer.Option("--finish", help="Make no more frames: encode those there are.")
    ] = False,
    keep: Keep = False,
) -> None:
    """Go on with a render that was stopped, from the last frame that is safe."""
    from dreamvid.cli.progress import Survey
    from dreamvid.cli.work import run
    from dreamvid.plan import plan_of
    from dreamvid.render import finish_clip, render_clip

    with Survey() as survey:
        plan = plan_of(folder, dreaming=not finish, watch=survey.looked)
    if finish:
        run(lambda watcher: finish_clip(plan, watcher))
    else:
        run(lambda watcher: render_clip(plan, watcher, keep))


command.__name__ = "resume"
