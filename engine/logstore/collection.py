"""Garbage collection: what is still alive in the oldest batches moves into the one being staged.

Batches go oldest first and only when nothing in them is alive, so that nothing older can ever come back.
Liveness is judged by the index as of the batches handed to the writer. Everything moved keeps its origin.
"""

import logging
from itertools import islice
from typing import NamedTuple

from ..errors import Corruption
from .blob import PART_HARD_STATE, PART_TRUNCATION, BlobWriter, Contents, MetaRow, Row, RowColumns, flat
from .change import STATE_NAMES, Change, Index, StateName
from .chunks import chunk_key, read_header
from .environment import Environment
from .index import GroupIndex, Kept
from .ledger import STATE_BYTES, CollectionPolicy, StoredBatch
from .metas import MetaKind, encode_birth, encode_members
from .recovery import open_batch
from .runs import BadRun, slice_run

logger = logging.getLogger(__name__)


class Collector:
    """Decides how much is collected with an append, and does it."""

    def __init__(self, environment: Environment, index: Index, policy: CollectionPolicy) -> None:
        self._environment = environment
        self._index = index
        self._policy = policy
        self.damage: Corruption | None = None
        """Set once when an old batch cannot be read; nothing is collected from then on."""

    def collect(self, change: Change, blob: BlobWriter, newest: int) -> list[MetaRow]:
        """Rewrite what lives in the oldest batches up to `newest` and retire them; returns META rows to add.

        A batch is moved whole, so the bound on live bytes may be passed by one batch.
        """
        ledger = self._index.ledger
        if self.damage is not None or not ledger.wants_collection(self._policy):
            return []
        bound = max(self._policy.live_bytes, blob.size)
        rescue = Rescue()
        dead = 0
        for stored in islice(ledger.from_oldest(), self._policy.batches):
            if stored.seq > newest or rescue.bytes >= bound or not self._examine(stored, rescue):
                break
            dead += 1
        metas = rewrite(change, blob, rescue) if rescue else []
        change.settle()
        for _ in range(dead):
            change.retire_head()
        return metas

    def _examine(self, stored: StoredBatch, rescue: "Rescue") -> bool:
        """Find what lives in a batch; False if the batch is damaged, and then nothing of it is taken."""
        if stored.live == 0:
            return True
        found = Rescue()
        try:
            blob, contents = open_batch(stored.seq, self._values(stored))
            find_live(self._index, stored.seq, blob, contents, found)
        except (Corruption, BadRun) as error:
            self.damage = error if isinstance(error, Corruption) else Corruption(str(error))
            logger.error("log collection stops at batch %d: %s", stored.seq, error)  # noqa: TRY400 - no bug of ours to trace
            return False
        rescue.add(found)
        return True

    def _values(self, stored: StoredBatch) -> list[bytes]:
        values = []
        with self._environment.reading() as get:
            for number in range(stored.chunks):
                value = get(chunk_key(stored.seq, number))
                if value is None:
                    raise Corruption(f"chunk {number} of log batch {stored.seq} is missing")
                read_header(value, stored.seq, number)
                values.append(bytes(value))
        return values


class MovedRun(NamedTuple):
    """Live entries to be written again."""

    group: int
    log: GroupIndex
    position: int
    first: int
    origin: int
    run: bytes


class MovedState(NamedTuple):
    """A small state to be written again."""

    group: int
    log: GroupIndex
    name: StateName


class Rescue:
    """What has been found alive so far."""

    def __init__(self) -> None:
        self.runs: list[MovedRun] = []
        self.states: list[MovedState] = []
        self.tombstones: list[tuple[int, Kept[int]]] = []
        self.bytes = 0

    def add(self, other: "Rescue") -> None:
        """Take in what was found in another batch."""
        self.runs += other.runs
        self.states += other.states
        self.tombstones += other.tombstones
        self.bytes += other.bytes + STATE_BYTES * (len(other.states) + len(other.tombstones))

    def __bool__(self) -> bool:
        return bool(self.runs or self.states or self.tombstones)


