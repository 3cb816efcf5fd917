"""Stills in a row: files that a printf pattern or a wildcard names together."""

import glob
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from dreamvid.errors import MediaError
from dreamvid.paths import what_is_at

_PLACE = re.compile(r"(?P<head>[^%]*)%(?:0(?P<width>[1-9][0-9]?))?d(?P<tail>[^%]*)")
_LAST_NUMBER = re.compile(r"(?P<head>.*?)(?P<number>[0-9]{1,18})(?P<tail>[^0-9]*)", re.DOTALL)


def is_pattern(path: Path) -> bool:
    """Whether a name has one place for a number, as "frame-%05d.png" has."""
    return _PLACE.fullmatch(path.name) is not None


def numbered(path: Path) -> dict[int, Path]:
    """Number -> file, lowest first, of all files that a printf pattern gives the name of.

    Raises:
      MediaError: Their folder cannot be read.
    """
    place = _PLACE.fullmatch(path.name)
    if place is None or what_is_at(path.parent) != "folder":
        return {}
    form = re.compile(f"{re.escape(place['head'])}([0-9]{{1,18}}){re.escape(place['tail'])}")
    try:
        found = {file.name for file in path.parent.iterdir()}
    except OSError as error:
        raise MediaError(f"{path.parent} cannot be read: {error.strerror}") from None
    numbers = {int(match[1]) for match in map(form.fullmatch, found) if match}
    # As printf writes it: 7 is neither "7" nor "000007" where the pattern is %05d.
    return {n: path.with_name(path.name % n) for n in sorted(numbers) if path.name % n in found}


def frames_at(path: Path) -> list[Path]:
    """The files that a printf pattern stands for, lowest first; none of another name.

    Raises:
      MediaError: Their folder cannot be read.
    """
    return list(numbered(path).values())


def find_stills(path: Path) -> list[Path] | None:
    """The stills that a pattern or wildcard names, in the order of their numbers.

    Args:
      path: A file; or a printf pattern such as `frame-%05d.png`; or a wildcard such as
        `frames/*.png`, of which frame 2 comes before frame 10. A file of that very name comes
        first.

    Returns:
      None for a path that is a file of its own.

    Raises:
      MediaError: It is nothing of the kind, the file is empty, or a number is missing.
    """
    lies = what_is_at(path)
    if lies == "file":
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty: it holds no clip")
        return None
    if lies == "device":
        raise MediaError(
            f"{path} is a device, which cannot be looked through beforehand: record it first, for "
            f"example with ffmpeg -i {path} -t 10 film.mkv"
        )
    if lies != "nothing":
        raise MediaError(f"{path} is a {lies}, not a clip: name a file")
    if is_pattern(path):
        stills = numbered(path)
        _check_gaps(path, stills)
    elif glob.has_magic(str(path)):
        names = sorted(glob.glob(str(path)), key=natural)  # noqa: PTH207 - may be absolute
        stills = {number: Path(name) for number, name in enumerate(names)}
        _check_gaps(path, _usual_steps([still.stem for still in stills.values()]))
    else:
        raise MediaError(f"no clip at {path}: check the path")
    if not stills:
        raise MediaError(f"no stills match {path}: check the path")
    return list(stills.values())


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts "frame 2" before "frame 10"."""
    parts = re.split("([0-9]+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _usual_steps(names: list[str]) -> list[int]:
    """The last numbers of names that differ in nothing else, if most follow one another."""
    parts = [match for match in map(_LAST_NUMBER.fullmatch, names) if match]
    numbers = [int(part["number"]) for part in parts]
    alike = len(parts) == len(names) and len({(p["head"], p["tail"]) for p in parts}) == 1
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    # Every tenth frame, or the hour of each picture, is as whole as can be.
    return numbers if alike and steps and median(steps) == 1 else []


def _check_gaps(path: Path, numbers: Iterable[int]) -> None:
    for before, after in itertools.pairwise(numbers):
        if after > before + 1:
            # Read on, and the clip would be taken for whole.
            raise MediaError(
                f"{path} has no still number {before + 1}: it is damaged or not finished"
            )
