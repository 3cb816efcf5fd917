"""Finds pictures on which rounding does not decide what the gradient is.

A gradient jumps where a unit crosses the threshold of its ReLU, or where another position wins in a
pool. Among millions of units a few lie so near that two programs which add in another order
disagree, and one such unit in a deep layer moves the gradient by more than the comparison allows.
So each family is shown a picture, of the first hundred, whose gradient stays where it is when
noise some times as large as rounding is added to the picture.

Run as: python tests/parity/steady_pictures.py WORK_FOLDER [FAMILY ...]
once run.py has left the originals' files in the folder. What it prints belongs into networks.py.
"""

import json
import sys
from pathlib import Path

import comparison
import jax
import networks
import numpy as np

from dreamvid.checkpoints import foreign
from dreamvid.models import Model

jax.config.update("jax_platforms", "cpu")
NOISE = (1e-7, 3e-7, 1e-6, 2e-6)
"""Standard deviations, in a picture of [0, 1]; the first does about as much as rounding."""
DRAWS, PICTURES = 4, 100


def unsteadiness(model: Model, objective: str, image: jax.Array, noise: float) -> float:
    """The most that the gradient moves, as a share of its norm, when noise is added."""
    _, right = comparison.compute(model, image, (), objective)
    most = 0.0
    for draw in range(DRAWS):
        more = noise * jax.random.normal(jax.random.key(draw), image.shape)
        _, moved = comparison.compute(model, image + more, (), objective)
        most = max(most, float(np.linalg.norm(moved - right) / np.linalg.norm(right)))
        if most > comparison.GRADIENT_LIMIT / 2:
            break
    return most


def main(folder: Path, families: list[str]) -> None:
    for family in families or networks.FAMILIES:
        facts = networks.FAMILIES[family]
        file = json.loads((folder / f"{family}.json").read_text())["file"]
        model = Model.from_tensors(*foreign.read(folder / file))
        for size in facts.shown:
            left = list(range(PICTURES))
            for noise in NOISE:
                found = []
                for number in left:
                    image = comparison.picture(size, number)
                    most = unsteadiness(model, facts.objective, image, noise)
                    if most < comparison.GRADIENT_LIMIT / 2:
                        found.append(number)
                if not found:
                    break
                left = found
                print(family, size, f"noise {noise}:", found, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
