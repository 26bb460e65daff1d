"""``multiraft restore``: a backup as the data directory of a new cluster of one node."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..keyrange import Interval
from .offline import patient
from .options import LARGEST_NODE_ID, data_directory
from .output import CommandFailed, Fields, JsonOption, counted, run_command
from .progress import Phases
from .running import run_async, together
from .serve import ClusterName

if TYPE_CHECKING:
    from ...engine.offline.backupformat import Totals
    from ...engine.offline.backupreader import BackupContents, BackupReader
    from ..engine import Engine

BATCHES: Final = 16
"""Batches that are under way at once."""
WRITE_TIMEOUT: Final = 600.0
"""Seconds for one of them: nobody else waits, and a slow disk is no reason to give up."""


class Ranges(StrEnum):
    """Which ranges the new cluster has."""

    KEEP = "keep"
    ONE = "one"


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(parser=data_directory, metavar="FILE", help="The backup.")],
    directory: Annotated[
        Path,
        typer.Argument(
            parser=data_directory, metavar="DIR", help="The data directory to make; not there yet, or empty."
        ),
    ],
    new_cluster: Annotated[
        bool,
        typer.Option(
            "--new-cluster", help="Required: what comes out is no member of the cluster that was backed up."
        ),
    ] = False,
    ranges: Annotated[
        Ranges, typer.Option(help="keep: the ranges of the backup; one: a single one for all keys.")
    ] = Ranges.KEEP,
    node_id: Annotated[
        int, typer.Option(min=1, max=LARGEST_NODE_ID, metavar="N", help="The id of the only node.")
    ] = 1,
    cluster: ClusterName = "multiraft",
    _json: JsonOption = False,
) -> None:
    """Make a data directory out of a backup: a new cluster of one node, with the same ranges and keys.

    The cluster has an identity of its own, so nodes of the old one will not talk to it. The backup is read
    to its end first: one that is cut off, damaged or something else is refused before anything is made. DIR
    appears under its name when all of it is on disk. Then "multiraft serve --data DIR" runs it.
    """
    if not new_cluster:
        raise typer.BadParameter(
            "a backup becomes a new cluster, never a member of an old one: say so", param_hint="--new-cluster"
        )

    def work() -> Fields:
        return _restore(file, directory, ranges, node_id, cluster)

    run_command(context, work, lambda fields: _show(fields, directory))


def _show(fields: Fields, directory: Path) -> None:
    ranges, keys = counted(fields["groups"], "range"), counted(fields["keys"], "key")
    print(f"{directory}: {ranges}, {keys}, {counted(fields['bytes'], 'byte')}")


def _restore(file: Path, directory: Path, ranges: Ranges, node_id: int, cluster: str) -> Fields:
    from ...engine.datadir import typed_errors  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.offline.backupreader import BackupReader  # noqa: PLC0415 # likewise

    with BackupReader(file) as reader, Phases() as phases:
        _check_free(directory)
        contents = reader.check()
        target = directory.absolute()
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            run_async(_fill(reader, contents, temporary, ranges, node_id, cluster, phases))
            with typed_errors(directory):
                _sync(temporary)
                temporary.rename(target)
                _sync_one(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    groups = contents.totals.groups if ranges is Ranges.KEEP else 1
    return {**contents.totals._asdict(), "groups": groups}


def _check_free(directory: Path) -> None:
    """Raises CommandFailed: there is something at the directory's place."""
    if directory.is_dir() and not directory.is_symlink():
        if any(directory.iterdir()):
            raise CommandFailed(f"{directory} is not empty: a restore makes a directory of its own")
    elif directory.is_symlink() or directory.exists():
        raise CommandFailed(f"{directory} exists already, and is not an empty directory")


async def _fill(
    reader: "BackupReader",
    contents: "BackupContents",
    directory: Path,
    ranges: Ranges,
    node_id: int,
    cluster: str,
    phases: Phases,
) -> None:
    """Make a node in a directory and write everything to it, as any user would."""
    from ...engine.config import EngineConfig  # noqa: PLC0415 # `--help` must not pay for it
    from ..engine import Engine  # noqa: PLC0415 # likewise

    config = EngineConfig(durability="none")  # it is synced as a whole, before it gets its name
    async with Engine.open(directory, node_id=node_id, cluster=cluster, ranges=0, config=config) as engine:
        if ranges is Ranges.ONE:
            await engine.create_ranges(1)
        else:
            for run in runs_of(contents.ranges):
                cuts = [start for start, _ in run[1:]]
                await engine.create_ranges(splits=cuts, between=(run[0][0], run[-1][1]))
        await _write_all(reader, contents.totals, engine, patient(phases))


async def _write_all(
    reader: "BackupReader", totals: "Totals", engine: "Engine", progress: Callable[[str, int, int], None]
) -> None:
    """Write the pairs of each block as one batch, several at once."""

    async def write(pairs: list[tuple[bytes, bytes]]) -> None:
        async with engine.batch(timeout=WRITE_TIMEOUT) as batch:
            for key, value in pairs:
                batch.put(key, value)

    done = 0
    blocks = (part.pairs for part in reader.parts() if part.pairs)
    while some := list(islice(blocks, BATCHES)):
        await together(*map(write, some))
        done += sum(map(len, some))
        progress("keys", done, totals.keys)


def runs_of(ranges: Iterable[Interval]) -> Iterator[list[Interval]]:
    """Ascending ranges in runs without a gap."""
    run: list[Interval] = []
    for one in ranges:
        if run and run[-1][1] != one[0]:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _sync(directory: Path) -> None:
    """Make everything in a directory durable."""
    for folder, _, files in os.walk(directory):
        for name in files:
            _sync_one(Path(folder) / name)
        _sync_one(Path(folder))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
