"""What a clip is made from, opened: a picture at the clip's size, or a film looked through."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dreamvid.errors import MediaError, OptionError
from dreamvid.fields import Size
from dreamvid.media.audio import beginning, read_signals
from dreamvid.media.codecs import Showing
from dreamvid.media.film import Film, survey
from dreamvid.media.masks import Mask, read_mask
from dreamvid.media.numbered import find_stills, frames_at
from dreamvid.media.sinks import encoding_of
from dreamvid.media.sources import open_source
from dreamvid.media.stills import Picture, fit, read_picture
from dreamvid.models.model import SMALLEST_SIDE, check_size
from dreamvid.options import LARGEST_SIDE, Coherence
from dreamvid.paths import sha256_of, what_is_at
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
    moments: np.ndarray | None = None
    """When each picture of a film is shown, in ticks."""


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
    path, wanted = recipe.picture, recipe.footage
    if wanted.end is not None and wanted.end <= wanted.start:
        told = f"is {wanted.end:g}: it must come after the start at {wanted.start:g}"
        raise OptionError("--end (footage.end)", told)
    _check_apart("film", path, output)
    if recipe.mask is not None:
        try:  # before the film is looked through, which may take a while
            open_source(recipe.mask)
        except MediaError as error:
            raise MediaError(f"mask: {error}") from None
        _check_apart("mask", recipe.mask, output)
    made = encoding_of(output, Showing(fps=Fraction(1)), recipe.output)
    square, even = not made.format.keeps_aspect, made.steps != (1, 1)
    film = survey(path, wanted, square, even, watch)
    found = repr((film.times, film.cuts)).encode()
    digests = {
        "film sha256": film.digest(),
        # Another FFmpeg may find others in it.
        "pictures sha256": hashlib.sha256(found).hexdigest(),
    }
    mask = None
    if recipe.mask is not None:
        mask = read_mask(recipe.mask, film, wanted.feather)
        digests["mask sha256"] = mask.digest()
    recipe = recipe.for_film(film)
    ticks = recipe.clip.schedule_fps
    return Opened(
        recipe,
        _reel(film, mask, recipe.coherence),
        digests,
        _hear(film, ticks) if recipe.hears else {},
        np.array([float(time * ticks) for time in film.times]),
    )


def _check_apart(name: str, path: Path, output: Path) -> None:
    """Refuses an output that would replace what it is made from."""
    if is_same(path, output):
        raise MediaError(f"output {output} is the {name} itself: choose another name")
    files = find_stills(path) or [path]
    if {file.resolve() for file in frames_at(output)} & {file.resolve() for file in files}:
        raise MediaError(f"output {output} would replace stills of the {name}: name it otherwise")


def _hear(film: Film, ticks: Fraction) -> dict[str, np.ndarray]:
    """How loud a film is, from its first picture on."""
    heard = read_signals(film.path, float(ticks))
    before = max(round((film.start - beginning(film.path)) * ticks), 0)
    # Silence where it ends before the film does.
    return {name: np.append(values[before:], 0.0) for name, values in heard.items()}


def _reel(film: Film, mask: Mask | None, coherence: Coherence) -> Reel:
    if coherence.show != "dream":
        return Reel(film, mask, memory=0)
    # Where no dream ever goes on, no flow is needed.
    return Reel(film, mask, coherence.memory, matching=coherence.coherence != 0.0)


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
    if "nothing" in (what_is_at(one), what_is_at(other)):
        return one.resolve() == other.resolve()
    return one.samefile(other)


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
