"""Where the files that ship with dreamvid lie."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def packaged(folder: str) -> Path:
    """A folder that ships with dreamvid: "weights" or "samples".

    A wheel carries it inside the package; in a checkout it lies beside the package.
    """
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder
