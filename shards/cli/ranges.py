"""``multiraft ranges create`` and ``delete``: cover a part of the key space, and bare it again."""

from pathlib import Path
from typing import Annotated

import typer

from .database import Target
from .options import DataOption, InsecureOption, NodeOption
from .output import CommandFailed, Fields, JsonOption, bytes_of, counted, run_command
from .progress import Phases
from .running import run_async

app = typer.Typer(help="Ranges of the key space.", rich_markup_mode=None)


@app.callback()
def ranges() -> None:
    """Work with the ranges of the key space."""


@app.command("create")
def create(
    context: typer.Context,
    count: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, metavar="N", help="Make so many even ranges.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help='Cover the keys from A up to B only; an empty B ("") has no end.'),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(readable=False, metavar="FILE", help="Cut at the keys in this file, one a line."),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, metavar="R", help="Copies of each range. [default: 3, or one on each node]"),
    ] = None,
    data: DataOption = None,
    node: NodeOption = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001, max=86_400, metavar="SECONDS", help="How long to wait for each thousand ranges."
        ),
    ] = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Cover keys that no range covers yet, by COUNT even ranges or by ranges that meet at given keys.

    Keys are UTF-8 text, or hexadecimal after 0x. It is safe to repeat: ranges that are there already,
    exactly so, are left alone.
    """
    target = Target(data, node, insecure, create=True, ranges=0)
    if (count is None) == (splits is None):
        raise typer.BadParameter("give either --count or --splits", param_hint="--count/--splits")
    start, end = (b"", b"") if between is None else (bytes_of(between[0]), bytes_of(between[1]))

    async def work() -> Fields:
        cuts = None if splits is None else read_splits(splits)
        async with target.open() as database:
            with Phases() as phases:
                result = await database.create_ranges(
                    count,
                    between=(start, end or None),
                    splits=cuts,
                    replicas=replicas,
                    progress=phases.phase("create ranges"),
                    timeout=timeout,
                )
            state = await database.status()
        return {"created": result.created, "ranges": state["ranges"], "seconds": round(result.seconds, 3)}

    run_command(context, lambda: run_async(work()), _show)


def _show(fields: Fields) -> None:
    created, now = counted(fields["created"], "range"), fields["ranges"]
    print(f"{created} created in {fields['seconds']} s; there {'is' if now == 1 else 'are'} {now} now")


@app.command("delete")
def delete(
    context: typer.Context,
    between: Annotated[
        tuple[str, str],
        typer.Option(metavar="A B", help='Delete the ranges from A up to B; an empty B ("") has no end.'),
    ],
    data: DataOption = None,
    node: NodeOption = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001, max=86_400, metavar="SECONDS", help="How long to wait for each thousand ranges."
        ),
    ] = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Delete the ranges between two keys, with everything that is in them. There is no way back.

    Keys are UTF-8 text, or hexadecimal after 0x. No range may reach beyond them. It is safe to repeat: a
    deletion that was cut off is finished.
    """
    target = Target(data, node, insecure)
    start, end = map(bytes_of, between)

    async def work() -> Fields:
        async with target.open() as database:
            with Phases() as phases:
                result = await database.delete_ranges(
                    (start, end or None), progress=phases.phase("delete ranges"), timeout=timeout
                )
            state = await database.status()
        return {"deleted": result.deleted, "ranges": state["ranges"], "seconds": round(result.seconds, 3)}

    run_command(context, lambda: run_async(work()), _show_deleted)


def _show_deleted(fields: Fields) -> None:
    deleted, now = counted(fields["deleted"], "range"), fields["ranges"]
    print(f"{deleted} deleted in {fields['seconds']} s; there {'is' if now == 1 else 'are'} {now} now")


def read_splits(path: Path) -> list[bytes]:
    """The keys of a splits file: one a line, text or hexadecimal after ``0x``; empty lines are passed over.

    Raises:
        CommandFailed: the file cannot be read, or a line is no key.
    """
    from ...engine.errors import InvalidArgument  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.statemachine.commands import check_key  # noqa: PLC0415 # likewise

    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from error
    keys = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            key = bytes_of(line.decode())
            check_key(key)
        except UnicodeDecodeError:
            raise CommandFailed(f"{path}, line {number}: not UTF-8; write such a key as 0x…") from None
        except (typer.BadParameter, InvalidArgument) as error:
            raise CommandFailed(f"{path}, line {number}: {error}") from None
        keys.append(key)
    return keys
