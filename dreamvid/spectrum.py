"""A spectrum: one picture dreamed at every layer, low to high."""

from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dreamvid.ascent import dream, frame_key
from dreamvid.checkpoints import store
from dreamvid.fields import Size
from dreamvid.media.stills import within
from dreamvid.models import LayerInfo, Model
from dreamvid.models.network import LOGITS
from dreamvid.objectives import Layer
from dreamvid.opening import read_source
from dreamvid.ops import to_8bit
from dreamvid.options import Clip
from dreamvid.recipe import Recipe
from dreamvid.render import Watcher
from dreamvid.sheets import Tile, check_sheet, write_sheet


@dataclass(frozen=True)
class Plan:
    """A spectrum that can be made: everything has been read and checked."""

    recipe: Recipe
    output: Path
    overwrite: bool
    picture: np.ndarray
    """float32 (h, w, 3) in [0, 1]."""
    model: Model
    layers: tuple[LayerInfo, ...]
    """Low to high."""

    @property
    def task(self) -> str:
        """What is being done, for people."""
        size = Size(self.picture.shape[1], self.picture.shape[0])
        return f"dreaming {size} pixels at {len(self.layers)} layers of {self.recipe.network}"


def plan_spectrum(
    recipe: Recipe, output: Path, max_side: int, branches: bool, overwrite: bool
) -> Plan:
    """Reads and checks all that a spectrum needs; makes nothing.

    Args:
      recipe: Of a still; its layer does not matter.
      output: The sheet to make.
      max_side: Pixels of the picture's longer side; a larger picture is scaled down.
      branches: Whether the layers within the blocks are dreamed at too.
      overwrite: Whether an existing file may be replaced.

    Raises:
      DreamError: Something about the files or the recipe will not do.
    """
    check_sheet(output, overwrite)
    picture = within(read_source(recipe.picture, output).flattened(), max_side)
    size = Size(picture.shape[1], picture.shape[0])
    name = store.resolve(recipe.general.model)
    recipe = replace(
        recipe, general=replace(recipe.general, model=name), clip=Clip(frames=1, size=size)
    )
    scope = recipe.scope()
    recipe.check(scope)
    model = store.load(recipe.network)
    smallest = min(size.width, size.height)
    layers = tuple(
        info
        for info in model.describe()
        if info.smallest <= smallest
        and not info.name.endswith("_pre_relu")
        and (branches or "_" not in info.name)
    )
    return Plan(recipe.at(0.0, scope), output, overwrite, picture, model, layers)


def render_spectrum(plan: Plan, watcher: Watcher) -> None:
    """Dreams at each layer, and writes the sheet.

    Args:
      plan: From `plan_spectrum`.
      watcher: Told how it goes on.

    Raises:
      DreamError: The sheet cannot be written.
    """
    watcher.begin(plan.task, len(plan.layers))
    picture, key = jnp.asarray(plan.picture), frame_key(plan.recipe.general.seed, 0)
    tiles = [Tile(plan.recipe.picture.name, np.asarray(to_8bit(picture)), note="the picture")]
    for info in plan.layers:
        dreamed = dream(plan.model, picture, Layer(info.name), plan.recipe.ascent, key)
        note = f"{info.channels} channels, a position sees {info.field[1]} pixels"
        if info.name == LOGITS:
            note = f"{info.channels} classes"
        tiles.append(Tile(info.name, np.asarray(to_8bit(dreamed)), info.name, note))
        watcher.advance()
    title = f"{plan.recipe.picture.name}, dreamed at the layers of {plan.recipe.network}"
    about = plan.recipe.rebased(plan.output.parent).to_toml()
    write_sheet(plan.output, tiles, title, about, plan.overwrite)
    watcher.made(plan.output)
