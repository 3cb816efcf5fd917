"""The small part of an original's results that is kept with the tests; NumPy only."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np

FOLDER = Path(__file__).parent / "goldens"
SAMPLES = 48
"""Values that are kept of each layer."""
GRADIENT_SAMPLES = 2048


@dataclass(frozen=True)
class Golden:
    """What an original computed, at a few random positions."""

    facts: dict[str, Any]
    """Framework, version, and the script that made it."""
    size: tuple[int, int]
    """Height and width of the picture."""
    number: int
    """Of the picture."""
    objective: str
    names: tuple[str, ...]
    shapes: np.ndarray
    """int32 (layers, 3): height, width, channels."""
    largest: np.ndarray
    """float32 (layers,), of the absolute values."""
    means: np.ndarray
    """float32 (layers,)."""
    positions: np.ndarray
    """int32 (layers, SAMPLES), into a layer laid out flat."""
    values: np.ndarray
    """float32 (layers, SAMPLES)."""
    gradient_norm: float
    gradient_positions: np.ndarray
    gradient_values: np.ndarray


def _positions(name: str, count: int, samples: int) -> np.ndarray:
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(samples)
    return np.sort(raw % np.uint64(count)).astype(np.int32)


def record(family: str, results: Path, facts: Mapping[str, object]) -> Path:
    """Keep samples of what an original computed.

    Args:
      family: One of `networks.FAMILIES`.
      results: The .npz that `networks.save` made of the golden size.
      facts: To go with it.
    """
    with np.load(results) as file:
        layers = dict(file)
    gradient = layers.pop("gradient").ravel()
    places = _positions("gradient", gradient.size, GRADIENT_SAMPLES)
    positions = [_positions(name, layer.size, SAMPLES) for name, layer in layers.items()]
    flat = [layer.ravel() for layer in layers.values()]
    path = FOLDER / f"{family}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        path,
        facts=json.dumps(facts),
        size=networks.FAMILIES[family].golden,
        number=networks.FAMILIES[family].pictures[-1],
        objective=networks.FAMILIES[family].objective,
        names=list(layers),
        shapes=np.array([layer.shape for layer in layers.values()], np.int32),
        largest=np.array([abs(layer).max() for layer in flat], np.float32),
        means=np.array([layer.mean(dtype=np.float64) for layer in flat], np.float32),
        positions=np.array(positions, np.int32),
        values=np.array([layer[p] for layer, p in zip(flat, positions, strict=True)]),
        gradient_norm=np.linalg.norm(gradient.astype(np.float64)),
        gradient_positions=places,
        gradient_values=gradient[places],
    )
    return path


def load(family: str) -> Golden:
    """What `record` kept of a family."""
    with np.load(FOLDER / f"{family}.npz") as file:
        kept = dict(file)
    height, width = map(int, kept.pop("size"))
    return Golden(
        facts=json.loads(str(kept.pop("facts"))),
        size=(height, width),
        number=int(kept.pop("number")),
        objective=str(kept.pop("objective")),
        names=tuple(map(str, kept.pop("names"))),
        gradient_norm=float(kept.pop("gradient_norm")),
        **kept,
    )


def errors(golden: Golden, layers: dict[str, np.ndarray]) -> dict[str, float]:
    """For each recorded layer that was computed, its error as a share of the original's largest.

    Of the sampled values, of the mean and of the largest value, whichever errs most. Infinite where
    the layer has another shape.
    """
    found = {}
    for i, name in enumerate(golden.names):
        if name not in layers:
            continue
        layer = np.asarray(layers[name])
        if layer.shape != tuple(golden.shapes[i]):
            found[name] = np.inf
            continue
        flat = layer.ravel()
        apart = abs(flat[golden.positions[i]] - golden.values[i]).max()
        apart = max(apart, abs(flat.mean(dtype=np.float64) - golden.means[i]))
        apart = max(apart, abs(abs(flat).max() - golden.largest[i]))
        found[name] = float(apart / golden.largest[i])
    return found


def gradient_error(golden: Golden, gradient: np.ndarray) -> float:
    """||error|| / ||original|| over the samples, or of the whole norm if that is more."""
    flat = np.asarray(gradient, np.float64).ravel()
    apart = flat[golden.gradient_positions] - golden.gradient_values
    samples = np.linalg.norm(apart) / np.linalg.norm(golden.gradient_values)
    return float(max(samples, abs(np.linalg.norm(flat) / golden.gradient_norm - 1)))
