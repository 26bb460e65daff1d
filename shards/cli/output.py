"""What every command shares: one JSON result, friendly text, errors in one line, the exit status.

Standard output carries the result only: in ``--json`` mode exactly one object as its last line. Progress,
notes and errors go to standard error.
"""

import enum
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from ...engine.errors import Error

if TYPE_CHECKING:
    from rich.console import Console

Fields = Mapping[str, object]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
"""What shells report for a command that Ctrl-C ended."""

HEXADECIMAL: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON object, the last line of standard output."),
]
"""The option that every command has; its parameter is called ``_json``."""


class CommandFailed(Exception):
    """The command cannot do what it was asked: the text tells the user why, in one line."""


def run_command(
    context: typer.Context, work: Callable[[], Fields], show: Callable[[Fields], None] | None = None
) -> NoReturn:
    """Do a command's work, print its result or its error, and end with the right exit status.

    Args:
        context: the command's context; its options become ``config``.
        work: does it, and returns the fields of the result; ``ok`` is True unless the fields say otherwise.
        show: prints the result for people.

    Raises:
        typer.Exit: always, with status 0 only if ``ok``.
    """
    try:
        fields = {**work()}
    except BrokenPipeError:
        raise  # nobody reads any more: there is nobody to tell
    except (CommandFailed, Error, OSError) as error:
        fail(context, describe(error), kind=type(error).__name__)
    except KeyboardInterrupt:
        fail(context, "interrupted", kind="Interrupted", status=INTERRUPTED)
    except Exception as error:
        if wants_json(context):
            print_json(failure(context, f"internal error: {error!r}", type(error).__name__))
        raise  # a bug of ours: the traceback is what a report needs
    fields["ok"] = bool(fields.pop("ok", True))
    if wants_json(context):
        print_json({**fields, "config": config_of(context)})
    elif show is not None:
        show(fields)
    raise typer.Exit(OK if fields["ok"] else FAILED)


def fail(context: typer.Context, message: str, *, kind: str, status: int = FAILED) -> NoReturn:
    """Print an error and end the command."""
    print_error(message)
    if wants_json(context):
        print_json(failure(context, message, kind))
    raise typer.Exit(status)


def failure(context: typer.Context, message: str, kind: str) -> dict[str, object]:
    """The JSON result of a command that failed."""
    return {"ok": False, "error": message, "type": kind, "config": config_of(context)}


def describe(error: Exception) -> str:
    """An error as one line."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def print_error(message: str) -> None:
    """One line on standard error."""
    sys.stdout.flush()
    print(f"multiraft: {message}", file=sys.stderr, flush=True)


def note(message: str) -> None:
    """Tell the user something on standard error."""
    print(message, file=sys.stderr, flush=True)


def print_json(fields: Fields) -> None:
    """One object on one line of standard output."""
    print(json.dumps(fields), flush=True)


def wants_json(context: typer.Context) -> bool:
    """Whether the command was called with ``--json``."""
    return bool(context.params.get("_json"))


def config_of(context: typer.Context) -> dict[str, object]:
    """Every option of the command by its name, with ``_`` for ``-``, and the value that was in force."""
    config = {}
    for parameter in context.command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            longest = max(parameter.opts, key=len)
            name = longest.lstrip("-").replace("-", "_")
            if name != "help":
                config[name] = _plain(context.params.get(parameter.name or name))
    return config


def _plain(value: Any) -> object:  # noqa: ANN401 # whatever an option's type yields
    match value:
        case enum.Enum():
            return value.value
        case Path():
            return str(value)
        case bytes():
            return text_of(value)
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value


# -- keys and values ---------------------------------------------------------------------------------


def text_of(data: bytes) -> str:
    """Bytes as text if they are UTF-8, else hexadecimal after ``0x``.

    Text that begins with ``0x`` itself comes as hexadecimal too, so that :func:`bytes_of` always returns
    the same bytes.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return f"0x{data.hex()}" if text.startswith("0x") else text


def line_of(data: bytes) -> str:
    """The same for a line of a terminal: what cannot be printed comes as hexadecimal."""
    text = text_of(data)
    return text if text.isprintable() else f"0x{data.hex()}"


def bytes_of(text: str) -> bytes:
    """The bytes that a user writes as text, or as hexadecimal after ``0x``.

    Raises:
        typer.BadParameter: what follows ``0x`` is not hexadecimal.
    """
    if not text.startswith("0x"):
        return os.fsencode(text) if _has_surrogates(text) else text.encode()
    digits = text[2:]
    if not HEXADECIMAL.fullmatch(digits):
        raise typer.BadParameter(f"{text!r} is not hexadecimal: after 0x come pairs of 0-9 and a-f")
    return bytes.fromhex(digits)


def _has_surrogates(text: str) -> bool:
    """Whether the shell passed bytes that are not UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def counted(number: object, thing: str) -> str:
    """A number of things in words: ``1 row``, ``2 rows``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


# -- terminal ----------------------------------------------------------------------------------------


def result_console() -> "Console":
    """Standard output, for tables that people read."""
    from rich.console import Console  # noqa: PLC0415 # `--help` must not pay for it

    return Console()
