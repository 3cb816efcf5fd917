"""Renders: frames drained into files."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from dreamvid.checkpoints import store
from dreamvid.errors import DreamError
from dreamvid.media.sinks import SINKS, open_sink
from dreamvid.media.stills import (
    FORMATS,
    Picture,
    check_extent,
    fit,
    read_picture,
    write_picture,
)
from dreamvid.media.target import check_target
from dreamvid.models import Model
from dreamvid.models.spec import SMALLEST_SIDE, check_size
from dreamvid.ops import to_8bit
from dreamvid.options import LARGEST_SIDE, Size
from dreamvid.pipeline import frames
from dreamvid.recipe import Recipe

DEFAULT_SIZE = Size(640, 360)
"""A clip has as many pixels as this where the user names no size."""

_to_8bit = jax.jit(to_8bit)


class Watcher(Protocol):
    """Told how a render goes on."""

    def begin(self, task: str) -> None:
        """All has been checked, and the work on `task` begins."""
        ...

    def advance(self) -> None:
        """Another frame is finished."""
        ...


def render_clip(
    recipe: Recipe, picture: Path, output: Path, overwrite: bool, watcher: Watcher
) -> None:
    """Makes an endless zoom into a picture, as a file.

    Args:
      recipe: What to make.
      picture: The still it begins with.
      output: The clip to make.
      overwrite: Whether an existing file may be replaced.
      watcher: Told of the beginning and of each frame.

    Raises:
      DreamError: Something about the files, the network or the recipe will not do; `output` is
        then as it was before.
    """
    check_target(output, SINKS, overwrite)
    still = _read(picture)
    size = recipe.clip.size or like(still.size, DEFAULT_SIZE)
    recipe = replace(recipe, clip=replace(recipe.clip, size=size))  # as it will be remembered
    source = fit(still.flattened(), size)
    model = _load(recipe)
    settings = recipe.settings(picture.name, store.digest(recipe.general.model))
    with open_sink(output, size, recipe.clip.fps, settings, overwrite) as sink:
        watcher.begin(_task(recipe, size))
        with _enough_memory(size):
            for frame, _ in frames(recipe, model, source):
                sink.write(np.asarray(_to_8bit(frame.image)))
                watcher.advance()


def render_still(
    recipe: Recipe, picture: Path, output: Path, overwrite: bool, watcher: Watcher
) -> None:
    """Dreams one picture at its own size, as a file; its alpha is kept.

    Args and Raises: as `render_clip`.
    """
    check_target(output, FORMATS, overwrite)
    still = _read(picture)
    check_extent(output, still.size)
    recipe = replace(recipe, clip=replace(recipe.clip, frames=1))
    model = _load(recipe)
    digest = store.digest(recipe.general.model)
    settings = recipe.settings(picture.name, digest, ("general", "ascent"))
    watcher.begin(_task(recipe, still.size))
    with _enough_memory(still.size):
        ((frame, _),) = frames(recipe, model, still.rgb)
        dreamed = np.asarray(frame.image)
    write_picture(output, Picture(dreamed, still.alpha), settings, overwrite)
    watcher.advance()


def like(shape: Size, area: Size) -> Size:
    """The even size that has one's shape and about the other's number of pixels.

    Args:
      shape: Gives the ratio of the sides.
      area: Gives the number of pixels.

    Returns:
      A size with even sides that can be dreamed and encoded.
    """
    scale = math.sqrt(area.width * area.height / (shape.width * shape.height))
    even = (2 * round(side * scale / 2) for side in (shape.width, shape.height))
    return Size(*(min(max(side, SMALLEST_SIDE), LARGEST_SIDE) for side in even))


def _read(picture: Path) -> Picture:
    still = read_picture(picture)
    check_size(still.size.width, still.size.height, str(picture))
    return still


def _task(recipe: Recipe, size: Size) -> str:
    return f"dreaming {size} pixels at {recipe.ascent.layer}"


@contextlib.contextmanager
def _enough_memory(size: Size) -> Iterator[None]:
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise DreamError(
                f"dreaming {size} pixels takes more memory than there is: choose a smaller size"
            ) from None
        raise


def _load(recipe: Recipe) -> Model:
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where it must not use the CPU
        reason = str(error) or "none of the kind that JAX_PLATFORMS names"
        raise DreamError(f"JAX finds no device ({reason}): unset JAX_PLATFORMS") from None
    model = store.load(recipe.general.model)
    model.layer(recipe.ascent.layer)  # raises where there is none
    return model
