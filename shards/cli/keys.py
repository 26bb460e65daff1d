"""``multiraft put``, ``get``, ``delete`` and ``scan``: single operations on a store or on a running node."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .database import Target
from .options import DataOption, InsecureOption, NodeOption, TimeoutOption
from .output import Fields, JsonOption, bytes_of, counted, line_of, note, run_command, text_of, wants_json
from .running import run_async

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="UTF-8 text, or hexadecimal after 0x.")]
StaleOption = Annotated[
    bool, typer.Option("--stale", help="Read what the nearest replica holds, without asking its leader.")
]


def put(
    context: typer.Context,
    key: KeyArgument,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="UTF-8 text, or hexadecimal after 0x.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Take the value from a file (- is standard input).")
    ] = None,
    data: DataOption = None,
    node: NodeOption = None,
    timeout: TimeoutOption = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Set the value of a key. With --data the directory is made if it is not there."""
    target = Target(data, node, insecure, create=True)
    if (value is None) == (file is None):
        raise typer.BadParameter("give either VALUE or --file", param_hint="VALUE")
    key_bytes = bytes_of(key)
    given = None if value is None else bytes_of(value)

    async def work() -> Fields:
        content = _read(file) if given is None else given
        async with target.open() as database:
            await database.put(key_bytes, content, timeout=timeout)
        return {"key": text_of(key_bytes)}

    run_command(context, lambda: run_async(work()), lambda _: print(f"{_name(key_bytes)}: written"))


def get(
    context: typer.Context,
    key: KeyArgument,
    data: DataOption = None,
    node: NodeOption = None,
    stale: StaleOption = False,
    timeout: TimeoutOption = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Print the value of a key.

    A value that is not UTF-8 is printed as hexadecimal after 0x.
    """
    target = Target(data, node, insecure)
    key_bytes = bytes_of(key)

    async def work() -> Fields:
        async with target.open() as database:
            value = await database.get(key_bytes, consistency=_consistency(stale), timeout=timeout)
        shown = None if value is None else text_of(value)
        return {"key": text_of(key_bytes), "value": shown, "found": value is not None}

    def show(fields: Fields) -> None:
        if fields["found"]:
            print(fields["value"])
        else:
            note(f"{_name(key_bytes)}: not found")

    run_command(context, lambda: run_async(work()), show)


def delete(
    context: typer.Context,
    key: KeyArgument,
    data: DataOption = None,
    node: NodeOption = None,
    timeout: TimeoutOption = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Remove a key. It is no error if it is not there."""
    target = Target(data, node, insecure)
    key_bytes = bytes_of(key)

    async def work() -> Fields:
        async with target.open() as database:
            existed = await database.delete(key_bytes, timeout=timeout)
        return {"key": text_of(key_bytes), "existed": existed}

    def show(fields: Fields) -> None:
        print(f"{_name(key_bytes)}: {'deleted' if fields['existed'] else 'was not there'}")

    run_command(context, lambda: run_async(work()), show)


def scan(
    context: typer.Context,
    start: Annotated[str | None, typer.Option(metavar="KEY", help="The first key (inclusive).")] = None,
    stop: Annotated[str | None, typer.Option(metavar="KEY", help="Where to end (exclusive).")] = None,
    prefix: Annotated[str | None, typer.Option(metavar="KEY", help="Only keys that begin like this.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="From the last key to the first.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, max=2**62, metavar="N", help="At most so many pairs.")
    ] = None,
    data: DataOption = None,
    node: NodeOption = None,
    stale: StaleOption = False,
    timeout: TimeoutOption = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Print pairs in the order of their keys.

    One pair a line, key and value separated by a tab; what is not printable UTF-8 comes as hexadecimal after
    0x. The scan is linearizable range by range; it is not one snapshot of all ranges.
    """
    target = Target(data, node, insecure)
    bounds = [None if key is None else bytes_of(key) for key in (start, stop, prefix)]
    as_json = wants_json(context)

    async def work() -> Fields:
        items: list[tuple[str, str]] = []
        count = 0
        async with target.open() as database:
            pages = database.scan_pages(
                bounds[0],
                bounds[1],
                prefix=bounds[2],
                reverse=reverse,
                limit=limit,
                consistency=_consistency(stale),
                timeout=timeout,
            )
            async for page in pages:
                count += len(page)
                if as_json:
                    items += [(text_of(key), text_of(value)) for key, value in page]
                else:
                    sys.stdout.writelines(f"{line_of(key)}\t{line_of(value)}\n" for key, value in page)
        return {"items": items, "count": count}

    def show(fields: Fields) -> None:
        sys.stdout.flush()
        note(counted(fields["count"], "pair"))

    run_command(context, lambda: run_async(work()), show)


def _name(key: bytes) -> str:
    """A key in a sentence: the empty one must not look as if it were missing."""
    return line_of(key) or '""'


def _consistency(stale: bool) -> Literal["linearizable", "stale"]:
    return "stale" if stale else "linearizable"


def _read(file: str | None) -> bytes:
    """The content of a file, or of standard input."""
    if file == "-":
        return sys.stdin.buffer.read()
    assert file is not None, "checked by the caller"
    return Path(file).read_bytes()
