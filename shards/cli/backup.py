"""``multiraft backup``: the ranges of a stopped node or of a running cluster, with all keys, as one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .offline import looking_on, patient
from .options import InsecureOption, NodeOption, TimeoutOption, check_address, data_directory
from .output import CommandFailed, Fields, JsonOption, counted, note, run_command
from .progress import Phases
from .running import run_async

if TYPE_CHECKING:
    from ...engine.offline.backupwriter import BackupWriter
    from ...engine.offline.export import Export
    from ...engine.offline.grouplog import GroupLog
    from ...engine.offline.stopped import StoppedNode
    from ...engine.statemachine.overlay import OverlayStore


def backup(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=data_directory,
            metavar="[DIR] OUT",
            help="The data directory of a stopped node (not with --node), and the file to write.",
        ),
    ],
    node: NodeOption = None,
    timeout: TimeoutOption = 30.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Write all ranges with their keys and values to a file.

    DIR: the node must not be running, and nothing of it is changed. Each range is as the node left it, with
    all that was acknowledged if it is the only one; of a cluster's other nodes it does not know how far they
    have come: what it had in its log, but had not heard to be committed, is left out and counted.

    --node: of a running cluster. Each page of up to 1,000 keys is read linearizably, so everything
    acknowledged before the command began is in it; what is written meanwhile may be in it or not, range by
    range and page by page. For the state of one moment, let nobody write.

    OUT must not be there yet; it appears under its name when it is whole and on disk.
    """
    if len(paths) != (1 if node is not None else 2):
        wanted = "OUT alone" if node is not None else "DIR and OUT"
        raise typer.BadParameter(f"give {wanted}", param_hint="[DIR] OUT")
    if node is not None:
        check_address(node, "--node")

    def work() -> Fields:
        if node is None:
            return _back_up_directory(*paths)
        return run_async(_back_up_cluster(node, paths[0], timeout, insecure=insecure))

    run_command(context, work, lambda fields: _show(fields, paths[-1]))


def _show(fields: Fields, out: Path) -> None:
    ranges, keys = counted(fields["groups"], "range"), counted(fields["keys"], "key")
    print(f"{out}: {ranges}, {keys}, {counted(fields['bytes'], 'byte')}")


# -- a stopped node ----------------------------------------------------------------------------------


def _back_up_directory(directory: Path, out: Path) -> Fields:
    from ...engine.offline.backupwriter import BackupWriter  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.offline.export import Export  # noqa: PLC0415 # likewise
    from ...engine.offline.stopped import StoppedNode  # noqa: PLC0415 # likewise

    if out.resolve().is_relative_to(directory.resolve()):
        raise CommandFailed(f"{out} lies in the data directory, in which nothing is written")
    with looking_on() as phases, StoppedNode.open(directory) as node:
        progress = patient(phases)
        export = Export(node, progress)
        ranges = _ranges_of(node, export)
        assert node.identity is not None, "checked by the export"
        left_out = 0
        with BackupWriter(out, node.identity.cluster_name) as writer:
            for done, log in enumerate(ranges):
                progress("ranges", done, len(ranges))
                left_out += _write_range(writer, export, log)
            totals = writer.finish()
    if left_out:
        what = f"{left_out} entr{'y' if left_out == 1 else 'ies'}"
        note(f"left out: {what} of its logs, which the node did not know to be committed")
    return {**totals._asdict(), "left_out": left_out}


def _ranges_of(node: "StoppedNode", export: "Export") -> "list[GroupLog]":
    """The ranges of a node by their starts.

    Raises CommandFailed: the cluster has ranges that the node does not hold, or the node none at all.
    """
    from ...engine.replica import SYSTEM_GROUP  # noqa: PLC0415 # `--help` must not pay for it

    logs = {log.group: log for log in export.groups()}
    system = logs.pop(SYSTEM_GROUP, None)
    if system is None:
        raise CommandFailed(f"{node.path} holds no directory of ranges: the node never got so far")
    elsewhere = _count_ranges(node, export, system) - len(logs)
    if elsewhere > 0:
        lacking = counted(elsewhere, "range")
        raise CommandFailed(f"{node.path} lacks {lacking} of its cluster: back up a running node with --node")
    return sorted(logs.values(), key=_start_of)


def _count_ranges(node: "StoppedNode", export: "Export", system: "GroupLog") -> int:
    """How many ranges the cluster has, as far as the node knows."""
    from ..directory_machine import DirectoryMachine  # noqa: PLC0415 # `--help` must not pay for it

    assert node.identity is not None, "checked by the export"
    assert system.birth is not None, "checked by the export"
    node_id, members = node.identity.node_id, [home for _, home in system.birth.peers]

    def make(state: "OverlayStore") -> DirectoryMachine:
        store = state.group(system.group)
        return DirectoryMachine(
            store,
            node_id,
            members,
            on_births=_ignore,
            on_removals=_ignore,
            on_reload=lambda: None,
            on_change=lambda: None,
        )

    return export.catch_up(system, make).directory.ranges


def _ignore(_replicas: object) -> None:
    """Nobody is born in a backup, nor removed."""


def _start_of(log: "GroupLog") -> bytes:
    assert log.birth is not None, "checked by the export"
    return log.birth.start


def _write_range(writer: "BackupWriter", export: "Export", log: "GroupLog") -> int:
    """Write one range; returns how many entries of its log were left out."""
    machine, left_out = export.range_of(log)
    writer.begin_range(machine.start, machine.end)
    writer.add(machine.scan())
    export.release(log)
    return left_out


# -- a running cluster -------------------------------------------------------------------------------


async def _back_up_cluster(node: str, out: Path, timeout: float, *, insecure: bool) -> Fields:  # noqa: ASYNC109 # of each page
    from ...engine.offline.backupwriter import BackupWriter  # noqa: PLC0415 # `--help` must not pay for it
    from ..client import Client  # noqa: PLC0415 # likewise

    async with Client.connect(node, timeout=timeout, insecure=insecure) as client:
        with Phases() as phases, BackupWriter(out, "") as writer:
            progress = patient(phases)
            ranges = await client.ranges()
            for done, (start, end) in enumerate(ranges):
                progress("ranges", done, len(ranges))
                writer.begin_range(start, end)
                async for page in client.scan_pages(start, end, timeout=timeout):
                    writer.add(page)
            totals = writer.finish()
    return {**totals._asdict()}
