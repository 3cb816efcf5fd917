"""Contact sheets: many small pictures side by side, each with a name, as a picture or a page."""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dreamvid import __version__, page
from dreamvid.media import exif
from dreamvid.media.target import check_target, replacing, writing

FORMATS = (".png", ".html")
"""A contact sheet, and a page in which one can search."""
GROUND, BRIGHT, QUIET = "#16171a", "#eceae6", "#9b9a97"
SHAPE = 1.6
"""Width over height of a sheet, about, where the number of columns is left to it."""
LEAST, MOST = 96, 320
"""Pixels: the height of the pictures on a sheet."""
AREA = 24e6
"""Pixels: what all pictures of a sheet take together, about, unless they would be too small."""
BESIDE = 2 / 3
"""Height of the pictures beside a tile's own, in parts of its height."""
GAP, MARGIN, INSET = 24, 40, 4
"""Pixels between tiles, around them all, and within a tile."""
HEADING = 28
"""Height of its letters."""
TITLE, NOTE = 1 / 16, 4 / 5
"""Height of a tile's title, in parts of its picture's; and of its note, in parts of the title's."""
SMALLEST_TITLE = 15
NOTE_LINES = 2
NARROWEST = 132
"""Pixels: a tile has this much room for its texts, even beneath a small picture."""
_LINE = 1.35  # from one line to the next, in heights of letters

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a sheet and what is to be known of it."""

    title: str
    picture: np.ndarray
    """uint8 (h, w, 3)."""
    objective: str = ""
    """What --objective would say; empty where there is none."""
    note: str = ""
    score: float | None = None
    """What a page can sort by, the highest first."""
    beside: tuple[np.ndarray, ...] = ()
    """Pictures shown next to it, uint8 (h, w, 3) each."""


def check_sheet(path: Path, overwrite: bool) -> None:
    """Refuses a sheet that could not be written, before any work is done for it.

    Raises:
      MediaError: See `check_target`; the formats are FORMATS.
    """
    check_target(path, FORMATS, overwrite)


def write_sheet(path: Path, tiles: Sequence[Tile], title: str, about: str, overwrite: bool) -> None:
    """Writes a sheet; the file appears whole or not at all.

    Args:
      path: .png for a contact sheet, .html for a page that needs nothing but itself.
      tiles: In their order, at least one.
      title: The heading.
      about: How it was made, in any number of lines: the picture's description, for
        `dreamvid.media.probe.read_settings`, and the foot of the page.
      overwrite: Whether an existing file may be replaced.

    Raises:
      MediaError: The file cannot be written.
    """
    about = described(about)
    if path.suffix.lower() == ".html":
        data = page.to_html(tiles, title, about).encode()
    else:
        encoded = io.BytesIO()
        draw_sheet(tiles, title).save(encoded, "PNG", exif=exif.pack(about))
        data = encoded.getvalue()
    with replacing(path, overwrite) as scratch, writing(path):
        scratch.write_bytes(data)


def described(about: str) -> str:
    """A text as finished files carry it, by which dreamvid knows its own.

    Args:
      about: Lines, which become comments; or a recipe as `Recipe.to_toml` has it, which stays.
    """
    if about.startswith("# dreamvid"):
        return about
    return "\n".join(["# dreamvid " + __version__, *(f"# {line}" for line in about.splitlines())])


def draw_sheet(tiles: Sequence[Tile], title: str, columns: int | None = None) -> Pillow.Image:
    """Draws a labelled contact sheet.

    Args:
      tiles: From left to right and from above, at least one.
      title: The heading.
      columns: Tiles in a row; None for a sheet that is about 16 to 10.

    Returns:
      RGB. All pictures of tiles have one height: their own, within bounds.
    """
    height = _height(tiles)
    strips = [_strip(tile, height) for tile in tiles]
    width = max(NARROWEST, *(sum(p.width + INSET for p in strip) - INSET for strip in strips))
    title_size = max(round(TITLE * height), SMALLEST_TITLE)
    note_size = round(NOTE * title_size)
    title_font, note_font = _font(title_size), _font(note_size)
    notes = [_wrapped(tile.note, note_font, width) for tile in tiles]
    lines = max(map(len, notes))
    tall = height + 2 * INSET + int(_LINE * (title_size + lines * note_size))
    columns = min(columns or _columns(len(tiles), width + GAP, tall + GAP), len(tiles))
    rows = math.ceil(len(tiles) / columns)
    inner = max(columns * (width + GAP) - GAP, 4 * NARROWEST)
    heading = _wrapped(title, _font(HEADING), inner, most=3)
    top = MARGIN + int(_LINE * HEADING * len(heading)) + GAP
    size = inner + 2 * MARGIN, top + rows * (tall + GAP) - GAP + MARGIN
    sheet = Pillow.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        _bold(draw, (MARGIN, MARGIN + number * _LINE * HEADING), line, _font(HEADING))
    for index, (tile, strip, note) in enumerate(zip(tiles, strips, notes, strict=True)):
        x = MARGIN + index % columns * (width + GAP)
        y = top + index // columns * (tall + GAP)
        right = x
        for picture in strip:
            sheet.paste(picture, (right, y + height - picture.height))
            right += picture.width + INSET
        (name,) = _wrapped(tile.title, title_font, width, most=1) or [""]
        y += height + 2 * INSET
        _bold(draw, (x, y), name, title_font)
        for number, line in enumerate(note):
            place = x, y + _LINE * (title_size + number * note_size)
            draw.text(place, line, QUIET, note_font)
    return sheet


def _height(tiles: Sequence[Tile]) -> int:
    """Pixels: of all pictures on a sheet."""
    tallest = max(tile.picture.shape[0] for tile in tiles)
    if tallest < LEAST:  # a whole number of times larger, which stays crisp
        return tallest * math.ceil(LEAST / tallest)
    shapes = [tile.picture.shape for tile in tiles]
    fits = math.sqrt(AREA / sum(width / height for height, width, _ in shapes))
    return max(LEAST, min(tallest, MOST, int(fits)))


def _strip(tile: Tile, height: int) -> list[Pillow.Image]:
    """A tile's picture and those beside it, as they are shown."""
    beside = [_scaled(picture, round(height * BESIDE)) for picture in tile.beside]
    return [_scaled(tile.picture, height), *beside]


