"""dreamvid weights: the networks at hand, and those that can be had."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from dreamvid.cli import signals
from dreamvid.errors import DreamError, Stopped, WeightsError

QUIET_SECONDS = 5.0
"""Least time between two plain lines."""

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
    print(f"{'name':<26}{'state':<12}{'size':>6}  {'model':<14}licence")
    for row in rows:
        size = f"{row['megabytes']:.0f} MB" if row["megabytes"] else "?"
        print(f"{row['name']:<26}{row['state']:<12}{size:>6}  {row['model']:<14}{row['licence']}")
        print(f"    {row['look']}")


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Of networks, or all for every one.")
    ],
) -> None:
    """Download networks, check them and convert them; goes on where a download was cut."""
    from dreamvid.checkpoints import intake, manifest

    every = names == ["all"]
    wanted = list(manifest.known().values()) if every else [manifest.published(n) for n in names]
    with _Transfers() as transfers:

        def get(name: str) -> None:
            print(intake.fetch(manifest.published(name), transfers), flush=True)

        try:
            _each([network.name for network in wanted], get, transfers.say)
        except KeyboardInterrupt:
            raise Stopped("interrupted; the same command goes on from here") from None


@app.command("import")
def import_network(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="TensorFlow's frozen .pb, .caffemodel, PyTorch's .pth, Keras's .h5 or "
            ".safetensors; also inside a .zip or .tar.gz.",
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

    imported = intake.import_file(file, as_name, overwrite, _say)
    _say(f"{imported.name} was checked against {imported.checked}")
    print(imported.path)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="All that are here by default.")
    ] = None,
) -> None:
    """Check that networks are as they were stored, and can be dreamed of."""
    from dreamvid.checkpoints import store

    _each(
        names or list(store.installed()), lambda name: print(f"{name}: {store.verify(name)}"), _say
    )


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A network that is here.")
    ] = None,
) -> None:
    """Print where networks are kept, or where one is."""
    from dreamvid.checkpoints import store

    print(store.find(name) if name else store.folder())


@app.command()
def remove(names: Names) -> None:
    """Remove networks, and what unfinished downloads of them have left."""
    from dreamvid.checkpoints import intake

    _each(names, lambda name: intake.remove(name, _say), _say)


def _rows() -> Iterable[dict[str, Any]]:
    from dreamvid.checkpoints import manifest, store

    here = store.installed()
    known = manifest.known()
    for name in (*here, *(name for name in known if name not in here)):
        path, published = here.get(name), known.get(name)
        state = "built in" if name in store.BUILTIN else "here" if path else "can be had"
        facts = _facts_of(published) if published else _facts_in(here[name])
        if name in store.BUILTIN:
            facts["look"] = "small, quick and always here: water lilies, towers, columns"
        size = path.stat().st_size / 1e6 if path else published.megabytes if published else 0.0
        yield {"name": name, "state": state, "megabytes": round(size, 1), **facts} | (
            {"path": str(path)} if path else {}
        )


def _facts_of(published: Any) -> dict[str, Any]:
    return {
        "model": published.architecture,
        "licence": published.licence,
        "look": published.look,
        "origin": published.origin,
        "classes": published.classes,
        "digest": str(published.digest) if published.digest else None,
        "addresses": list(published.addresses),
        "page": published.page,
    }


def _facts_in(path: Path) -> dict[str, Any]:
    """What a network that nobody has published says of itself."""
    from safetensors import SafetensorError, safe_open

    try:  # not through our reader, which would import JAX
        with safe_open(path, framework="numpy") as file:
            spec = json.loads(file.metadata()["dreamvid"])
        model, licence, origin, labels = (
            spec.get(key, "") for key in ("architecture", "licence", "origin", "labels")
        )
        return {
            "model": str(model),
            "licence": str(licence),
            "look": str(origin),
            "origin": str(origin),
            "classes": len(labels),
        }
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return {"model": "damaged", "licence": "", "look": "see: dreamvid weights verify"}


def _each(names: list[str], work: Callable[[str], None], say: Callable[[str], None]) -> None:
    """Works on one name after another; one that fails does not stop the others."""
    failed = []
    for name in names:
        try:
            work(name)
        except DreamError as error:
            if len(names) == 1:
                raise
            say(str(error))
            failed.append(name)
    if failed:
        raise WeightsError(f"{len(failed)} of {len(names)} failed, see above: {', '.join(failed)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Transfers:
    """Shows how downloads go on, a `dreamvid.checkpoints.downloads.Watcher`."""

    def __init__(self) -> None:
        self._total: int | None = None
        self._done = self._here = 0
        self._began = self._told = 0.0
        self._bar: Any = None

    def __enter__(self) -> "_Transfers":
        return self

    def __exit__(self, *_: object) -> None:
        self._hide()

    def begin(self, task: str, total: int | None, done: int = 0) -> None:
        """See `Watcher`."""
        self.say(f"{task}{f', from {_megabytes(done)} on' if done else ''}")
        self._total, self._done, self._here = total, done, 0
        self._began = self._told = time.monotonic()
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task("", total=total, completed=done)
            self._bar.start()

    def advance(self, count: int) -> None:
        """See `Watcher`."""
        signals.check()
        self._done += count
        self._here += count
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif now - self._told > QUIET_SECONDS:
            self._told = now
            rate = self._here / (now - self._began)
            of = f" of {_megabytes(self._total)}" if self._total else ""
            _say(f"{_megabytes(self._done)}{of}, {_megabytes(rate)}/s")

    def say(self, line: str) -> None:
        """See `Watcher`."""
        self._hide()
        _say(line)

    def _hide(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
