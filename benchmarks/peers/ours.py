"""dreamvid: the step of the command line, and what the other contenders are held against."""
# ruff: noqa: E402 - a process is set up before it imports JAX

from dreamvid import machine

machine.use_huge_pages()
machine.prepare()

# isort: split
from importlib.metadata import version

import jax
import jax.numpy as jnp
import worker

import dreamvid
from dreamvid.ascent import Climb, see, step
from dreamvid.gradients import GRADIENTS
from dreamvid.models import Model
from dreamvid.objectives import Layer, Mean
from dreamvid.types import Image, Objective

KEY = jax.random.key(0)
"""From which the shifts are drawn."""
NOISE = 1e-7
"""Deviation of what is added to a picture, to see what rounding alone does to a dream."""
DEVIATIONS = jnp.array([0.229, 0.224, 0.225])
"""Of ImageNet's colours, in which pytorch-deepdream takes its steps."""


class Ours:
    """The classic rule."""

    def __init__(self, task: worker.Task):
        self.versions = {"dreamvid": dreamvid.__version__, "JAX": version("jax")}
        self._model = dreamvid.load(task.checkpoint)
        self._task, self._image = task, jnp.asarray(task.picture)
        self._dreamed = self._image

    def burst(self, count: int) -> None:
        """See `Contender`."""
        self._dreamed = jax.block_until_ready(self._climb(self._image, count))

    def gradient(self, number: int, objective: str = "energy", noisy: str = "") -> Image:
        """See `Contender`.

        Args:
          number: Of the view.
          objective: "energy", half the mean square of the layer, or its "mean".
          noisy: "noisy": of the view with NOISE.
        """
        view = jnp.asarray(self._task.view(number))
        return self._slope(view + _noise(view) if noisy else view, objective)

    def dreamed(self) -> Image:
        """See `Contender`."""
        return self._dreamed

    def dream(self, rule: str, count: int) -> Image:
        """Some steps by the rule of a contender, with our gradient, normalised in our ways.

        Args:
          rule: "classic"; "noisy", which is classic from the picture with NOISE on;
            "pytorch-deepdream", whose rate is 0.09 in ImageNet's deviations; or "tutorial", whose
            rate is 0.01 in a range of 2 and which does not shift.
          count: Steps, all that are taken.
        """
        image = self._image
        if rule in ("classic", "noisy"):
            return self._climb(image + _noise(image) if rule == "noisy" else image, count)
        for index, shift in enumerate(worker.seeded_shifts()[:count]):
            if rule == "tutorial":
                image += 0.005 * GRADIENTS["std"](self._slope(image, "mean"), index, count)
            else:
                image = jnp.roll(image, shift, (0, 1))
                gradient = DEVIATIONS * self._slope(image, "energy")
                image += 0.09 * DEVIATIONS * GRADIENTS["smooth"](gradient, index, count)
                image = jnp.roll(image, -shift, (0, 1))
            image = jnp.clip(image, 0.0, 1.0)
        return image

    def _climb(self, image: Image, count: int) -> Image:
        climb = Climb(count, worker.RATE, worker.JITTER)
        image = image.copy()  # a step gives up its image
        state, objective = climb.begin(image), Layer(self._task.layer)
        for index in range(count):
            image, state = step(self._model, image, state, objective, climb, KEY, index)
        return image

    def _slope(self, image: Image, objective: str) -> Image:
        kinds = {"energy": Layer, "mean": Mean}
        return _slope(image, self._model, kinds[objective](self._task.layer))


@jax.jit
@jax.grad
def _slope(image: Image, model: Model, objective: Objective) -> jax.Array:
    return objective(see(model, image, objective))


def _noise(image: Image) -> jax.Array:
    return NOISE * jax.random.normal(jax.random.key(1), image.shape)


if __name__ == "__main__":
    worker.serve(Ours)