def _scaled(pixels: np.ndarray, height: int) -> Pillow.Image:
    picture = Pillow.fromarray(pixels)
    crisp = height % picture.height == 0  # each pixel a whole number of them
    how = Pillow.Resampling.NEAREST if crisp else Pillow.Resampling.LANCZOS
    width = max(round(picture.width * height / picture.height), 1)
    return picture.resize((width, height), how)


def _columns(count: int, width: int, height: int) -> int:
    """So many tiles in a row that the sheet comes near to its shape, and few places stay empty."""

    def off(columns: int) -> float:
        rows = math.ceil(count / columns)
        empty = 1 - count / (rows * columns)
        return empty + abs(math.log(columns * width / (rows * height) / SHAPE))

    return min(range(1, count + 1), key=off)


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _bold(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, font: _Font) -> None:
    # Twice, half a pixel apart: Pillow has this one weight only.
    for x in (place[0], place[0] + 0.5):
        draw.text((x, place[1]), text, BRIGHT, font)


def _wrapped(text: str, font: _Font, width: float, most: int = NOTE_LINES) -> list[str]:
    """A text in lines that fit, at most so many; what is left out shows as dots."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    left = " ".join(lines[most - 1 :])
    return [_cut(line, font, width) for line in (*lines[: most - 1], left) if line]


def _cut(line: str, font: _Font, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    kept = bisect_right(range(len(line)), width, key=lambda n: font.getlength(f"{line[:n]}..."))
    return f"{line[: max(kept - 1, 0)].rstrip()}..."
