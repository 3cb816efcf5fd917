"""Our own format: safetensors, with the spec as one JSON text in the metadata field "dreamvid"."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dreamvid.checkpoints import manifest
from dreamvid.errors import DreamError, WeightsError

if TYPE_CHECKING:  # JAX takes a second to import, and what a file says of itself needs none of it
    from dreamvid.models import Model, ModelSpec

FIELD = "dreamvid"


def read(path: Path) -> "Model":
    """The network in a file.

    Args:
      path: A .safetensors file that `write` made. Tensors of any float type are read as float32.

    Raises:
      WeightsError: The file is damaged, has no spec, or its tensors do not fit the spec.
    """
    from dreamvid.models import Model, ModelSpec

    metadata, tensors = read_tensors(path)
    if FIELD not in metadata:
        raise WeightsError(f"{path} is no dreamvid network: its metadata has no field {FIELD!r}")
    try:
        return Model.from_tensors(ModelSpec.from_json(metadata[FIELD]), tensors)
    except DreamError as error:
        raise WeightsError(f"{path} does not hold a whole network: {error}") from None


def write(
    path: Path,
    spec: "ModelSpec",
    tensors: Mapping[str, np.ndarray],
    dtype: DTypeLike = np.float32,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Writes a network that `read` reads.

    Args:
      path: The file to make.
      spec: The network's facts.
      tensors: Named as in `Model.from_tensors`.
      dtype: As what they are stored. float16 is half the size at the same dream, but no longer
        agrees with the original to four digits.
      facts: What else to say of the file; `read_facts` gives it back.
    """
    stored = {name: np.ascontiguousarray(t, dtype) for name, t in tensors.items()}
    data = save(stored, metadata={**(facts or {}), FIELD: spec.to_json()})
    # And not by its own writer, which lets nobody else read the file.
    path.write_bytes(_in_order(data))


def _in_order(data: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library's is another each time.

    Source: the format's description; a header is its length in 8 bytes, and JSON padded to 8.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def read_facts(path: Path) -> dict[str, str]:
    """All that a file says of itself beside its tensors.

    Raises:
      WeightsError: It is not safetensors, or larger than any network.
    """
    return _open(path, with_tensors=False)[0]


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """What any safetensors file says of itself, and its tensors by name.

    Raises:
      WeightsError: It is not safetensors, or larger than any network.
    """
    return _open(path, with_tensors=True)


def _open(path: Path, with_tensors: bool) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    try:
        path.open("rb").close()  # safe_open calls a file that we may not read missing
        if path.stat().st_size > manifest.LARGEST_FILE:
            raise WeightsError(f"{path} is no network: it has over {manifest.LARGEST_FILE} bytes")
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys()) if with_tensors else []
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None
    except TypeError as error:  # bfloat16 and the like, which NumPy does not have
        raise WeightsError(f"{path} has tensors of an unknown type: {error}") from None
