"""timm's networks: safetensors with the names that torchvision gave."""

from pathlib import Path

from dreamvid.checkpoints import pytorch, safetensors
from dreamvid.checkpoints.conversion import Contents

NAME = "safetensors"
LAYOUTS = pytorch.LAYOUTS


def claims(path: Path, start: bytes) -> bool:
    """Whether a file that begins so is safetensors: the length of a JSON text, and that text."""
    length = int.from_bytes(start[:8], "little")
    return start[8:9] == b"{" and length <= path.stat().st_size


def read(path: Path) -> Contents:
    """The tensors in a file.

    Raises:
      WeightsError: It is damaged.
    """
    return Contents(path, safetensors.read_tensors(path)[1])
