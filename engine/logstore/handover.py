"""Handing a batch over: its writes become a section of the blob, and the index takes in those very bytes.

Recovery reads the same section in the same way, so that what is known after a start is what was known before.
"""

from collections.abc import Sequence
from itertools import chain
from struct import unpack
from typing import NamedTuple, Self

from ...native.errors import Refused
from ...native.logindex import PART_HARD_STATE, PART_TRUNCATION, LogIndex, Rows
from ...native.nursery import WriteColumns
from ...raft.entry import Entry
from ...raft.errors import Misuse
from ...raft.state import HardState
from .blob import BlobWriter, MetaRow
from .cache import ENTRY_COST, BatchEntries
from .metas import MetaKind, SnapshotPoint, encode_birth, encode_members, encode_snapshot_point
from .port import GroupWrite


class Columns(NamedTuple):
    """The writes of a batch field by field: half the cost of a look at write after write."""

    groups: list[int]
    replicas: list[int]
    hard_states: list[HardState | None]
    entries: list[Sequence[Entry]]
    runs: list[bytes]
    truncates: list[tuple[int, int] | None]

    @classmethod
    def of(cls, writes: Sequence[GroupWrite]) -> Self:
        """Those of the writes; their rare parts are left out."""
        return cls(
            [write.group for write in writes],
            [write.replica_id for write in writes],
            [write.hard_state for write in writes],
            [write.entries for write in writes],
            [write.run for write in writes],
            [write.truncate for write in writes],
        )

    def add_to(
        self, blob: BlobWriter, cuts: Sequence[tuple[int, int] | None], more: Sequence[WriteColumns] = ()
    ) -> tuple[memoryview, int]:
        """Add the section of the rows, with the truncations `cuts`: its bytes, and where they stand."""
        return blob.add_rows(
            self.groups,
            self.replicas,
            self.runs,
            list(map(len, self.runs)),
            _parts(self.hard_states, cuts),
            list(chain.from_iterable(filter(None, self.hard_states))),
            list(chain.from_iterable(filter(None, cuts))),
            more,
        )


class Handed(NamedTuple):
    """What was handed over, beside the section itself."""

    groups: Sequence[int]
    metas: list[MetaRow]
    entries: BatchEntries | None
    """For the cache; None if there are none."""


def hand_over(
    index: LogIndex,
    seq: int,
    blob: BlobWriter,
    writes: Sequence[GroupWrite],
    more: Sequence[WriteColumns] = (),
) -> Handed:
    """Add the section of the writes to the blob and apply it to the index. Raises `Misuse`."""
    if not writes and not more:
        return Handed((), [], None)
    columns = Columns.of(writes)
    appended = columns.entries
    full = all(appended)
    if not (full and all(columns.runs)) and list(map(bool, columns.runs)) != list(map(bool, appended)):
        raise Misuse("a write has a run without entries, or entries without their run")
    rare = _has_rare_parts(writes)
    cuts = _cuts(index, writes, columns.truncates, rare=rare)
    section, base = columns.add_to(blob, cuts, more)
    rows = Rows(section, base, len(writes) + sum(one.rows for one in more), rewritten=False)
    before = index.totals().entries
    metas = _take(index, seq, writes, rows, rare=rare)
    groups = [*columns.groups, *chain.from_iterable(_numbers(one.groups) for one in more)]
    if not any(appended):
        return Handed(groups, metas, None)
    cost = len(section) + ENTRY_COST * (index.totals().entries - before)
    return Handed(groups, metas, BatchEntries(columns.groups, appended, cost))


def _has_rare_parts(writes: Sequence[GroupWrite]) -> bool:
    """Whether a write has more than rows. A generator would take twice as long."""
    for write in writes:
        if write.birth is not None or write.snapshot_point is not None or write.tombstone:
            return True
    return False


