"""What a clip dreams of, moment by moment: the objective of a recipe, with its guides and masks."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dreamvid import ops
from dreamvid.errors import OptionError, ScheduleError
from dreamvid.models import AnyModel
from dreamvid.objectives import Masked, Sum, Summand, of_layers
from dreamvid.paths import sha256_of_all
from dreamvid.recipe import Recipe
from dreamvid.resolve import Resolved, resolve
from dreamvid.scope import Scope
from dreamvid.terms import Terms
from dreamvid.things import Moment
from dreamvid.timeline import Timeline
from dreamvid.types import IMAGE, Objective


@dataclass(frozen=True)
class Aim:
    """What a clip dreams of."""

    recipe: Recipe
    terms: tuple[Resolved, ...] = ()
    """Of the recipe's objective; none where it names layers."""

    @classmethod
    def of(cls, recipe: Recipe, model: AnyModel) -> "Aim":
        """Resolves the names in a recipe's objective, and opens its files.

        Raises:
          OptionError: It names what does not exist, or what does not fit.
        """
        terms = recipe.ascent.objective
        if terms is None:
            return cls(recipe)
        with _told():
            made = tuple(resolve(term, model, recipe.folder) for term in terms.terms)
        return cls(recipe, made)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the network that it reads at one time or another."""
        if not self.terms:
            return self.recipe.layers
        names = dict.fromkeys(name for term in self.terms for name in term.layers)
        return tuple(name for name in names if name != IMAGE)

    def digest(self) -> str:
        """The sha256 over its files; empty where it has none."""
        digests = [digest for term in self.terms for digest in term.digests]
        return sha256_of_all(digests) if digests else ""

    def check(self, times: np.ndarray, scope: Scope) -> None:
        """Refuses what a clip cannot dream of, and numbers that leave their bounds.

        Args:
          times: float64 (n,): moments, in ticks.
          scope: What its schedules may refer to.

        Raises:
          OptionError: Something does not fit.
        """
        for term in self.terms:
            with _told():
                if term.kind.together:
                    told = "compares pictures that are dreamed together: see dreamvid visualize"
                    raise term.term.part.error(f"{term.term.call.name} {told}")
                for number in term.values:
                    number.check(times, scope)

    def objective(self, timeline: Timeline, index: int) -> Objective:
        """What a frame dreams of."""
        if not self.terms:
            return of_layers(self.recipe.layers, timeline.weights(index))
        return self._sum(Moment(timeline.time(index), timeline.scope))

    def masks(self, timeline: Timeline, index: int) -> jax.Array | None:
        """Where its masked terms count in a frame: float32 (h, w, masks), or None.

        It has the size of what is dreamed, which may be larger than the frame by a margin.
        """
        moment = Moment(timeline.time(index), timeline.scope)
        drawn = [term.mask.draw(moment, timeline.size) for term in self.terms if term.mask]
        if not drawn:
            return None
        margin = timeline.margin
        return ops.pad(jnp.asarray(np.stack(drawn, axis=-1)), margin.height, margin.width)

    def still(self) -> Summand:
        """The objective where there is neither time nor a picture.

        Raises:
          OptionError: It moves, or has masks.
        """
        for term in self.terms:
            with _told():
                if term.mask is not None:
                    raise term.term.part.error("a mask needs a picture, and there is none here")
                for number in term.values:
                    if not number.value.fixed:
                        message = "this changes over time, and nothing does here: write a number"
                        raise number.value.part.error(message)
                    number.check(np.zeros(1), Scope())
        return self._sum(Moment(0.0, Scope()))

    def _sum(self, moment: Moment) -> Summand:
        made: list[Summand] = []
        weights: list[float] = []
        for term in self.terms:
            masked = sum(isinstance(before, Masked) for before in made)
            summand = term.at(moment)
            made.append(summand if term.mask is None else Masked(summand, masked))
            weights.append(term.term.weight_at(moment.tick, moment.scope))
        only = self.terms[0].term
        if len(made) == 1 and only.weight is None and only.sign > 0:
            return made[0]
        return Sum(tuple(made), jnp.array(weights, jnp.float32))


def read_objective(text: str, model: AnyModel, folder: Path = Path()) -> Summand:
    """The objective that a text describes, where there is no time for it to change in.

    Args:
      text: Such as "mixed4c:61 - 0.1*tv".
      model: The network whose layers and classes it names.
      folder: What names of files in it start from.

    Raises:
      OptionError: It cannot be read, or names what does not exist.
    """
    with _told():
        made = tuple(resolve(term, model, folder) for term in Terms.parse(text).terms)
    return Aim(Recipe(), made).still()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Within it, a mistake in a text is told as one of the option."""
    try:
        yield
    except ScheduleError as error:
        raise OptionError("--objective", f"has a mistake: {error}", error.excerpt()) from None
