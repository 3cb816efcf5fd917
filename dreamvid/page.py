"""Sheets as one HTML file: all pictures are in it, and it asks for nothing from outside."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

if TYPE_CHECKING:
    from dreamvid.sheets import Tile

_TEMPLATE = Path(__file__).with_name("page.html")
_PLACE = "{{sheet}}"
"""Where the template takes its data."""
QUALITY, BESIDE_QUALITY = 90, 80
"""Of WebP, up to 100, for dreams and for what is shown beside them."""
_LARGEST = 16383  # pixels on a side that WebP has room for


def to_html(tiles: Sequence["Tile"], title: str, about: str) -> str:
    """A page in which one can search, sort, zoom and copy the objective of a tile.

    Args:
      tiles: In their order.
      title: The heading.
      about: How it was made, for the foot of the page.
    """
    told = {"title": title, "about": about, "tiles": [_told(tile) for tile in tiles]}
    # No text can end the element that it stands in, nor begin another.
    data = json.dumps(told, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")
    return _TEMPLATE.read_text("utf-8").replace(_PLACE, data)


def _told(tile: "Tile") -> dict[str, Any]:
    score = tile.score
    return {
        "title": tile.title,
        "objective": tile.objective,
        "note": tile.note,
        "score": None if score is None or not np.isfinite(score) else float(score),
        "picture": _shown(tile.picture, QUALITY),
        "beside": [_shown(picture, BESIDE_QUALITY) for picture in tile.beside],
    }


def _shown(pixels: np.ndarray, quality: int) -> dict[str, Any]:
    """A picture's address, which is its content, and its size, for which room is kept."""
    height, width = pixels.shape[:2]
    kind = "webp" if max(height, width) <= _LARGEST else "png"
    data = io.BytesIO()
    Pillow.fromarray(pixels).save(data, kind, quality=quality)
    content = base64.b64encode(data.getvalue()).decode()
    return {"src": f"data:image/{kind};base64,{content}", "width": width, "height": height}
