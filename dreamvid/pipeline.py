"""frames(): the one generator that makes frames, from a picture or a film."""

from collections.abc import Generator
from typing import cast

import numpy as np

from dreamvid.aims import Aim
from dreamvid.fields import Size
from dreamvid.following import follow
from dreamvid.models import AnyModel
from dreamvid.recipe import Recipe
from dreamvid.reel import Reel
from dreamvid.timeline import Timeline
from dreamvid.types import Carry, FilmCarry, Frame, Image, ZoomCarry
from dreamvid.zooming import zoom


def frames(
    recipe: Recipe,
    model: AnyModel | None,
    source: Image | np.ndarray | Reel,
    carry: Carry | None = None,
    timeline: Timeline | None = None,
    aim: Aim | None = None,
) -> Generator[tuple[Frame, Carry], None, None]:
    """The frames of a clip, one after the other; a still is a clip of one.

    A closed loop begins with frames numbered below 0, which only lead up to it, and then comes from
    its middle on.

    Args:
      recipe: What to make; that of the timeline, where one is given, counts.
      model: The network; None moves the camera, or shows the flow of a film, without dreaming.
      source: float32 (h, w, 3), RGB in [0, 1]: the picture that a zoom or a still begins with; or
        the film to be dreamed.
      carry: What came with the last frame made, to go on from there; None begins.
      timeline: The recipe laid out for such a source, where the caller has done so already.
      aim: What it dreams of, where the caller has resolved that already.

    Yields:
      Each frame, dreamed, and what the next one needs.

    Raises:
      DreamError: The source is too small or cannot be read, the network has no such layer, or a
        schedule leaves its bounds.
    """
    if timeline is None:
        if model is not None:
            recipe = recipe.with_layer(model.favourite(recipe.kind))
        if isinstance(source, Reel):
            recipe = recipe.for_film(source.film)
            timeline = Timeline(recipe, recipe.scope(), source.film.size, source.film.times)
        else:
            timeline = Timeline(recipe, recipe.scope(), Size(source.shape[1], source.shape[0]))
    if aim is None:
        aim = Aim(timeline.recipe) if model is None else Aim.of(timeline.recipe, model)
    if isinstance(source, Reel):
        return follow(timeline, model, aim, source, cast("FilmCarry | None", carry))
    return zoom(timeline, model, aim, source, cast("ZoomCarry | None", carry))
