"""DeepDream animations: endless zooms into pictures, dreamed by a compiled Inception in JAX.

    model = dreamvid.load("builtin")
    dreamed = dreamvid.dream(model, image, dreamvid.Layer("mixed4c"), dreamvid.Ascent(), key)

`image` is float32 (h, w, 3), RGB in [0, 1]; `key` comes from jax.random.key.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dreamvid.aims import read_objective as read_objective
    from dreamvid.ascent import dream as dream
    from dreamvid.checkpoints.store import load as load
    from dreamvid.display import show as show
    from dreamvid.errors import DreamError as DreamError
    from dreamvid.models import Model as Model
    from dreamvid.models.own import adopt as adopt
    from dreamvid.objectives import Channel as Channel
    from dreamvid.objectives import Class as Class
    from dreamvid.objectives import Direction as Direction
    from dreamvid.objectives import Guide as Guide
    from dreamvid.objectives import Layer as Layer
    from dreamvid.objectives import Masked as Masked
    from dreamvid.objectives import Mean as Mean
    from dreamvid.objectives import Neuron as Neuron
    from dreamvid.objectives import Style as Style
    from dreamvid.objectives import Summand as Summand
    from dreamvid.objectives import TotalVariation as TotalVariation
    from dreamvid.objectives import objective as objective
    from dreamvid.options import Ascent as Ascent
    from dreamvid.pipeline import frames as frames
    from dreamvid.recipe import Recipe as Recipe

_HOMES = {
    "Ascent": "options",
    "Channel": "objectives",
    "Class": "objectives",
    "Direction": "objectives",
    "DreamError": "errors",
    "Guide": "objectives",
    "Layer": "objectives",
    "Masked": "objectives",
    "Mean": "objectives",
    "Model": "models",
    "Neuron": "objectives",
    "Recipe": "recipe",
    "Style": "objectives",
    "Summand": "objectives",
    "TotalVariation": "objectives",
    "adopt": "models.own",
    "dream": "ascent",
    "frames": "pipeline",
    "load": "checkpoints.store",
    "objective": "objectives",
    "read_objective": "aims",
    "show": "display",
}
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # On demand, since JAX takes a second to import and `dreamvid --help` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'dreamvid' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dreamvid.{_HOMES[name]}"), name)
