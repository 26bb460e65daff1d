"""Handing a turn's writes over: the index takes them in, and their APPEND section is encoded."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from ...raft.entry import Entry
from ...raft.errors import Misuse
from .blob import PART_HARD_STATE, PART_TRUNCATION, BlobWriter, MetaRow, RowColumns
from .cache import ENTRY_COST
from .change import Change, Index
from .metas import MetaKind, SnapshotPoint, encode_birth, encode_snapshot_point
from .port import GroupWrite

_run_start = struct.Struct("<QI").unpack_from


class Handed(NamedTuple):
    """What was handed over, beside the section itself."""

    metas: list[MetaRow]
    entries: dict[int, Sequence[Entry]]
    """By offset of their run in the blob."""
    cost: int
    """Bytes that these entries take in the cache, about."""


def hand_over(index: Index, change: Change, blob: BlobWriter, writes: Sequence[GroupWrite]) -> Handed:
    """Apply the writes to the index and add their section to the blob. Raises `Misuse`."""
    at = blob.runs_at(len(writes))
    metas: list[MetaRow] = []
    entries: dict[int, Sequence[Entry]] = {}
    hard_states: list[int] = []
    truncations: list[int] = []
    parts = bytearray(len(writes))
    cost = 0
    for number, write in enumerate(writes):
        if write.tombstone or write.birth is not None or write.snapshot_point is not None:
            metas += _rare_parts(index, change, write, number)
            if write.tombstone:
                continue
        log = index.groups.get(write.group)
        if log is None or log.replica_id != write.replica_id:
            raise Misuse(f"group {write.group} has no replica {write.replica_id} here")
        run = write.run
        if run or write.entries:
            appended = write.entries if type(write.entries) is tuple else tuple(write.entries)
            if not appended or _run_start(run) != (appended[0].index, len(appended)):
                raise Misuse(f"group {write.group}: the run does not hold the entries that come with it")
            change.append(log, appended, at, len(run))
            entries[at] = appended
            cost += len(run) + ENTRY_COST * len(appended)
            at += len(run)
        if write.truncate is not None and write.truncate[0] >= log.first_index:
            change.truncate(log, *write.truncate)
            truncations += write.truncate
            parts[number] |= PART_TRUNCATION
        if write.hard_state is not None:
            change.set_hard_state(log, write.hard_state)
            hard_states += write.hard_state
            parts[number] |= PART_HARD_STATE
    columns = RowColumns(
        groups=[write.group for write in writes],
        replicas=[write.replica_id for write in writes],
        lengths=[len(write.run) for write in writes],
        parts=bytes(parts),
        hard_states=hard_states,
        truncations=truncations,
    )
    blob.add_rows(columns, [write.run for write in writes])
    return Handed(metas, entries, cost)


def _rare_parts(index: Index, change: Change, write: GroupWrite, number: int) -> list[MetaRow]:
    """What happens once in a replica's life, or nearly so."""
    row = (write.group, write.replica_id, change.seq, number)
    if write.tombstone:
        _check_alone(write)
        if not change.bury(write.group, write.replica_id):
            return []
        return [MetaRow(*row, MetaKind.TOMBSTONE, b"")]
    metas = []
    if write.birth is not None:
        if (write.birth.group, write.birth.replica_id) != (write.group, write.replica_id):
            raise Misuse(f"group {write.group}: the birth is that of another replica")
        change.bear(write.birth)
        metas.append(MetaRow(*row, MetaKind.BIRTH, encode_birth(write.birth)))
    if write.snapshot_point is not None:
        point = SnapshotPoint(*write.snapshot_point)
        log = index.groups.get(write.group)
        if log is None or log.replica_id != write.replica_id:
            raise Misuse(f"group {write.group} has no replica {write.replica_id} here")
        change.reset(log, point.index, point.term, point.conf_state)
        metas.append(MetaRow(*row, MetaKind.SNAPSHOT_POINT, encode_snapshot_point(point)))
    return metas


def _check_alone(write: GroupWrite) -> None:
    others = (write.hard_state, write.snapshot_point, write.truncate, write.birth)
    if write.entries or write.run or any(other is not None for other in others):
        raise Misuse(f"group {write.group}: a tombstone stands alone in its write")