def _take(
    index: LogIndex, seq: int, writes: Sequence[GroupWrite], rows: Rows, *, rare: bool
) -> list[MetaRow]:
    """Apply the rows, and the `rare` parts between them, to the index; returns META rows of the latter."""
    metas: list[MetaRow] = []
    try:
        for number, write in enumerate(writes if rare else ()):
            if write.tombstone or write.birth is not None or write.snapshot_point is not None:
                index.append(rows, number)
                metas += _rare_parts(index, seq, write, number)
        index.append(rows, rows.count)
    except Refused as error:
        raise Misuse(f"the log cannot take the batch: {error}") from error
    return metas


def _timely(
    index: LogIndex, writes: Sequence[GroupWrite], truncates: Sequence[tuple[int, int] | None]
) -> list[tuple[int, int] | None]:
    """The truncations without those of entries that are gone: written, they would move the point back."""
    points: dict[int, int] = {}
    timely = list(truncates)
    for number, write in enumerate(writes):
        if write.snapshot_point is not None:
            points[write.group] = write.snapshot_point[0]
        cut = write.truncate
        if cut is not None:
            log = None if write.birth is not None else index.log(write.group)
            point = points.get(write.group, 0 if log is None else log.point[0])
            if cut[0] <= point:
                timely[number] = None
            else:
                points[write.group] = cut[0]
    return timely


def _cuts(
    index: LogIndex,
    writes: Sequence[GroupWrite],
    truncates: Sequence[tuple[int, int] | None],
    *,
    rare: bool,
) -> Sequence[tuple[int, int] | None]:
    """The truncations to be written. Of a thousand writes few have one: only those are looked at."""
    if not any(truncates):
        return truncates
    if rare:
        return _timely(index, writes, truncates)
    few = [number for number, cut in enumerate(truncates) if cut is not None]
    timely = list(truncates)
    found = [truncates[number] for number in few]
    for number, cut in zip(few, _timely(index, [writes[number] for number in few], found), strict=True):
        timely[number] = cut
    return timely


def _parts(hard_states: Sequence[object], truncates: Sequence[object]) -> bytes:
    """What each row has."""
    if not all(hard_states):
        parts = bytearray(PART_HARD_STATE if state is not None else 0 for state in hard_states)
    else:
        parts = bytearray((PART_HARD_STATE,)) * len(hard_states)
    if any(truncates):
        for number, cut in enumerate(truncates):
            if cut is not None:
                parts[number] |= PART_TRUNCATION
    return bytes(parts)


def _rare_parts(index: LogIndex, seq: int, write: GroupWrite, number: int) -> list[MetaRow]:
    """What happens once in a replica's life, or nearly so."""
    row = (write.group, write.replica_id, seq, number)
    if write.tombstone:
        _check_alone(write)
        fresh = index.bury(write.group, write.replica_id)
        return [MetaRow(*row, MetaKind.TOMBSTONE, b"")] if fresh else []
    metas = []
    if write.birth is not None:
        if (write.birth.group, write.birth.replica_id) != (write.group, write.replica_id):
            raise Misuse(f"group {write.group}: the birth is that of another replica")
        body = encode_birth(write.birth)
        index.bear(write.group, write.replica_id, body)
        metas.append(MetaRow(*row, MetaKind.BIRTH, body))
    if write.snapshot_point is not None:
        point = SnapshotPoint(*write.snapshot_point)
        members = encode_members(point.conf_state)
        index.reset(write.group, write.replica_id, point.index, point.term, members)
        metas.append(MetaRow(*row, MetaKind.SNAPSHOT_POINT, encode_snapshot_point(point)))
    return metas


def _numbers(column: bytes) -> tuple[int, ...]:
    return unpack(f"<{len(column) // 8}Q", column)


def _check_alone(write: GroupWrite) -> None:
    others = (write.hard_state, write.snapshot_point, write.truncate, write.birth)
    if write.entries or write.run or any(other is not None for other in others):
        raise Misuse(f"group {write.group}: a tombstone stands alone in its write")
