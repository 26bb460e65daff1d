"""Writes in columns, as the objects that they stand for."""

from struct import iter_unpack

from multiraft.engine.logstore.port import GroupWrite
from multiraft.native.entries import decode_run
from multiraft.native.logindex import PART_HARD_STATE
from multiraft.native.nursery import WriteColumns
from multiraft.raft.entry import Entry
from multiraft.raft.state import HardState


def writes_of(columns: WriteColumns) -> list[GroupWrite]:
    """One object for each row, in order."""
    writes, at = [], 0
    hard_states = [HardState(*row) for row in iter_unpack("<3Q", columns.hard_states)]
    rows = zip(
        iter_unpack("<Q", columns.groups),
        iter_unpack("<Q", columns.replicas),
        iter_unpack("<I", columns.lengths),
        columns.parts,
        strict=True,
    )
    for (group,), (replica,), (length,), parts in rows:
        run, at = columns.runs[at : at + length], at + length
        hard_state = hard_states.pop(0) if parts & PART_HARD_STATE else None
        entries = decode_run(run, Entry)
        writes.append(GroupWrite(group, replica, hard_state, entries, run))
    assert (len(writes), at, hard_states) == (columns.rows, len(columns.runs), [])
    return writes
