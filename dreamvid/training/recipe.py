"""Recipes of trainings: a TOML file with one table, [training]."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from dreamvid.errors import DreamError
from dreamvid.paths import packaged, what_is_at
from dreamvid.registry import unknown_name
from dreamvid.training.options import Training


def read_training(name: str) -> dict[str, Any]:
    """The options that a recipe gives: name -> value.

    Args:
      name: A file, or one of those that ship with dreamvid.

    Raises:
      DreamError: It cannot be read, is no recipe of a training, or gives an option that is none.
    """
    path, known = Path(name), {p.stem: p for p in packaged("pipelines").glob("train-*.toml")}
    if path.suffix != ".toml" and what_is_at(path) != "file":
        if name not in known:
            raise unknown_name("recipe", name, known, f"Known: {', '.join(known)}")
        path = known[name]
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DreamError(f"recipe {path} cannot be read: {error}") from None
    values = read.get("training")
    if not isinstance(values, dict) or len(read) > 1:
        raise DreamError(f"recipe {path} is none of a training: it needs one table, [training]")
    options = [field.name for field in dataclasses.fields(Training)]
    for option in values:
        if option not in options:
            raise unknown_name(
                "option", option, options, "See: dreamvid train --help", of=str(path)
            )
    return values
