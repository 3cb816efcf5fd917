"""Tile frames of every recipe: python samples/make_recipe_sheet.py FOLDER SHEET.jpg

FOLDER takes the clips; one that is there already is not rendered again.
"""

import subprocess
import sys
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dreamvid.recipe import shipped_recipes

COLUMNS, TILE, GAP, MARGIN, HEAD = 3, (258, 146), 2, 11, 46
BLOCK = 2 * TILE[0] + GAP, HEAD + 2 * TILE[1] + GAP
"""A name, what it looks like, and two by two frames."""


def render(recipe: Path, folder: Path) -> Path:
    """The clip of a recipe, rendered where it is not there yet."""
    clip = folder / f"{recipe.stem}.mp4"
    if not clip.exists():
        command = [sys.executable, "-m", "dreamvid", "render", str(recipe), "-o", str(clip)]
        subprocess.run(command, check=True)
    return clip


def make_block(recipe: Path, clip: Path) -> Image.Image:
    """Four frames from 30 to 90 per cent of a clip, cut to one shape, under a name."""
    with av.open(str(clip)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    block = Image.new("RGB", BLOCK, "white")
    draw = ImageDraw.Draw(block)
    draw.text((0, 4), recipe.stem, "black", ImageFont.load_default(20))
    words = recipe.read_text().splitlines()[0].removeprefix("# ")
    draw.text((0, 28), words, "dimgrey", ImageFont.load_default(11.5))
    for number in range(4):
        frame = frames[round((0.3 + 0.2 * number) * (len(frames) - 1))]
        row, column = divmod(number, 2)
        place = column * (TILE[0] + GAP), HEAD + row * (TILE[1] + GAP)
        block.paste(ImageOps.fit(frame, TILE, Image.Resampling.LANCZOS), place)
    return block


def make_sheet(folder: Path) -> Image.Image:
    """All blocks, on white."""
    recipes = list(shipped_recipes().values())
    width, height = BLOCK[0] + MARGIN, BLOCK[1] + MARGIN
    rows = -(-len(recipes) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + MARGIN, rows * height + MARGIN), "white")
    for number, recipe in enumerate(recipes):
        row, column = divmod(number, COLUMNS)
        block = make_block(recipe, render(recipe, folder))
        sheet.paste(block, (MARGIN + column * width, row * height))
    return sheet


if __name__ == "__main__":
    make_sheet(Path(sys.argv[1])).save(sys.argv[2], quality=70, optimize=True)
