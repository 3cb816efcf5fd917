"""Finds a network by name or path, and loads it."""

from pathlib import Path

from dreamvid.checkpoints import safetensors
from dreamvid.errors import WeightsError
from dreamvid.models import Model
from dreamvid.paths import packaged, sha256_of, what_is_at
from dreamvid.registry import unknown_name

BUILTIN = ("builtin",)
"""Networks that ship in the package, as weights/<name>.safetensors."""


def find(name_or_path: str | Path) -> Path:
    """The file of a network.

    Args:
      name_or_path: "builtin", or the path of a .safetensors file.

    Raises:
      WeightsError: There is no such file.
      MediaError: The path cannot be followed.
      UnknownNameError: There is no network of that name.
    """
    text = str(name_or_path)
    if text in BUILTIN:
        return packaged("weights") / f"{text}.safetensors"
    path = Path(text)
    lies = what_is_at(path)
    if lies in ("folder", "device"):
        raise WeightsError(f"{path} is a {lies}, not a network: name a .safetensors file")
    if path.suffix == ".safetensors":
        if lies == "nothing":
            raise WeightsError(f"no network at {path}: check the path, or use --model builtin")
        return path
    if lies == "file":
        raise WeightsError(f"{path} is not a network: dreamvid reads .safetensors files")
    see = f"Known: {', '.join(BUILTIN)}, or the path of a .safetensors file"
    raise unknown_name("network", text, BUILTIN, see)


def load(name_or_path: str | Path = "builtin") -> Model:
    """A network ready to dream, from the package or from a file; downloads nothing.

    Raises:
      WeightsError: The file is missing, damaged, or holds no network.
      MediaError: The path cannot be followed.
      UnknownNameError: There is no network of that name.
    """
    return safetensors.read(find(name_or_path))


def digest(name_or_path: str | Path) -> str:
    """The sha256 of a network's file, in hex; what a clip remembers its network by."""
    return sha256_of(find(name_or_path))
