"""The command line: a Typer app, a module a command. Nothing here imports JAX before it must."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dreamvid import __version__, machine
from dreamvid.cli import (
    activations,
    atlas,
    bench,
    image,
    layers,
    measure,
    render,
    resume,
    settings,
    signals,
    spectrum,
    train,
    video,
    visualize,
    weights,
    zoom,
)
from dreamvid.errors import DreamError, OptionError, Stopped

DONE, BUG, USER, INTERRUPTED = 0, 1, 2, 3
"""The exit codes; a bug shows its traceback."""
_TYPERS_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for module in (
    *(zoom, video, image, render, resume),
    *(layers, visualize, atlas, spectrum, activations),
    *(settings, measure, train, bench),
):
    app.command()(module.command)
app.add_typer(weights.app, name="weights")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Turn pictures into DeepDream animations."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
    elif not {"--help", "-h"} & set(sys.argv):
        machine.prepare()


def main() -> NoReturn:
    """Runs a command, and ends the process."""
    signals.catch()
    if sys.stderr is None:  # closed by whoever started us
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for any name of a file
    farewell = "interrupted; no unfinished file is left"
    try:
        check_folder()
        code = app(standalone_mode=False)
        print(end="", flush=True)
    except (BrokenPipeError, SystemExit):  # Typer turns the first into the second
        discard_output()  # nobody reads on, as in `dreamvid layers | head`
        code = DONE
    except OSError as error:
        if error.filename is not None or error.errno != errno.ENOSPC:
            raise
        discard_output()
        code = complain(f"standard output cannot be written: {error.strerror}")
    except DreamError as error:
        code = complain(str(error), error.excerpt if isinstance(error, OptionError) else "")
    except Stopped as stop:
        code, farewell = INTERRUPTED, str(stop)
    except typer.TyperException as error:  # a flag or argument that Typer refuses
        code = complain(f"{error.format_message().rstrip('.')}. See: dreamvid --help")
    except (Exception, KeyboardInterrupt):
        # An import that is interrupted may raise an error of its own; work that was left its frame
        # does not.
        if not signals.asked_to_stop() or signals.was_patient():
            raise
        code = INTERRUPTED
    if code == _TYPERS_INTERRUPTED and signals.asked_to_stop():
        code = INTERRUPTED
    if code == INTERRUPTED:
        print(f"dreamvid: {farewell}", file=sys.stderr, flush=True)
        # At once: JAX's threads may still be at work, and crash when Python is taken down first.
        os._exit(INTERRUPTED)
    sys.exit(code)


def check_folder() -> None:
    """Refuses to work in a folder that has been removed, where no name leads anywhere."""
    try:
        Path.cwd()
    except OSError as error:
        message = f"the current folder is gone ({error.strerror}): change to another"
        raise DreamError(message) from None


def discard_output() -> None:
    """Sends what is left for standard output nowhere, so that Python's own last flush works."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, excerpt: str = "") -> int:
    """Prints one line about the user's input; returns the exit code that goes with it.

    Args:
      message: The line.
      excerpt: Lines that show the place in a text, printed below it.
    """
    print("dreamvid:", " ".join(message.splitlines()), file=sys.stderr)
    for line in excerpt.splitlines():
        print(f"  {line}", file=sys.stderr)
    return USER
