"""DeepDream animations: endless zooms into pictures, dreamed by a compiled Inception in JAX.

import dreamvid
model = dreamvid.load("builtin")
dreamed = dreamvid.dream(model, image, dreamvid.Layer("mixed4c"), dreamvid.Ascent(), key)
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dreamvid.ascent import dream as dream
    from dreamvid.checkpoints.store import load as load
    from dreamvid.errors import DreamError as DreamError
    from dreamvid.models import Model as Model
    from dreamvid.objectives import Layer as Layer
    from dreamvid.options import Ascent as Ascent
    from dreamvid.pipeline import frames as frames
    from dreamvid.recipe import Recipe as Recipe

_HOMES = {
    "Ascent": "options",
    "DreamError": "errors",
    "Layer": "objectives",
    "Model": "models",
    "Recipe": "recipe",
    "dream": "ascent",
    "frames": "pipeline",
    "load": "checkpoints.store",
}
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # On demand, since JAX takes a second to import and `dreamvid --help` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'dreamvid' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dreamvid.{_HOMES[name]}"), name)