def find_live(index: Index, seq: int, blob: bytes, contents: Contents, rescue: Rescue) -> None:
    """Add everything alive in batch `seq` to `rescue`. Raises `BadRun`."""
    groups: set[int] = set()
    for part in (*contents.appended, *contents.rewritten):
        for row in part.read(seq):
            groups.add(row.group)
            log = index.groups.get(row.group)
            if row.run_length and log is not None:
                _find_live_run(log, row, seq, blob, rescue)
    groups.update(meta.group for meta in contents.metas)
    for group in sorted(groups):
        log = index.groups.get(group)
        if log is not None:
            for name in STATE_NAMES:
                if getattr(log, name).carrier == seq:
                    rescue.states.append(MovedState(group, log, name))
        tombstone = index.tombstones.get(group)
        if tombstone is not None and tombstone.carrier == seq:
            rescue.tombstones.append((group, tombstone))


def _find_live_run(log: GroupIndex, row: Row, seq: int, blob: bytes, rescue: Rescue) -> None:
    run = blob[row.run_at : row.run_at + row.run_length]
    position = log.position_of(int.from_bytes(run[:8], "little"), seq, row.run_at)
    if position is None:
        return
    low, high = log.live_part(position)
    run = slice_run(run, low, high)
    rescue.runs.append(MovedRun(row.group, log, position, low, row.origin, run))
    rescue.bytes += len(run)


def rewrite(change: Change, blob: BlobWriter, rescue: Rescue) -> list[MetaRow]:
    """Write what was rescued into the batch and point the index at it; returns the META rows to add."""
    rows: list[Row] = []
    metas: list[MetaRow] = []
    for group, log, name in rescue.states:
        kept: Kept[object] = getattr(log, name)
        moved = _state_row(group, log, name)
        if isinstance(moved, MetaRow):
            metas.append(moved)
        else:
            rows.append(moved)
        change.keep(log, name, Kept(kept.value, change.seq, kept.origin))
    for group, tombstone in rescue.tombstones:
        metas.append(MetaRow(group, tombstone.value, tombstone.origin, 0, MetaKind.TOMBSTONE, b""))
        change.keep_tombstone(group, Kept(tombstone.value, change.seq, tombstone.origin))
    rows += [
        Row(run.group, run.log.replica_id, run.origin, None, None, 0, len(run.run)) for run in rescue.runs
    ]
    if rows:
        at = blob.runs_at(len(rows), rewritten=True)
        blob.add_rows(_columns(rows), [run.run for run in rescue.runs])
        for run in rescue.runs:
            change.move_run(run.log, run.position, run.first, at, len(run.run))
            at += len(run.run)
    return metas


def _state_row(group: int, log: GroupIndex, name: StateName) -> Row | MetaRow:
    if name == "hard_state":
        return Row(group, log.replica_id, log.hard_state.origin, log.hard_state.value, None, 0, 0)
    if name == "point":
        return Row(group, log.replica_id, log.point.origin, None, log.point.value, 0, 0)
    if name == "birth":
        kind, origin, body = MetaKind.BIRTH, log.birth.origin, encode_birth(log.birth.value)
    else:
        kind, origin, body = MetaKind.MEMBERS, log.conf_state.origin, encode_members(log.conf_state.value)
    return MetaRow(group, log.replica_id, origin, 0, kind, body)


def _columns(rows: list[Row]) -> RowColumns:
    return RowColumns(
        groups=[row.group for row in rows],
        replicas=[row.replica_id for row in rows],
        lengths=[row.run_length for row in rows],
        parts=bytes([_parts(row) for row in rows]),
        hard_states=flat([row.hard_state for row in rows if row.hard_state is not None]),
        truncations=flat([row.truncation for row in rows if row.truncation is not None]),
        origins=[row.origin for row in rows],
    )


def _parts(row: Row) -> int:
    hard_state = PART_HARD_STATE if row.hard_state is not None else 0
    return hard_state | (PART_TRUNCATION if row.truncation is not None else 0)
