"""The command line: a Typer app, a module a command. Nothing here imports JAX before it must."""

import os
import signal
import sys
from typing import NoReturn

import typer

from dreamvid.cli import image, layers, settings, zoom
from dreamvid.errors import DreamError

app = typer.Typer(
    help="Turn pictures into DeepDream animations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (zoom, image, layers, settings):
    app.command()(module.command)

DONE, BUG, USER, INTERRUPTED = 0, 1, 2, 3
"""The exit codes; a bug shows its traceback."""


@app.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Turn pictures into DeepDream animations."""
    if version:
        from dreamvid import __version__

        print(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """The console script `dreamvid`."""
    # As Ctrl-C does, so that what is half-written is cleared away.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        code = app(standalone_mode=False)
    except DreamError as error:
        code = complain(str(error))
    except typer.TyperException as error:  # a flag or argument that Typer refuses
        code = complain(error.format_message())
    if code == 128 + signal.SIGINT:
        print("dreamvid: interrupted; no file was written", file=sys.stderr, flush=True)
        # At once: JAX's threads may still be at work, and crash when Python is taken down first.
        os._exit(INTERRUPTED)
    sys.exit(code)


def complain(message: str) -> int:
    """Prints one line about the user's input; returns the exit code that goes with it."""
    print("dreamvid:", " ".join(message.split()), file=sys.stderr)
    return USER
