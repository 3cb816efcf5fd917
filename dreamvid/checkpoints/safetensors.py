"""Our own format: safetensors, with the spec as one JSON text in the metadata field "dreamvid"."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dreamvid.errors import DreamError, WeightsError
from dreamvid.models import Model, ModelSpec

FIELD = "dreamvid"


def read(path: Path) -> Model:
    """The network in a file.

    Args:
      path: A .safetensors file that `write` made. Tensors of any float type are read as float32.

    Raises:
      WeightsError: The file is damaged, has no spec, or its tensors do not fit the spec.
    """
    try:
        path.open("rb").close()  # safe_open calls a file that we may not read missing
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if FIELD not in metadata:
                raise WeightsError(
                    f"{path} is no dreamvid network: its metadata has no field {FIELD!r}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None
    try:
        return Model.from_tensors(ModelSpec.from_json(metadata[FIELD]), tensors)
    except DreamError as error:
        raise WeightsError(f"{path} does not hold a whole network: {error}") from None


def write(path: Path, spec: ModelSpec, tensors: dict[str, np.ndarray]) -> None:
    """Writes a network that `read` reads.

    Args:
      path: The file to make.
      spec: The network's facts.
      tensors: Named as in `Model.from_tensors`; stored as float16, half the size at the same dream.
    """
    stored = {name: np.ascontiguousarray(t, np.float16) for name, t in tensors.items()}
    save_file(stored, path, metadata={FIELD: spec.to_json()})
