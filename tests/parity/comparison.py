"""dreamvid's side of the comparison: its results on a network, also under rules that are wrong."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast
from unittest import mock

import jax
import jax.numpy as jnp
import networks
import numpy as np

from dreamvid.models import Model, inception_v1, inception_v3
from dreamvid.models.layers import LocalResponseNorm

LIMIT = 1e-4
"""max|error| / max|original| that a layer may have."""
GRADIENT_LIMIT = 1e-3
"""||error|| / ||original|| that the gradient may have."""
LRN_EFFECT = 0.1
"""||without - with|| / ||with|| that LRN must exceed, or an error in it would hardly show."""
WITH_LRN = ("inception5h", "bvlc_googlenet")
"""The families that have it."""

V1, V3 = inception_v1.FAMILIES, inception_v3.FAMILIES
TF, CAFFE = V1["tf"], V1["caffe"]
TF_LRN, CAFFE_LRN = cast(LocalResponseNorm, TF.normalise), cast(LocalResponseNorm, CAFFE.normalise)
WRONG: dict[str, dict[str, dict[str, Any]]] = {
    "inception5h": {
        "Caffe's LRN": {"normalise": CAFFE_LRN},
        "LRN of 9 channels with bias 1": {"normalise": replace(TF_LRN, radius=4, bias=1.0)},
        "no LRN": {"normalise": None},
        "PyTorch's convolution padding": {"conv_padding": "symmetric"},
        "Caffe's pool padding": {"pool_padding": "ceil"},
    },
    "bvlc_googlenet": {
        "TensorFlow's LRN": {"normalise": TF_LRN},
        "alpha not divided by 5": {"normalise": replace(CAFFE_LRN, alpha=1e-4)},
        "no LRN": {"normalise": None},
        "TensorFlow's convolution padding": {"conv_padding": "same"},
        "TensorFlow's pool padding": {"pool_padding": "same"},
    },
    "torchvision_googlenet": {
        "TensorFlow's convolution padding": {"conv_padding": "same"},
        "TensorFlow's pool padding": {"pool_padding": "same"},
        "pools that round down": {"pool_padding": "symmetric"},
        "a last pool of 3x3": {"last_pool": 3},
    },
    "torchvision_inception_v3": {"average pools as in Keras": {"count_padding": False}},
    "timm_inception_v3": {"average pools as in Keras": {"count_padding": False}},
    "keras_inception_v3": {"average pools as in PyTorch": {"count_padding": True}},
}
"""Family -> rules of others that the comparison must not let pass."""


@partial(jax.jit, static_argnums=(2, 3))
def compute(
    model: Model, image: jax.Array, names: tuple[str, ...], objective: str | None
) -> tuple[dict[str, jax.Array], jax.Array | None]:
    """Layers, and the gradient of the objective by the picture, in one program.

    Args:
      model: The network.
      image: float32 (h, w, 3), RGB in [0, 1].
      names: The layers that are wanted.
      objective: The layer whose 0.5 * sum(activation ** 2) is differentiated; None: no gradient.
    """
    if objective is None:
        return model.activations(image, names), None

    def score(image: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        acts = model.activations(image, (*names, objective))
        return 0.5 * jnp.square(acts[objective]).sum(), acts

    gradient, acts = jax.grad(score, has_aux=True)(image)
    return acts, gradient


def picture(size: tuple[int, int], number: int) -> jax.Array:
    """The picture that the originals saw: float32 (h, w, 3), RGB in [0, 1]."""
    return jnp.asarray(networks.picture(*size, number) / np.float32(255))


def errors(original: Mapping[str, np.ndarray], found: Mapping[str, jax.Array]) -> dict[str, float]:
    """max|error| / max|original| of each layer; infinite where the shape is another."""
    apart = {}
    for name, reference in original.items():
        if name in found:
            layer = np.asarray(found[name])
            same = layer.shape == reference.shape
            most = abs(layer - reference).max() if same else np.inf
            apart[name] = float(most / abs(reference).max())
    return apart


@contextmanager
def under(model: Model, changes: Mapping[str, Any]) -> Iterator[Model]:
    """The same weights in a family that differs from the right one; compute within the block."""
    module = {"inception_v1": inception_v1, "inception_v3": inception_v3}[model.spec.architecture]
    rules = replace(module.FAMILIES[model.spec.family], **changes)
    # A name of its own, by which compiled programs are told apart.
    spec = replace(model.spec, family=f"{model.spec.family} with {changes}")
    with mock.patch.object(module, "FAMILIES", {spec.family: rules}):
        yield Model.from_tensors(spec, model.to_tensors())
