"""The command ``multiraft``: which commands there are, and what is the same for all of them."""

import io
import os
import sys
from typing import Annotated, Any, Final, cast

import typer

from ... import __version__
from . import bench, keys, ranges
from .backup import backup
from .backup_restore import restore
from .demo import demo
from .explain import explain
from .inspect import inspect
from .output import FAILED, INTERRUPTED, USAGE, print_error, print_json
from .serve import serve
from .status import status
from .verify import verify

USAGE_ERRORS: Final[tuple[type[Exception], ...]] = (cast("type[Exception]", typer.BadParameter.__mro__[1]),)
"""Every complaint about arguments: typer names only this child of the common parent."""

# Plain help: rich's takes twice as long to appear.
app = typer.Typer(
    name="multiraft",
    add_completion=False,
    rich_markup_mode=None,
)
app.command("demo")(demo)
app.command("serve")(serve)
app.command("status")(status)
app.command("explain")(explain)
app.command("put")(keys.put)
app.command("get")(keys.get)
app.command("delete")(keys.delete)
app.command("scan")(keys.scan)
app.command("inspect")(inspect)
app.command("verify")(verify)
app.command("backup")(backup)
app.command("restore")(restore)
app.add_typer(ranges.app, name="ranges")
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"multiraft {__version__}")
        raise typer.Exit


@app.callback()
def multiraft(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """An embeddable, replicated, range-sharded key-value storage engine."""


def main() -> None:
    """Run the command line. Raises SystemExit with the status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 must not fail a command
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments; returns the exit status."""
    command = typer.main.get_command(app)
    try:
        status = command.main(arguments or ["--help"], prog_name="multiraft", standalone_mode=False)
    except USAGE_ERRORS as error:
        return _usage_error(error, as_json="--json" in arguments)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return FAILED
    return status if isinstance(status, int) else 0


def _usage_error(error: Any, *, as_json: bool) -> int:  # noqa: ANN401 # see USAGE_ERRORS
    """Say what is wrong with the arguments, and where to look."""
    message = " ".join(error.format_message().split())
    context: typer.Context | None = error.ctx
    path = context.command_path if context is not None else "multiraft"
    print_error(f"{message.rstrip('.')} (see {path} --help)")
    if as_json:
        print_json({"ok": False, "error": message, "type": "Usage"})
    return USAGE


def _drop_output() -> None:
    """The reader of standard output has gone: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
