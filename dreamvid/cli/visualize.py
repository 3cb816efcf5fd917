"""dreamvid visualize: pictures from noise, of what a network wants to see."""

from typing import Annotated, Any

import typer

from dreamvid.cli.flags import Network, Overwrite, output, with_group
from dreamvid.options import Visual

Wanted = Annotated[
    str,
    typer.Option(
        metavar="<objective>",
        help='What to see more of, such as "mixed4c:61 - 0.1*tv" (see: dreamvid layers '
        "--objectives).",
    ),
]
Variants = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Make so many, side by side. Add diversity to the objective to make them differ.",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Randomness; the same seed, the same picture.")
]


@with_group(Visual(), "Ascent")
def command(
    changes: dict[str, Any],
    *,
    objective: Wanted,
    output: output("The picture to make: .png, .jpg, .webp or .tiff."),  # type: ignore[valid-type]
    model: Network = "auto",
    variants: Variants = 1,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Find a picture from noise: what a layer, channel or class wants to see.

    Several variants become one picture, side by side. What is stopped begins anew.
    """
    import jax
    import numpy as np

    from dreamvid.aims import read_objective
    from dreamvid.checkpoints import store
    from dreamvid.cli.progress import Progress
    from dreamvid.fields import Size
    from dreamvid.media.stills import FORMATS, Picture, check_extent, write_picture
    from dreamvid.media.target import check_target
    from dreamvid.sheets import described
    from dreamvid.visualize import values, visualize

    options = Visual(**changes)
    check_target(output, FORMATS, overwrite)
    whole = Size(options.size.width * variants, options.size.height)
    check_extent(output, whole)
    name = store.resolve(model)
    network = store.load(name)
    wanted = [read_objective(objective, network)] * variants
    with Progress("steps") as progress:
        count = f"{variants} pictures" if variants > 1 else "a picture"
        progress.begin(f"finding {count} of {options.size} pixels for {objective}", options.steps)

        def watch(done: int) -> None:
            while progress.done < done:
                progress.advance()

        pictures = visualize(network, wanted, options, jax.random.key(seed), watch=watch)
        reached = np.asarray(values(network, wanted, pictures))
        about = {
            "objective": objective,
            "reached": " ".join(f"{value:.4g}" for value in reached),
            "model": f"{name} ({store.digest(name)})",
            **vars(options),
            "variants": variants,
            "seed": seed,
        }
        told = described("\n".join(f"{key}: {value}" for key, value in about.items()))
        side_by_side = np.concatenate(np.asarray(pictures), axis=1)
        write_picture(output, Picture(side_by_side), told, overwrite)
        progress.made(output)


command.__name__ = "visualize"
