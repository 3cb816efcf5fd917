"""What a clip is made from, opened: a picture at the clip's size, or a film looked through."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dreamvid.errors import MediaError, OptionError
from dreamvid.fields import Size
from dreamvid.media.audio import read_signals
from dreamvid.media.codecs import Showing
from dreamvid.media.film import survey
from dreamvid.media.masks import read_mask
from dreamvid.media.sinks import encoding_of
from dreamvid.media.stills import Picture, fit, read_picture
from dreamvid.models.model import SMALLEST_SIDE, check_size
from dreamvid.options import LARGEST_SIDE
from dreamvid.paths import sha256_of
from dreamvid.recipe import Recipe
from dreamvid.reel import Reel

DEFAULT_SIZE = Size(640, 360)
"""A zoom has as many pixels as this where the user names no size."""


@dataclass(frozen=True)
class Opened:
    """What a clip is made from."""

    recipe: Recipe
    """With the size, length and rate that the clip will have."""
    source: np.ndarray | Reel
    """A picture, float32 (h, w, 3) in [0, 1] at the clip's size; or a film."""
    digests: dict[str, str]
    """The sha256 of each file, by what it is."""
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    """What audio() knows."""


def open_picture(recipe: Recipe, output: Path) -> Opened:
    """The picture that a zoom begins with, and its sound.

    Args:
      recipe: Of a zoom.
      output: The clip to be made, which must be another file.

    Raises:
      DreamError: They cannot be read, or are too small.
    """
    still = read_source(recipe.picture, output)
    size = recipe.clip.size or like(still.size, DEFAULT_SIZE)
    digests = {"picture sha256": sha256_of(recipe.picture)}
    signals = {}
    if recipe.sound:
        signals = read_signals(recipe.sound, float(recipe.clip.schedule_fps))
        digests["sound sha256"] = sha256_of(recipe.sound)
    # As it will be remembered.
    recipe = replace(recipe, clip=replace(recipe.clip, size=size))
    return Opened(recipe, fit(still.flattened(), size), digests, signals)


def open_film(recipe: Recipe, output: Path, watch: Callable[[int], None] | None = None) -> Opened:
    """The film that is to be dreamed, looked through, with its mask.

    Args:
      recipe: Of a film.
      output: The clip to be made, which must be another file.
      watch: Told how many pictures have been looked through.

    Raises:
      DreamError: They cannot be read, or do not fit together.
    """
    if recipe.source is None:
        raise OptionError("IN", "is missing: name the film to dream")
    path = recipe.picture
    for name, file in (("film", path), ("mask", recipe.mask)):
        if file is not None and is_same(file, output):
            raise MediaError(f"output {output} is the {name} itself: choose another name")
    made = encoding_of(output, Showing(fps=Fraction(1)), recipe.output)
    square, even = not made.format.keeps_aspect, made.steps != (1, 1)
    film = survey(path, recipe.footage, square, even, watch)
    check_size(film.size.width, film.size.height, str(path))
    digests = {"film sha256": film.digest()}
    mask = None
    if recipe.mask is not None:
        mask = read_mask(recipe.mask, film, recipe.footage.feather)
        digests["mask sha256"] = mask.digest()
    recipe = recipe.for_film(film)
    signals = {}
    if recipe.hears:
        ticks = float(recipe.clip.schedule_fps)
        heard = read_signals(path, ticks)
        signals = {name: values[round(film.start * ticks) :] for name, values in heard.items()}
    coherence = recipe.coherence
    memory = coherence.memory if coherence.show == "dream" else 0
    # Where no dream ever goes on, no flow is needed; where the flow itself is shown, it is.
    matching = coherence.coherence != 0.0 or coherence.show != "dream"
    reel = Reel(film, mask, memory, matching)
    return Opened(recipe, reel, digests, signals)


def read_source(picture: Path, output: Path) -> Picture:
    """The picture that a render begins with.

    Raises:
      MediaError: It cannot be read, is too small, or is the file to be made.
    """
    if is_same(picture, output):
        raise MediaError(f"output {output} is the picture it begins with: choose another name")
    still = read_picture(picture)
    check_size(still.size.width, still.size.height, str(picture))
    return still


def is_same(one: Path, other: Path) -> bool:
    """Whether two names are those of one file, or of one sequence."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.absolute() == other.absolute()


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
