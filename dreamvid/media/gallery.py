"""A gallery: pictures that guide or mask a dream, whatever they lie in."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from glob import has_magic
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from dreamvid.errors import MediaError
from dreamvid.media.colours import LUMA
from dreamvid.media.film import Film, survey
from dreamvid.media.numbered import is_pattern, natural
from dreamvid.media.sources import Stills, open_source
from dreamvid.media.stills import Picture, read_picture
from dreamvid.options import Footage
from dreamvid.paths import sha256_of, sha256_of_all, what_is_at

LEAP = 100
"""Pictures of a film that are passed over sooner than that it is entered anew."""


@dataclass
class Gallery:
    """Pictures in a row, each read when it is asked for; the last one is remembered.

    So is where a film stands: whoever asks for 0, 1, 2 ... has each decoded once.
    """

    path: Path
    """What the user named."""
    files: tuple[Path, ...]
    """A file each, where they are stills, which may differ in size; else none."""
    film: Film | None = None
    """What they are where they are no stills."""
    _last: tuple[int, Picture] | None = field(default=None, init=False, repr=False)
    _coming: Iterator[np.ndarray] | None = field(default=None, init=False, repr=False)
    _next: int = field(default=0, init=False, repr=False)
    """The number of what `_coming` gives next."""

    @property
    def count(self) -> int:
        """The number of pictures, at least one."""
        return self.film.count if self.film else len(self.files)

    @property
    def fps(self) -> Fraction | None:
        """Pictures a second of a film or an animation; None of stills."""
        return self.film.fps if self.film else None

    def digest(self) -> str:
        """The sha256 of what is in its files, in their order; their names do not count.

        Raises:
          MediaError: A file cannot be read.
        """
        try:
            if self.film:
                return self.film.digest()
            digests = [sha256_of(file) for file in self.files]
        except OSError as error:
            raise MediaError(f"{error.filename} cannot be read: {error.strerror}") from None
        return sha256_of_all(digests)

    def at(self, index: int) -> np.ndarray:
        """Picture number `index`, on white where it is transparent.

        Returns:
          float32 (h, w, 3), RGB in [0, 1]; not to be written to.

        Raises:
          MediaError: There is no such picture, it cannot be read, or the film has changed.
        """
        return self._picture(index).flattened()

    def mask(self, index: int) -> np.ndarray:
        """How bright picture number `index` is; what is transparent in a still counts as black.

        Returns:
          float32 (h, w) in [0, 1].

        Raises:
          MediaError: As `at`.
        """
        picture = self._picture(index)
        return grey(picture.rgb) * (1.0 if picture.alpha is None else picture.alpha)

    def _picture(self, index: int) -> Picture:
        if not 0 <= index < self.count:
            most = self.count - 1
            raise MediaError(f"{self.path} has no picture number {index}: choose 0 to {most}")
        if self._last is None or self._last[0] != index:
            drawn = self._draw(self.film, index) if self.film else read_picture(self.files[index])
            drawn.rgb.flags.writeable = False  # since it is given out again
            self._last = index, drawn
        return self._last[1]

    def _draw(self, film: Film, index: int) -> Picture:
        coming, passed = self._coming, index - self._next
        if coming is None or not 0 <= passed <= LEAP:
            coming, passed = film.pictures(index), 0
        self._coming = None  # till it has come, since what breaks off gives no more
        pixels = next(islice(coming, passed, None))
        self._coming, self._next = coming, index + 1
        return Picture(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max)


def open_gallery(path: Path) -> Gallery:
    """Finds the pictures that a path leads to; a film is looked through.

    Args:
      path: A still; a folder, of which all stills are taken, frame 2 before frame 10, and all else
        is passed over; stills as `find_stills` has them; a GIF or another animation, or a video.

    Raises:
      MediaError: There is nothing of the kind, or it cannot be read.
    """
    if what_is_at(path) == "folder":
        files = _pictures_in(path)
    else:
        if what_is_at(path) == "nothing" and not (is_pattern(path) or has_magic(str(path))):
            raise MediaError(f"no picture, folder or film at {path}: check the path")
        source = open_source(path)
        if not isinstance(source, Stills):
            film = survey(path, Footage(cuts="none"), square=True, even=False)
            return Gallery(path, (), film)
        files = source.files
        for file in files:
            if not _is_picture(file):
                read_picture(file)  # which says why
    gallery = Gallery(path, files)
    gallery.at(0)  # wholly, but not the others: there may be thousands
    return gallery


def grey(picture: np.ndarray) -> np.ndarray:
    """How bright a picture is: float32 (h, w, 3), RGB in [0, 1] -> float32 (h, w) in [0, 1]."""
    return np.clip(cv2.transform(picture, LUMA[None]), 0.0, 1.0)


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    try:
        files = sorted(folder.iterdir(), key=lambda file: natural(file.name))
        found = tuple(file for file in files if file.is_file() and _is_picture(file))
    except OSError as error:
        raise MediaError(f"{folder} cannot be read: {error.strerror}") from None
    if not found:
        raise MediaError(f"folder {folder} holds no picture: name one with PNG or JPEG files in it")
    return found


def _is_picture(file: Path) -> bool:
    """Whether it begins as a picture does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            Pillow.open(file).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # of nearly every kind; whoever reads the picture is told
        return True
    return True
