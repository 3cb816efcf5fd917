"""Flags made from the dataclasses of `dreamvid.options`, so that each option is declared once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dreamvid.options import Options, flag, kind_of, parse
from dreamvid.recipe import Recipe

Output = Annotated[Path, typer.Option("--output", "-o", help="The file to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


def with_options(
    preset: Recipe, *names: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command one flag for each option in some groups of a recipe.

    Args:
      preset: The recipe where the user says nothing.
      names: The groups, for example "ascent".

    Returns:
      A decorator for a command whose first parameter is the recipe that the flags make.
    """
    groups = {name: getattr(preset, name) for name in names}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            changed = {}
            for name, group in groups.items():
                texts = {f: given.pop(f.name) for f in dataclasses.fields(group)}
                values = {f.name: parse(f, t) for f, t in texts.items() if t is not None}
                changed[name] = dataclasses.replace(group, **values)
            command(dataclasses.replace(preset, **changed), **given)

        own = list(inspect.signature(command).parameters.values())[1:]
        flags = [
            _parameter(f, group) for group in groups.values() for f in dataclasses.fields(group)
        ]
        run.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*own, *flags]}
        return run

    return decorate


def _parameter(field: dataclasses.Field, group: Options) -> inspect.Parameter:
    default = getattr(group, field.name)
    shown = typer.Option(
        flag(field),
        help=field.metadata["help"],
        metavar=f"<{kind_of(field).__name__.lower()}>",
        show_default=field.metadata["unset"] if default is None else True,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        # Typer takes all values as text; `parse` says in one line what is wrong with them.
        default=None if default is None else str(default),
        annotation=Annotated[str | None, shown],
    )
