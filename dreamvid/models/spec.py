"""The facts about a network (ModelSpec) and about its layers (LayerInfo)."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from dreamvid.errors import WeightsError


@dataclass(frozen=True)
class ModelSpec:
    """The facts about one network; stored beside its tensors, so that a file is enough to load it.

    Only what shapes the compiled program takes part in comparison: two networks that differ in
    name or licence share it.
    """

    architecture: str
    """Which definition builds it, for example "inception_v1"."""
    family: str
    """Which variant of that definition: its paddings and normalisations."""
    widths: tuple[tuple[str, tuple[int, ...]], ...]
    """Output channels of each layer's convolutions, in the definition's order."""
    mean: tuple[float, float, float]
    """Subtracted from the RGB image in 8-bit levels (0-255)."""
    scale: tuple[float, float, float]
    """The network's input is (255 * image - mean) * scale."""
    licence: str = field(default="unknown", compare=False)
    origin: str = field(default="unknown", compare=False)
    """Where the weights come from: data, recipe, address."""
    labels: tuple[str, ...] = field(default=(), compare=False)
    """Class names in the order of the classifier's outputs; none where there is no classifier.

    How many there are shapes the program too, as the shapes of the params tell.
    """

    def to_json(self) -> str:
        """The spec as the one JSON text that travels in a file's metadata."""
        return json.dumps(asdict(self) | {"widths": dict(self.widths)})

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """The spec that `to_json` wrote.

        Raises:
          WeightsError: It is not such a text; the message says what is wrong with it.
        """
        try:
            facts = json.loads(text)
            unknown = set(facts) - {f.name for f in fields(cls)}
            if unknown:
                raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
            mean, scale = _triple(facts.pop("mean")), _triple(facts.pop("scale"))
            if not np.isfinite(mean + scale).all():
                raise ValueError(f"mean and scale are {mean + scale}")
            for name in ("architecture", "family", "licence", "origin"):
                if not isinstance(facts.get(name, ""), str):
                    raise TypeError(f"{name} is no text")
            return cls(
                **facts
                | {
                    "widths": tuple((k, tuple(map(int, v))) for k, v in facts["widths"].items()),
                    "mean": mean,
                    "scale": scale,
                    "labels": tuple(map(str, facts.get("labels", ()))),
                }
            )
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as e:
            raise WeightsError(f"its spec is not readable: {e!r}") from None


@dataclass(frozen=True)
class LayerInfo:
    """One layer that can be dreamed of."""

    name: str
    channels: int
    stride: int
    """Pixels of the image from one position of the layer to the next."""
    field: tuple[int, int]
    """Height and width, in pixels, of what one position sees; a classifier sees all."""
    smallest: int
    """Least side of a picture, in pixels, that leaves the layer a position."""
    flops: float
    """Floating-point operations of all convolutions it needs, for each pixel of the picture."""

    def renamed(self, name: str) -> "LayerInfo":
        """The same facts about another layer."""
        return replace(self, name=name)


def _triple(value: Any) -> tuple[float, float, float]:
    """One number for all three colours, or one for each."""
    r, g, b = (float(v) for v in (value if isinstance(value, list) else [value] * 3))
    return r, g, b
