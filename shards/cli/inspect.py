"""``multiraft inspect``: what a stopped node's data directory holds, damaged or not, without changing it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from .offline import DirectoryArgument, looking_on, patient
from .output import CommandFailed, Fields, JsonOption, bytes_of, counted, note, run_command

if TYPE_CHECKING:
    from ...engine.offline.grouplog import GroupLog
    from ...engine.offline.stopped import StoppedNode

COLUMNS: Final = {
    "group": "group",
    "replica": "replica",
    "term": "term",
    "vote": "vote",
    "commit": "commit",
    "applied": "applied",
    "first": "first",
    "last": "last",
    "log_bytes": "log bytes",
    "keys": "keys",
    "state_bytes": "state bytes",
    "members": "members",
    "range": "keys of the range",
}
HEX_LINE: Final = 16
DAMAGES_SHOWN: Final = 20
WORDS_SHOWN: Final = 100
"""Characters of an entry in a table; alone it is shown with more."""


def inspect(
    context: typer.Context,
    directory: DirectoryArgument,
    group: Annotated[int | None, typer.Option(min=1, metavar="G", help="Show one group only.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Show the last entries of the group's log.")] = False,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many entries --log shows at most.")
    ] = 100,
    entry: Annotated[
        int | None, typer.Option(min=1, metavar="I", help="Show one entry of the group's log.")
    ] = None,
    hexadecimal: Annotated[bool, typer.Option("--hex", help="Show the bytes of that entry as well.")] = False,
    _json: JsonOption = False,
) -> None:
    """Show what the data directory of a stopped node holds.

    Who the node is, how large its stores are, and each group: term, vote and commit of its log, the index
    that is applied to its state, its first and last entry, its members (replica ids) and the keys it serves.
    With --group and --log or --entry, what its log says. Damage is shown where it is found; "multiraft
    verify" looks at everything. Nothing is written, and the node must not be running.
    """
    if group is None and (log or entry is not None):
        raise typer.BadParameter("--log and --entry are about one group: name it", param_hint="--group")
    if hexadecimal and entry is None:
        raise typer.BadParameter("--hex is about one entry: name it", param_hint="--entry")

    def work() -> Fields:
        return _inspect(directory, group, limit if log else 0, entry, with_hex=hexadecimal)

    def show(fields: Fields) -> None:
        _show(fields, alone=entry is not None)

    run_command(context, work, show)


def _inspect(
    directory: Path, group: int | None, limit: int, entry: int | None, *, with_hex: bool
) -> dict[str, object]:
    from ...engine.offline.findings import Findings  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.offline.stopped import StoppedNode  # noqa: PLC0415 # likewise
    from ...engine.offline.verify import read_contents  # noqa: PLC0415 # likewise
    from .inspect_rows import damage_fields, group_rows, node_fields, store_fields  # noqa: PLC0415 # likewise

    findings = Findings()
    with looking_on() as phases, StoppedNode.open(directory) as node:
        log, state = read_contents(node, findings, patient(phases))
        groups = [row for row in group_rows(log, state, findings) if group in {None, row["group"]}]
        if group is not None and not groups:
            raise CommandFailed(f"{directory} holds no group {group}")
        fields: dict[str, object] = {
            "node": node_fields(node),
            "stores": store_fields(node, log, state),
            "groups": groups,
            "removed": {str(one): replica for one, replica in log.tombstones.items() if group in {None, one}},
        }
        if group is not None and (limit or entry is not None):
            one = log.groups.get(group)
            if one is None:
                raise CommandFailed(f"{directory} holds no log of group {group}")
            fields["entries"] = _entries(node, one, limit, entry, with_hex=with_hex)
        fields["damages"] = [damage_fields(damage) for damage in findings.kept]
        fields["damaged"] = findings.count
    return fields


def _entries(
    node: "StoppedNode", log: "GroupLog", limit: int, entry: int | None, *, with_hex: bool
) -> list[dict[str, object]]:
    """The last entries of a log, or the one that was asked for."""
    from ...engine.offline.entries import read_entries  # noqa: PLC0415 # `--help` must not pay for it
    from .inspect_rows import entry_fields  # noqa: PLC0415 # likewise

    first, last = log.first_index, log.last_index
    if entry is not None and not first <= entry <= last:
        there = f"the log has entries {first} to {last}" if first <= last else "the log is empty"
        raise CommandFailed(f"group {log.group} has no entry {entry}: {there}")
    low, high = (entry, entry + 1) if entry is not None else (max(first, last + 1 - limit), last + 1)
    file = node.log()
    assert file is not None, "there is a log"
    machine = "kv" if log.birth is None else log.birth.machine
    return [entry_fields(found, machine, with_hex=with_hex) for found in read_entries(file, log, low, high)]


# -- for people --------------------------------------------------------------------------------------


def _show(fields: Fields, *, alone: bool) -> None:
    """``alone``: one entry was asked for."""
    entries = cast("list[dict[str, Any]] | None", fields.get("entries"))
    groups = cast("list[dict[str, Any]]", fields["groups"])
    if entries is None:
        _show_node(fields)
        _print_columns(list(COLUMNS.values()), [_group_cells(row) for row in groups])
    elif alone:
        _show_entry(groups[0]["group"], entries[0])
    else:
        _print_columns(["index", "term", "batch", "bytes", "says"], [_entry_cells(row) for row in entries])
    for damage in cast("list[dict[str, Any]]", fields["damages"])[:DAMAGES_SHOWN]:
        note(_damage_line(damage))
    if fields["damaged"]:
        note(f"{counted(fields['damaged'], 'damaged place')}: see multiraft verify")


def _show_node(fields: Fields) -> None:
    node = cast("dict[str, Any]", fields["node"])
    stores = cast("dict[str, dict[str, Any]]", fields["stores"])
    if "damaged" in node:
        print(f"node: {node['damaged']}")
    else:
        uuid = node["cluster_uuid"] or "not known yet"
        print(f"node {node['node_id']} of cluster {node['cluster']!r} ({uuid})")
        print(f"store {node['store_uuid']}, started {counted(node['starts'], 'time')}")
    for name, store in stores.items():
        counts = ", ".join(f"{key} {value}" for key, value in store.items() if value is not None)
        print(f"{name}: {counts}")
    print()


def _group_cells(row: dict[str, Any]) -> list[str]:
    from .inspect_words import range_text  # noqa: PLC0415 # `--help` must not pay for it

    served = "directory" if row["machine"] == "directory" else ""
    if row["start"] is not None and not served:
        served = range_text(bytes_of(row["start"]), None if row["end"] is None else bytes_of(row["end"]))
    cells = {**row, "range": served}
    line = ["?" if cells[column] is None else str(cells[column]) for column in COLUMNS]
    if row["damaged"]:
        line[-1] += f"  damaged: {row['damaged'][0]['what']}"
    return line


def _entry_cells(row: dict[str, Any]) -> list[str]:
    if "damaged" in row:
        return [str(row["index"]), "?", str(row["batch"] or "?"), "?", f"DAMAGED: {row['damaged']}"]
    cells = [str(row[column]) for column in ("index", "term", "batch", "bytes", "says")]
    if len(cells[-1]) > WORDS_SHOWN:
        cells[-1] = f"{cells[-1][:WORDS_SHOWN]}…"
    return cells


def _show_entry(group: int, row: dict[str, Any]) -> None:
    print(f"group {group}, entry {row['index']}, in batch {row['batch'] or '?'}")
    if "damaged" in row:
        print(f"DAMAGED: {row['damaged']}")
        return
    print(f"term {row['term']}, {row['type']}, {counted(row['bytes'], 'byte')}")
    if "session" in row:
        print(f"session {row['session']}, sequence {row['sequence']}, epoch {row['epoch']}")
    print(row["says"])
    if "hex" in row:
        print("\n".join(hex_lines(bytes.fromhex(row["hex"]))))


def hex_lines(data: bytes) -> Iterator[str]:
    """Offset, bytes and what of them can be printed."""
    for at in range(0, len(data), HEX_LINE):
        part = data[at : at + HEX_LINE]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{at:08x}  {part.hex(' '):<{3 * HEX_LINE - 1}}  {text}"


def _damage_line(damage: dict[str, Any]) -> str:
    from ...engine.offline.findings import Damage  # noqa: PLC0415 # `--help` must not pay for it

    return f"damaged: {Damage(**damage)}"


def _print_columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that no terminal's width cuts off. The last column is not padded."""
    table = [names, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(names))]
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        print("  ".join([*cells, row[-1]]))
