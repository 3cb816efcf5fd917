"""Pictures to learn from: found, decoded, kept in memory as bytes, and split. NumPy only."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dreamvid.errors import DreamError, MediaError
from dreamvid.media.stills import read_picture

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
"""Of files that are taken for pictures."""
SMALLEST = 32
"""Pixels of a side that a picture needs at least."""
LARGEST_ASPECT = 2.0
"""The middle of what is longer is taken."""
MOST_PIXELS = 2**31 - 1
"""Places of pixels are int32."""


@dataclass(frozen=True)
class Folder:
    """What a folder of pictures holds; nothing is decoded yet."""

    files: tuple[Path, ...]
    classes: tuple[int, ...]
    """Of each file; its own number where there are no class folders."""
    labels: tuple[str, ...]
    """The classes' names; none where there are no class folders."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of any sizes in one buffer, as a device can hold them."""

    pixels: np.ndarray
    """uint8 (pixels of all, 3), each picture row by row."""
    places: np.ndarray
    """int32 (n,): where each begins."""
    sizes: np.ndarray
    """int32 (n, 2): height and width."""
    classes: np.ndarray
    """int32 (n,)."""

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[np.ndarray]:
        for place, (height, width) in zip(self.places, self.sizes, strict=True):
            yield self.pixels[place : place + height * width].reshape(height, width, 3)

    @classmethod
    def packed(cls, pictures: Sequence[np.ndarray], classes: np.ndarray) -> "Pictures":
        """Pictures uint8 (h, w, 3) as one buffer.

        Raises:
          DreamError: They are too many for it.
        """
        sizes = np.array([p.shape[:2] for p in pictures], np.int32).reshape(-1, 2)
        counts = sizes.prod(axis=1, dtype=np.int64)
        if counts.sum() > MOST_PIXELS:
            raise DreamError(
                f"the pictures have {counts.sum()} pixels in all, and there is room for "
                f"{MOST_PIXELS}: give a smaller --size, or fewer pictures"
            )
        places = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
        pixels = np.concatenate([p.reshape(-1, 3) for p in pictures])
        return cls(pixels, places, sizes, classes.astype(np.int32))

    def scaled(self, side: int) -> "Pictures":
        """The same with shorter sides of at most `side` pixels."""
        return Pictures.packed([shrunk(picture, side) for picture in self], self.classes)


def scan(folder: Path) -> Folder:
    """Finds the pictures of a folder, by the endings of their names.

    Args:
      folder: With a folder for each class, which is named after it; or with pictures, which then
        have no classes. Folders within those of the classes are looked into.

    Raises:
      DreamError: There is no such folder, it has no pictures, or one class only.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise DreamError(f"{folder} {what}: give a folder with a folder of pictures for each class")
    try:
        inside = sorted(folder.iterdir())
        found = {p.name: _pictures(p) for p in inside if p.is_dir() and not p.name.startswith(".")}
    except OSError as error:
        raise DreamError(f"{error.filename} cannot be read: {error.strerror}") from None
    by_class = {name: files for name, files in found.items() if files}
    loose = tuple(p for p in inside if _is_picture(p))
    if not by_class:
        if not loose:
            raise DreamError(
                f"{folder} holds no pictures: give a folder with a folder of pictures "
                f"({', '.join(sorted(e[1:] for e in ENDINGS))}) for each class"
            )
        return Folder(loose, tuple(range(len(loose))), ())
    if len(by_class) == 1:
        (name,) = by_class
        raise DreamError(
            f"{folder} holds one class only, {name}: give at least two folders of pictures, or "
            f"{folder / name} itself, to learn without classes"
        )
    files = tuple(file for files in by_class.values() for file in files)
    classes = tuple(i for i, files in enumerate(by_class.values()) for _ in files)
    return Folder(files, classes, tuple(by_class))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if _is_picture(p))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def read(folder: Folder, side: int) -> tuple[Pictures, list[str]]:
    """Decodes all pictures, smaller than they are where their shorter side exceeds `side`.

    Returns:
      The pictures, and a line for each file that was left out: it cannot be read, or is too small.

    Raises:
      DreamError: Too few are left.
    """

    def decode(path: Path) -> np.ndarray | str:
        try:
            pixels = np.rint(read_picture(path).flattened() * 255).astype(np.uint8)
        except MediaError as error:
            return str(error)
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST:
            return f"{path} is {width}x{height}: a side needs {SMALLEST} pixels at least"
        return shrunk(_middle(pixels), side)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = list(pool.map(decode, folder.files))
    whole = [i for i, picture in enumerate(decoded) if not isinstance(picture, str)]
    skipped = [picture for picture in decoded if isinstance(picture, str)]
    classes = np.array(folder.classes, np.int32)[whole]
    for number, label in enumerate(folder.labels):
        if (count := int((classes == number).sum())) < 2:
            first = f" ({skipped[0]})" if skipped else ""
            raise DreamError(
                f"class {label} has {count} picture{'s' * (count != 1)} that can be used, and "
                f"needs 2, one to learn from and one to check by: add some, or remove its folder"
                f"{first}"
            )
    if not folder.labels and len(whole) < 4:
        first = f" ({skipped[0]})" if skipped else ""
        raise DreamError(f"{len(whole)} pictures can be used, and 4 are needed: add some{first}")
    if not folder.labels:
        classes = np.arange(len(whole))
    return Pictures.packed([decoded[i] for i in whole], classes), skipped  # type: ignore[misc]


def _middle(pixels: np.ndarray) -> np.ndarray:
    """What is not too long and narrow."""
    most = int(min(pixels.shape[:2]) * LARGEST_ASPECT)
    top, left = (max(side - most, 0) // 2 for side in pixels.shape[:2])
    return pixels[top : top + most, left : left + most]


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 (h, w, 3) with a shorter side of at most `side` pixels."""
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return pixels
    size = max(round(width * scale), side), max(round(height * scale), side)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def split(
    classes: np.ndarray, share: float, seed: int, fold: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures to learn from, and which to check by: a share of each class.

    Args:
      classes: int (n,).
      share: What to hold out; at least one of each class that has two.
      seed: Decides which.
      fold: Several splits by the same seed hold out other pictures, until there are none left:
        1 / share of them.

    Returns:
      Numbers of pictures, int64 (training,) and (validation,), in order.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(classes), bool)
    for number in np.unique(classes):
        of_class = random.permutation(np.flatnonzero(classes == number))
        first, last = (round(number * share * len(of_class)) for number in (fold, fold + 1))
        held[of_class[first : max(last, first + 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def order(classes: np.ndarray, balance: float, key: tuple[int, ...]) -> np.ndarray:
    """In what order an epoch sees its pictures.

    Args:
      classes: int (n,).
      balance: From 0, each picture once, to 1, each class equally often.
      key: Numbers that randomness is made from.

    Returns:
      int64 (n,): numbers of pictures; of no class is one seen twice more often than another.
    """
    random = np.random.default_rng(key)
    numbers, counts = np.unique(classes, return_counts=True)
    wanted = counts ** (1.0 - balance)
    ends = np.rint(np.cumsum(wanted / wanted.sum()) * len(classes)).astype(int)
    drawn = []
    for number, count in zip(numbers, np.diff(ends, prepend=0), strict=True):
        of_class = np.flatnonzero(classes == number)
        rounds = [random.permutation(of_class) for _ in range(-(-count // len(of_class)))]
        drawn += [np.concatenate(rounds)[:count]] if rounds else []
    return random.permutation(np.concatenate(drawn))
