"""A network ready to dream."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dreamvid.errors import DreamError, UnknownNameError, WeightsError
from dreamvid.models.network import ARCHITECTURES, LOGITS, aliases, describe, shapes
from dreamvid.models.spec import LayerInfo, ModelSpec
from dreamvid.registry import unknown_name
from dreamvid.types import Activations, Image

SMALLEST_SIDE = 16
"""Pixels: on less than this there is nothing to dream."""


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
          tensors: "<layer>/<branch>/kernel" (HWIO) and "/bias" -> float array; a classifier's are
            "head/kernel" (inputs, classes) and "head/bias".

        Raises:
          WeightsError: A tensor is missing, has another shape, is not finite, or belongs to no
            layer.
          UnknownNameError: There is no such architecture or family.
        """
        needed = shapes(spec)  # raises on a spec that does not fit, before Flax meets it
        for name, shape in needed.items():
            if name not in tensors:
                raise WeightsError(f"tensor {name!r}, {shape}, is missing")
            value = tensors[name]
            if value.shape != shape:
                raise WeightsError(f"tensor {name!r} is {value.shape}, but the spec says {shape}")
            if value.dtype.kind != "f" or not np.isfinite(value).all():
                raise WeightsError(f"tensor {name!r} is not all finite floats")
        if left := sorted(tensors.keys() - needed.keys()):
            raise WeightsError(f"tensor {left[0]!r} belongs to no layer of the spec")
        build = ARCHITECTURES[spec.architecture]
        graph, params = nnx.split(nnx.eval_shape(lambda: build(spec)))
        filled = []
        for path, _ in nnx.to_flat_state(params):
            value = tensors["/".join(map(str, path))].astype(np.float32)
            # Not by jnp.asarray, which would compile a program for each shape.
            filled.append((path, nnx.Param(jax.device_put(value))))
        return cls(spec, graph, nnx.from_flat_state(filled))

    def to_tensors(self) -> dict[str, np.ndarray]:
        """The params by the names that `from_tensors` reads, float32."""
        flat = nnx.to_flat_state(self.params)
        return {"/".join(map(str, path)): np.asarray(p.get_value()) for path, p in flat}

    def in_precision(self, dtype: str) -> "Model":
        """The same network computing in other numbers; pictures and activations stay float32.

        Args:
          dtype: "float32", or "bfloat16", which accelerators compute with faster, in half the
            memory.
        """
        return replace(self, params=jax.tree.map(lambda x: x.astype(dtype), self.params))

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers that can be dreamed of, in the order of computation."""
        return tuple(self._known)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes; none where it has no classifier."""
        return self.spec.labels

    def describe(self) -> tuple[LayerInfo, ...]:
        """The facts about each of `layers`."""
        return tuple(self._known.values())

    @cached_property
    def _known(self) -> dict[str, LayerInfo]:
        # Once a network: every frame asks for its layers.
        return {info.name: info for info in describe(self.spec)}

    def layer(self, name: str) -> LayerInfo:
        """The facts about one layer.

        Args:
          name: One of `layers`, or what Caffe, Keras or torchvision call it.

        Raises:
          UnknownNameError: There is no such layer; the message names the nearest one.
        """
        known, others = self._known, aliases(self.spec.architecture)
        ours = others.get(name, name)
        if ours in known:
            return known[ours]
        if ours == LOGITS:
            raise UnknownNameError(f"there is no layer {name!r}: the network has no classifier")
        names = (*known, *(theirs for theirs, ours in others.items() if ours in known))
        see = "See: dreamvid layers"
        raise unknown_name("layer", name, names, see, of=self.spec.architecture)

    def favourite(self, kind: str) -> str:
        """The layer to dream of where the user names none.

        Args:
          kind: Of what is made, as a recipe has it: "zoom" or "image".
        """
        return ARCHITECTURES[self.spec.architecture].favourites(self.spec)[kind]

    def activations(self, image: Image, layers: Iterable[str]) -> Activations:
        """What the network sees in a picture.

        Args:
          image: float32 (h, w, 3), RGB in [0, 1]; at least 16 pixels high and wide, and as large as
            the layers need.
          layers: Names that `layer` knows.

        Returns:
          {name: float32 (h', w', c)} for each name asked for.

        Raises:
          UnknownNameError: There is no such layer.
          DreamError: The image is no (h, w, 3) array or is too small.
        """
        return self._seen(image, layers, _compiled)

    def traced(self, image: Image, layers: Iterable[str]) -> Activations:
        """As `activations`, for use within a function that is compiled as a whole.

        There a program within the program would take three times as long to trace.
        """
        return self._seen(image, layers, _activations)

    def _seen(
        self, image: Image, layers: Iterable[str], run: Callable[..., tuple[jax.Array, ...]]
    ) -> Activations:
        wanted = tuple(dict.fromkeys(layers))
        ours = [self.layer(name) for name in wanted]
        check_image(image, ours)
        # As a tuple through the compiler, which would return a dict in the alphabet's order.
        found = run(self, image, tuple(info.name for info in ours))
        return dict(zip(wanted, found, strict=True))


def _activations(model: Model, image: Image, wanted: tuple[str, ...]) -> tuple[jax.Array, ...]:
    network = nnx.merge(model.graph, model.params)
    spec = model.spec
    mean, scale = (np.asarray(value, np.float32) for value in (spec.mean, spec.scale))
    pixels = (255.0 * image - mean) * scale
    dtype = jax.tree.leaves(model.params)[0].dtype
    found = network(pixels[None].astype(dtype), frozenset(wanted))
    full = jnp.promote_types(dtype, jnp.float32)
    return tuple(found[name][0].astype(full) for name in wanted)


_compiled = jax.jit(_activations, static_argnums=2)


def check_image(image: Image, layers: Iterable[LayerInfo]) -> None:
    """Raises DreamError for what is no RGB picture, or is too small for some layers."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise DreamError(f"image has shape {image.shape}; an RGB picture is (height, width, 3)")
    smallest = max((info.smallest for info in layers), default=SMALLEST_SIDE)
    check_size(image.shape[1], image.shape[0], smallest=smallest)


def check_size(
    width: int, height: int, what: str = "the picture", smallest: int = SMALLEST_SIDE
) -> None:
    """Raises DreamError where a picture, called `what`, is too small.

    Args:
      width: In pixels.
      height: In pixels.
      what: How the error names it.
      smallest: Pixels that each side needs; never fewer than SMALLEST_SIDE.
    """
    smallest = max(smallest, SMALLEST_SIDE)
    if min(width, height) < smallest:
        raise DreamError(
            f"{what} has {width}x{height} pixels, too few to dream: "
            f"enlarge it to at least {smallest}x{smallest}"
        )
