"""dreamvid visualize: pictures from noise, of what a network wants to see."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dreamvid.cli.flags import output
from dreamvid.errors import OptionError

if TYPE_CHECKING:
    from dreamvid.fields import Size

Wanted = Annotated[
    str,
    typer.Option(
        metavar="<objective>",
        help='What to see more of, such as "mixed4c:61 - 0.1*tv" (see: dreamvid layers '
        "--objectives).",
    ),
]
Network = Annotated[
    str, typer.Option("--model", help="Network: a name (see: dreamvid weights list), or a file.")
]
Extent = Annotated[
    str, typer.Option(metavar="<size>", help="Pixels of a side, or width x height: 320x180.")
]
Variants = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Make so many, side by side. Add diversity to the objective to make them differ.",
    ),
]
Steps = Annotated[int, typer.Option(min=0, max=100_000, help="Steps of the ascent.")]
Rate = Annotated[float, typer.Option(help="Adam's rate: what a step changes a parameter by.")]
Made = Annotated[
    Literal["fourier", "pixel", "laplacian"],
    typer.Option(
        "--parameters",
        help="What the picture is made from: waves (fourier), its pixels (pixel), or pictures of "
        "half the size each (laplacian).",
    ),
]
Robust = Annotated[
    bool,
    typer.Option(
        "--robust/--no-robust",
        help="Look at the picture shifted, turned and scaled by chance in each step. Without it "
        "the picture fills with static.",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Randomness; the same seed, the same picture.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


def command(
    *,
    objective: Wanted,
    output: output("The picture to make: .png, .jpg, .webp or .tiff."),  # type: ignore[valid-type]
    model: Network = "auto",
    size: Extent = "224",
    variants: Variants = 1,
    steps: Steps = 512,
    rate: Rate = 0.05,
    parameters: Made = "fourier",
    robust: Robust = True,
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
    from dreamvid.visualize import Visual, values, visualize

    options = Visual(parse_size(size), steps, rate, parameters, robust)
    check_target(output, FORMATS, overwrite)
    whole = Size(options.size.width * variants, options.size.height)
    check_extent(output, whole)
    name = store.resolve(model)
    network = store.load(name)
    wanted = [read_objective(objective, network)] * variants
    with Progress("steps") as progress:
        count = f"{variants} pictures" if variants > 1 else "a picture"
        progress.begin(f"finding {count} of {options.size} pixels for {objective}", steps)

        def watch(done: int) -> None:
            while progress.done < done:
                progress.advance()

        pictures = visualize(network, wanted, options, jax.random.key(seed), watch=watch)
        reached = np.asarray(values(network, wanted, pictures))
        about = {
            "objective": objective,
            "reached": " ".join(f"{value:.4g}" for value in reached),
            "model": f"{name} ({store.digest(name)})",
            "size": options.size,
            "variants": variants,
            "steps": steps,
            "rate": rate,
            "parameters": parameters,
            "robust": robust,
            "seed": seed,
        }
        told = described("\n".join(f"{key}: {value}" for key, value in about.items()))
        side_by_side = np.concatenate(np.asarray(pictures), axis=1)
        write_picture(output, Picture(side_by_side), told, overwrite)
        progress.made(output)


command.__name__ = "visualize"


def parse_size(text: str) -> "Size":
    """Reads "224" and "320x180".

    Raises:
      OptionError: It is neither.
    """
    from dreamvid.fields import Size

    try:
        return Size.parse(text if "x" in text.lower() else f"{text}x{text}")
    except ValueError:
        raise OptionError("--size", f"is {text!r}: write it like 224 or 320x180") from None
