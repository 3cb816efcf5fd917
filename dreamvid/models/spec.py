"""What a network is to the rest of dreamvid: its facts (ModelSpec) and the thing itself (Model)."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dreamvid.errors import DreamError, WeightsError
from dreamvid.registry import Registry, unknown_name
from dreamvid.types import Activations, Image

SMALLEST_SIDE = 16
"""Pixels: below this the deepest layers of an Inception have no position left."""


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
    scale: float
    """The network's input is (255 * image - mean) * scale."""
    licence: str = field(default="unknown", compare=False)
    origin: str = field(default="unknown", compare=False)
    """Where the weights come from: data, recipe, address."""
    labels: tuple[str, ...] = field(default=(), compare=False)
    """Class names in the order of the classifier head, where the file has one."""

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
            r, g, b = (float(level) for level in facts.pop("mean"))
            numbers = (r, g, b, float(facts["scale"]))
            if not np.isfinite(numbers).all():
                raise ValueError(f"mean and scale are {numbers}")
            for name in ("architecture", "family", "licence", "origin"):
                if not isinstance(facts.get(name, ""), str):
                    raise TypeError(f"{name} is no text")
            return cls(
                **facts
                | {
                    "widths": tuple((k, tuple(map(int, v))) for k, v in facts["widths"].items()),
                    "mean": (r, g, b),
                    "scale": float(facts["scale"]),
                    "labels": tuple(facts.get("labels", ())),
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


class Network(nnx.Module):
    """A definition that builds networks from a spec; each registers itself in ARCHITECTURES.

    Parameters are `nnx.Param`s whose path is their tensor's name in a file.
    """

    def __init__(self, spec: ModelSpec, rngs: nnx.Rngs):
        raise NotImplementedError

    @staticmethod
    def describe(spec: ModelSpec) -> tuple[LayerInfo, ...]:
        """All layers that can be dreamed of, in the order of computation.

        Raises:
          WeightsError: The spec does not describe a network of this architecture.
        """
        raise NotImplementedError

    def __call__(self, pixels: jax.Array, wanted: frozenset[str]) -> Activations:
        """(n, h, w, 3) -> the layers in `wanted`, each (n, h, w, c); computes no further."""
        raise NotImplementedError


ARCHITECTURES: Registry[type[Network]] = Registry("architecture")


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["spec", "graph"])
@dataclass(frozen=True)
class Model:
    """A network ready to dream: a static graph and the params that compiled functions take.

    A pytree whose leaves are the params, so it is passed whole to jitted functions and its weights
    are never baked into them.
    """

    spec: ModelSpec
    graph: nnx.GraphDef
    params: nnx.State

    @classmethod
    def from_tensors(cls, spec: ModelSpec, tensors: dict[str, np.ndarray]) -> "Model":
        """The network that `spec` describes, with its weights.

        Args:
          spec: The network's facts.
          tensors: "<layer>/<branch>/kernel" (HWIO) and "/bias" -> float array; those under "head/"
            (a classifier) are left out.

        Raises:
          WeightsError: A tensor is missing, has another shape, is not finite, or belongs to no
            layer.
          UnknownNameError: There is no such architecture or family.
        """
        build = ARCHITECTURES[spec.architecture]
        build.describe(spec)  # raises on a spec that does not fit, before Flax meets it
        graph, params = nnx.split(nnx.eval_shape(lambda: build(spec, rngs=nnx.Rngs(0))))
        left = {name for name in tensors if not name.startswith("head/")}
        filled = []
        for path, param in nnx.to_flat_state(params):
            name = "/".join(map(str, path))
            if name not in tensors:
                raise WeightsError(f"tensor {name!r} is missing")
            value = tensors[name]
            if value.shape != param.get_value().shape:
                raise WeightsError(
                    f"tensor {name!r} is {value.shape}, but the spec says {param.get_value().shape}"
                )
            if value.dtype.kind != "f" or not np.isfinite(value).all():
                raise WeightsError(f"tensor {name!r} is not all finite floats")
            left.discard(name)
            filled.append((path, nnx.Param(jnp.asarray(value, jnp.float32))))
        if left:
            raise WeightsError(f"tensor {sorted(left)[0]!r} belongs to no layer of the spec")
        return cls(spec, graph, nnx.from_flat_state(filled))

    def to_tensors(self) -> dict[str, np.ndarray]:
        """The params by the names that `from_tensors` reads, float32."""
        flat = nnx.to_flat_state(self.params)
        return {"/".join(map(str, path)): np.asarray(p.get_value()) for path, p in flat}

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers that can be dreamed of, in the order of computation."""
        return tuple(info.name for info in self.describe())

    def describe(self) -> tuple[LayerInfo, ...]:
        """Name, channels and stride of each of `layers`."""
        return ARCHITECTURES[self.spec.architecture].describe(self.spec)

    def layer(self, name: str) -> LayerInfo:
        """The facts about one layer.

        Raises:
          UnknownNameError: There is no such layer; the message names the nearest one.
        """
        known = {info.name: info for info in self.describe()}
        if name not in known:
            see = "See: dreamvid layers"
            raise unknown_name("layer", name, known, see, of=self.spec.architecture)
        return known[name]

    def activations(self, image: Image, layers: Iterable[str]) -> Activations:
        """What the network sees in a picture.

        Args:
          image: float32 (h, w, 3), RGB in [0, 1]; at least 16 pixels high and wide.
          layers: Names from `layers`.

        Returns:
          {name: float32 (h', w', c)} for each name asked for.

        Raises:
          UnknownNameError: There is no such layer.
          DreamError: The image is no (h, w, 3) array or is smaller than 16 pixels.
        """
        wanted = tuple(dict.fromkeys(layers))
        for name in wanted:
            self.layer(name)
        if image.ndim != 3 or image.shape[2] != 3:
            raise DreamError(f"image has shape {image.shape}; an RGB picture is (height, width, 3)")
        check_size(image.shape[1], image.shape[0])
        # As a tuple through the compiler, which would return a dict in the alphabet's order.
        return dict(zip(wanted, _activations(self, image, wanted), strict=True))


@partial(jax.jit, static_argnums=2)
def _activations(model: Model, image: Image, wanted: tuple[str, ...]) -> tuple[jax.Array, ...]:
    network = nnx.merge(model.graph, model.params)
    spec = model.spec
    pixels = (255.0 * image - jnp.asarray(spec.mean, jnp.float32)) * spec.scale
    found = network(pixels[None], frozenset(wanted))
    return tuple(found[name][0] for name in wanted)


def check_size(width: int, height: int, what: str = "the picture") -> None:
    """Raises DreamError where a picture, called `what`, is too small for any network."""
    if min(width, height) < SMALLEST_SIDE:
        raise DreamError(
            f"{what} has {width}x{height} pixels, too few to dream: "
            f"enlarge it to at least {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
