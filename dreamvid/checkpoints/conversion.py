"""How the tensors of a foreign file become a network of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamvid.errors import WeightsError

LARGEST = 1 << 30
"""Bytes that the tensors of a file may take; the largest Inception needs a tenth."""
MOST_AXES = 8
"""Axes of a tensor; a kernel has four."""


@dataclass(frozen=True)
class Contents:
    """What a foreign file holds, by the names that its framework gave."""

    path: Path
    """The file, for errors."""
    tensors: Mapping[str, np.ndarray]
    labels: tuple[str, ...] = ()
    """Class names that lie beside the tensors, in the order of the classifier's outputs."""

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """One tensor, as float32.

        Args:
          name: As in the file.
          shape: What the network needs.

        Raises:
          WeightsError: It is missing, has another shape, holds no floats, or not all finite ones;
            the message names it and both shapes.
        """
        if name not in self.tensors:
            raise self.refusal(f"tensor {name!r}, {shape}, is missing")
        tensor = self.tensors[name]
        if tensor.dtype.kind != "f":
            raise self.refusal(f"tensor {name!r} does not hold floats")
        if tensor.shape != shape:
            raise self.refusal(f"tensor {name!r} is {tensor.shape}, but the network needs {shape}")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            tensor = np.asarray(tensor, np.float32)
        if not np.isfinite(tensor).all():
            raise self.refusal(f"tensor {name!r} is not all finite numbers")
        return tensor

    def refusal(self, problem: str) -> WeightsError:
        """The error for tensors that make no network that we know."""
        return WeightsError(
            f"{self.path} holds no whole Inception V1 or V3 as they were published: {problem}"
        )


Weights = tuple[np.ndarray, np.ndarray]
"""A kernel, HWIO or (inputs, outputs), and a bias."""


@dataclass(frozen=True)
class Layout:
    """How one published network lies in the files of one format."""

    architecture: str
    family: str
    widths: tuple[tuple[str, tuple[int, ...]], ...]
    """As in a `ModelSpec`."""
    mark: str
    """A tensor that tells this network from the format's others."""
    convolution: Callable[[Contents, str, tuple[int, ...]], Weights]
    """(contents, our name of the layer, HWIO shape) -> what computes it, batch norm folded in."""
    head: Callable[[Contents, int], Weights | None]
    """(contents, channels that go in) -> the classifier; None where the file has none."""


def fold(
    kernel: np.ndarray,
    scale: np.ndarray | None,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> Weights:
    """A convolution without bias and the batch norm behind it, as one convolution.

    Args:
      kernel: float32 HWIO.
      scale: float32 (outputs,), called gamma or weight; None is 1.
      shift: float32 (outputs,), called beta or bias.
      mean: float32 (outputs,), of the training data.
      variance: float32 (outputs,), of the training data.
      epsilon: Added to the variance.

    Returns:
      Kernel and bias, float32.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 2.
    """
    # float64: the product of two roundings would show in deep layers.
    factor = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    if scale is not None:
        factor *= scale
    return (kernel * factor).astype(np.float32), (shift - mean * factor).astype(np.float32)
