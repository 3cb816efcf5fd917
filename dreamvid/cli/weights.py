"""dreamvid weights: the networks at hand, and those that can be had."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from dreamvid.cli import signals
from dreamvid.cli.progress import say
from dreamvid.cli.transfers import Transfers
from dreamvid.errors import DreamError, Stopped, WeightsError

_WIDTH = 100
"""Characters of a line of the list."""
_COLUMNS = (
    *("name", "state", "megabytes", "model", "licence", "look", "origin", "classes"),
    *("path", "digest", "addresses", "page"),
)
"""What is told of each network as JSON."""

app = typer.Typer(add_completion=False)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="See: dreamvid weights list")]


@app.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Networks: which are here, which can be had, and how to get them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list")
def list_networks(
    as_json: Annotated[bool, typer.Option("--json", help="Print all facts as JSON.")] = False,
) -> None:
    """List the networks that are here and those that can be fetched."""
    rows = list(_rows())
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    _print_row("name", "state", "size", "model", "licence")
    for row in rows:
        size = f"{row['megabytes']:.0f} MB" if row["megabytes"] else "?"
        _print_row(row["name"], row["state"], size, row["model"], row["licence"])
        print(_cut(f"    {row['look']}"))


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Of networks, or all for every one.")
    ],
) -> None:
    """Download networks, check them and convert them; goes on where a download was cut."""
    from dreamvid.checkpoints import intake, manifest, store

    for name in set(names).intersection(store.BUILTIN):
        say(f"{name} ships with dreamvid")
    names = [name for name in names if name not in store.BUILTIN]
    names = list(manifest.known()) if names == ["all"] else names
    networks = {name: manifest.published(name) for name in names}  # all, before the first is got
    with Transfers() as transfers:

        def get(name: str) -> None:
            print(intake.fetch(networks[name], transfers), flush=True)

        try:
            _each(names, get, transfers.say)
        except KeyboardInterrupt:
            raise Stopped("interrupted; the same command goes on from here") from None


@app.command("import")
def import_network(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="TensorFlow's frozen .pb (or a .zip with one), .caffemodel (or a .tar.gz with "
            "one), PyTorch's .pth, Keras's .h5, or .safetensors.",
        ),
    ],
    *,
    as_name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="What to call it; the name of a published network brings that one's facts.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a network of that name.")
    ] = False,
) -> None:
    """Take in a network from a file that you have."""
    from dreamvid.checkpoints import intake

    def tell(line: str) -> None:
        signals.check()  # what Python swallowed
        say(line)

    imported = intake.import_file(file, as_name, overwrite, tell)
    say(f"{imported.name} was checked against {imported.checked}")
    print(imported.path)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="All that are here by default.")
    ] = None,
) -> None:
    """Check that networks are as they were stored, and can be dreamed of."""
    from dreamvid.checkpoints import store

    _each(names or list(store.installed()), lambda name: print(f"{name}: {store.verify(name)}"))


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A network that is here.")
    ] = None,
) -> None:
    """Print where networks are kept, or where one is."""
    from dreamvid.checkpoints import folder, store

    print(folder.weights_folder() if name is None else store.find(name))


@app.command()
def remove(names: Names) -> None:
    """Remove networks, and what unfinished downloads of them have left."""
    from dreamvid.checkpoints import intake

    def forget(name: str) -> None:
        intake.remove(name, say)
        say(f"removed {name}")

    _each(names, forget)


def _rows() -> Iterable[dict[str, Any]]:
    from dreamvid.checkpoints import manifest, store

    here, known = store.installed(), manifest.known()
    for name in (*here, *(name for name in known if name not in here)):
        path, published = here.get(name), known.get(name)
        row: dict[str, Any] = {
            "name": name,
            "state": "built in" if name in store.BUILTIN else "here" if path else "can be had",
            "megabytes": _megabytes(path, published),
            "path": str(path) if path else None,
            **(_facts_in(path) if path else {}),
        }
        if published:
            # What a file says of itself goes first: it may be another's by the same name.
            own = path is None or row["origin"] == published.origin
            row = _facts_of(published) | row | ({"look": published.look} if own else {})
        if name in store.BUILTIN:
            row["look"] = "small, quick and always here: water lilies, towers, columns"
        yield {key: row.get(key) for key in _COLUMNS}


def _facts_of(published: Any) -> dict[str, Any]:
    return {
        "model": published.architecture,
        "licence": published.licence,
        "origin": published.origin,
        "classes": published.classes,
        "digest": str(published.digest) if published.digest else None,
        "addresses": list(published.addresses),
        "page": published.page,
    }


def _facts_in(path: Path) -> dict[str, Any]:
    """What a network that is here says of itself."""
    from dreamvid.checkpoints import safetensors, store

    try:
        spec = json.loads(safetensors.read_facts(path)[safetensors.FIELD])
        told = (spec.get(key, "unknown") for key in ("architecture", "licence", "origin"))
        model, licence, origin = (store.shown(str(text)) for text in told)
        facts = {"model": model, "licence": licence, "origin": origin, "look": origin}
        return facts | {"classes": len(spec.get("labels", ()))}
    except (WeightsError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return {"model": "damaged", "licence": "", "look": "see: dreamvid weights verify"} | {
            "origin": "",
            "classes": 0,
        }


def _megabytes(path: Path | None, published: Any) -> float | None:
    """Of the file that is here, or of the download; None where that is not known."""
    if path is None:
        return published.megabytes or None
    try:
        return round(path.stat().st_size / 1e6, 1)
    except OSError:  # it was removed just now
        return None


def _print_row(name: str, state: str, size: str, model: str, licence: str) -> None:
    print(_cut(f"{name:<25} {state:<11} {size:>6}  {model:<13} {licence}"))


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _each(names: list[str], work: Callable[[str], None], tell: Callable[[str], None] = say) -> None:
    """Works on one name after another; one that fails does not stop the others."""
    failed = []
    for name in names:
        try:
            work(name)
        except DreamError as error:
            if len(names) == 1:
                raise
            tell(str(error))
            failed.append(name)
    if failed:
        raise WeightsError(f"{len(failed)} of {len(names)} failed, see above: {', '.join(failed)}")
