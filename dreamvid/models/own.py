"""A Flax network of the user's own, ready to dream."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dreamvid.errors import DreamError
from dreamvid.models.model import SMALLEST_SIDE, check_image
from dreamvid.models.spec import LayerInfo
from dreamvid.registry import unknown_name
from dreamvid.types import IMAGE, MASKS, Activations, Image

LARGE = 1024
"""Pixels of the side of a square in which every layer has to see something."""
FURTHER = 960
"""Pixels by which that grows to count strides: a multiple of nearly all there are."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["state"],
    meta_fields=["graph", "mean", "scale", "infos"],
)
@dataclass(frozen=True)
class OwnModel:
    """What `adopt` makes of a module; it dreams wherever a `Model` does.

    A pytree whose leaves are the module's variables, which are arguments of compiled functions:
    networks that differ in nothing else share those.
    """

    graph: nnx.GraphDef
    state: nnx.State
    """All variables: params, statistics, randomness."""
    mean: tuple[float, ...]
    """Three, in 8-bit levels; see `ModelSpec`."""
    scale: tuple[float, ...]
    infos: tuple[LayerInfo, ...] = ()
    """The facts about each layer, in the order of the module's dict."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers that can be dreamed of, in the order of the module's dict."""
        return tuple(self._known)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes, which are not known."""
        return ()

    @cached_property
    def _known(self) -> dict[str, LayerInfo]:
        return {info.name: info for info in self.infos}

    def layer(self, name: str) -> LayerInfo:
        """The facts about one layer; its `field` and `flops` are unknown, and 0.

        Raises:
          UnknownNameError: There is no such layer; the message names the nearest one.
        """
        if name not in self._known:
            raise unknown_name("layer", name, self.layers, "See: model.layers", of="this network")
        return self._known[name]

    def favourite(self, kind: str) -> str:
        """The layer to dream of where the user names none: the one in the middle, for any kind."""
        return self.layers[len(self.layers) // 2]

    def activations(self, image: Image, layers: Iterable[str]) -> Activations:
        """What the network sees in a picture.

        Args:
          image: float32 (h, w, 3), RGB in [0, 1]; as large as the layers need.
          layers: Names out of `layers`.

        Returns:
          {name: float32 (h', w', c)} for each name asked for.

        Raises:
          UnknownNameError: There is no such layer.
          DreamError: The image is no (h, w, 3) array or is too small.
        """
        wanted = tuple(dict.fromkeys(layers))
        check_image(image, [self.layer(name) for name in wanted])
        return dict(zip(wanted, _activations(self, image, wanted), strict=True))

    def traced(self, image: Image, layers: Iterable[str]) -> Activations:
        """As `activations`, for use within a function that is compiled as a whole."""
        return self.activations(image, layers)


def adopt(
    module: nnx.Module,
    mean: float | tuple[float, float, float] = 0.0,
    scale: float | tuple[float, float, float] = 1.0,
) -> OwnModel:
    """Makes a Flax network of one's own ready to dream.

        class Small(nnx.Module):
            def __init__(self, rngs):
                self.first = nnx.Conv(3, 16, (5, 5), strides=2, rngs=rngs)
                self.second = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)

            def __call__(self, pixels):
                first = nnx.relu(self.first(pixels))
                return {"first": first, "second": nnx.relu(self.second(first))}

        model = dreamvid.adopt(Small(nnx.Rngs(0)), mean=127.5, scale=1 / 127.5)
        dreamed = dreamvid.dream(model, image, dreamvid.Layer("second"), dreamvid.Ascent(), key)

    The module has to see pictures of any size from some least one on. Dropout and batch norms are
    as they are: call `module.eval()` first. Its variables are copied, so that training it further
    changes nothing here. A linen module is wrapped in `nnx.bridge.ToNNX` first.

    Args:
      module: Called with float32 (n, h, w, 3), it returns {name: float (n, h', w', c)}.
      mean: In 8-bit levels: one number, or one for each of R, G and B.
      scale: The module is given (255 * image - mean) * scale, image being RGB in [0, 1].

    Raises:
      DreamError: It is no such module, sees nothing in pictures of up to 1024x1024 pixels, or mean
        or scale are no such numbers.
    """
    if not isinstance(module, nnx.Module):
        raise DreamError(
            f"a network is a flax.nnx.Module, not a {type(module).__name__}: linen's are wrapped "
            "in flax.nnx.bridge.ToNNX"
        )
    graph, state = nnx.split(module)
    # Variables of its own: those of the module change in place when it is trained.
    state = jax.tree.map(lambda value: value, state)
    model = OwnModel(graph, state, _triple("mean", mean), _triple("scale", scale))
    return replace(model, infos=_infos(model))


def _triple(name: str, value: float | tuple[float, float, float]) -> tuple[float, ...]:
    try:
        three = np.broadcast_to(np.asarray(value, np.float64), 3)
    except (ValueError, TypeError):
        three = np.array(np.nan)
    if not np.isfinite(three).all():
        raise DreamError(f"{name} is {value!r}: give one number, or three for R, G and B")
    return tuple(three.tolist())


def _see(model: OwnModel, image: Image) -> Activations:
    """All activations of a picture, (h', w', c) each."""
    mean, scale = (jnp.asarray(value, jnp.float32) for value in (model.mean, model.scale))
    found = nnx.merge(model.graph, model.state)(((255.0 * image - mean) * scale)[None])
    if not isinstance(found, dict) or not found:
        raise DreamError(
            f"the network returns a {type(found).__name__}: its activations are needed by name, "
            'as in {"first": first, "second": second}'
        )
    for name, value in found.items():
        if not isinstance(name, str) or name in (IMAGE, MASKS):
            raise DreamError(f"the network calls a layer {name!r}, which cannot be: rename it")
        shape, kind = jnp.shape(value), jnp.result_type(value)
        if len(shape) != 4 or shape[0] != 1 or not jnp.issubdtype(kind, jnp.floating):
            raise DreamError(
                f"the network's layer {name!r} is {kind} {shape}: "
                "floats of shape (1, height, width, channels) are needed"
            )
    return {name: value[0].astype(jnp.float32) for name, value in found.items()}


@partial(jax.jit, static_argnums=2)
def _activations(model: OwnModel, image: Image, wanted: tuple[str, ...]) -> tuple[jax.Array, ...]:
    found = _see(model, image)
    return tuple(found[name] for name in wanted)


def _infos(model: OwnModel) -> tuple[LayerInfo, ...]:
    """The facts about each layer, by what comes of squares of several sizes."""
    near, far = _shapes(model, LARGE), _shapes(model, LARGE + FURTHER)

    @cache
    def there(side: int) -> set[str]:
        """The layers that have a position."""
        try:
            return {name for name, shape in _shapes(model, side).items() if 0 not in shape}
        except DreamError:
            return set()

    infos = []
    for name, shape in near.items():
        if 0 in shape:
            raise DreamError(
                f"the network's layer {name!r} has no position in a picture of {LARGE}x{LARGE} "
                "pixels: leave it out"
            )
        # Doubled first, since most networks see something in the smallest picture.
        side = SMALLEST_SIDE
        while side < LARGE and name not in there(side):
            side *= 2
        sides = range(SMALLEST_SIDE, side + 1)
        smallest = sides[bisect_left(sides, True, key=lambda side: name in there(side))]
        grown = min(far[name][axis] - shape[axis] for axis in (0, 1))
        stride = max(round(FURTHER / grown), 1) if grown else 1
        infos.append(LayerInfo(name, shape[2], stride, (0, 0), smallest, 0.0))
    return tuple(infos)


def _shapes(model: OwnModel, side: int) -> dict[str, tuple[int, ...]]:
    """The shapes of all layers of a square; nothing is computed."""
    names: list[str] = []

    def see(model: OwnModel, image: Image) -> tuple[jax.Array, ...]:
        found = _see(model, image)
        names.extend(found)  # in the network's order, which JAX does not keep
        return tuple(found.values())

    try:
        found = jax.eval_shape(see, model, jax.ShapeDtypeStruct((side, side, 3), jnp.float32))
    except DreamError:
        raise
    except Exception as error:  # of any kind: it is not our code
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DreamError(
            f"the network fails on a picture of {side}x{side} pixels, and has to take one of any "
            f"size: {reason}"
        ) from error
    return {name: value.shape for name, value in zip(names, found, strict=True)}
