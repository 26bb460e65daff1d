"""Recovery: the index from a scan of the batches in the order of their sequence numbers.

Rewritten items come late in the scan but keep the place of their origin. Why one pass in carrier order is
enough: batches are deleted oldest first, and a batch only when everything alive in it has been rewritten.
So what a batch cut, truncated or replaced stood in batches before it, and these are gone, or still there
in full and scanned before it. A rewritten run was alive when it was written; it is put between its
neighbours and cuts nothing. If it ever overlapped one of them the store would be inconsistent, which is
reported and not resolved. Of small states the one with the greater origin counts.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

from ...raft.state import ConfState, HardState
from ..errors import Corruption
from .blob import Contents, MetaRow, Row
from .change import STATE_NAMES, Index, StateName
from .index import GroupIndex, Kept, place, placed_bytes
from .ledger import STATE_BYTES
from .metas import BadMeta, MetaKind, decode_birth, decode_members, decode_snapshot_point
from .port import Birth
from .runs import BadRun, run_bounds, term_changes


class _Segments:
    """The runs of a group found so far, ascending, with the end of each."""

    __slots__ = ("carriers", "ends", "firsts", "places", "terms", "turns")

    def __init__(self) -> None:
        self.firsts = array("Q")
        self.ends = array("Q")
        self.carriers = array("Q")
        self.places = array("Q")
        self.terms = array("Q")
        """Term of the first entry of each run."""
        self.turns: dict[int, list[tuple[int, int]]] = {}
        """For the few runs with several terms, by first index: (index, term) where each begins."""

    def insert(self, position: int, end: int, carrier: int, run: int, changes: list[tuple[int, int]]) -> None:
        """Put in a run that ends before `end`; `changes` as of `runs.term_changes`."""
        first, term = changes[0]
        self.firsts.insert(position, first)
        self.ends.insert(position, end)
        self.carriers.insert(position, carrier)
        self.places.insert(position, run)
        self.terms.insert(position, term)
        if len(changes) > 1:
            self.turns[first] = changes
        elif self.turns:
            self.turns.pop(first, None)

    def cut(self, first: int) -> None:
        """Entries from `first` on are replaced."""
        if self.ends and self.ends[-1] > first:
            self._drop(bisect_left(self.firsts, first), len(self.firsts))
            if self.ends and self.ends[-1] > first:
                self.ends[-1] = first

    def truncate(self, index: int) -> None:
        """Entries up to `index` are dropped."""
        self._drop(0, bisect_right(self.ends, index + 1))

    def gap_for(self, first: int, end: int) -> int | None:
        """The position where [first, end) fits in; None if a part of it is there already."""
        position = bisect_left(self.firsts, first)
        if position > 0 and self.ends[position - 1] > first:
            return None
        if position < len(self.firsts) and self.firsts[position] < end:
            return None
        return position

    def term_changes(self) -> Iterator[tuple[int, int]]:
        """(index, term) of each run and of each change within one."""
        for first, end, term in zip(self.firsts, self.ends, self.terms, strict=True):
            for change in self.turns.get(first, [(first, term)]):
                if change[0] < end:
                    yield change

    def _drop(self, start: int, stop: int) -> None:
        for column in (self.firsts, self.ends, self.carriers, self.places, self.terms):
            del column[start:stop]


class _Replica:
    """What has been found of a group's replica so far."""

    __slots__ = ("birth", "conf_state", "hard_state", "point", "replica_id", "segments")

    def __init__(self, replica_id: int) -> None:
        self.replica_id = replica_id
        self.birth: Kept[Birth] | None = None
        self.conf_state: Kept[ConfState] | None = None
        self.hard_state: Kept[HardState] | None = None
        self.point: Kept[tuple[int, int]] | None = None
        self.segments = _Segments()

    def keep(self, name: StateName, kept: Kept[Any]) -> None:
        """Of two values the one of the later origin counts."""
        known: Kept[Any] | None = getattr(self, name)
        if known is None or known.origin <= kept.origin:
            setattr(self, name, kept)


class Rebuild:
    """Takes batch after batch; `finish` gives the index."""

    def __init__(self) -> None:
        self._replicas: dict[int, _Replica] = {}
        self._index = Index()

    def take(self, seq: int, chunks: int, size: int, blob: bytes, contents: Contents) -> None:
        """The next batch. Raises `Corruption`."""
        ledger = self._index.ledger
        ledger.measure(ledger.open(seq), chunks, size)
        fresh: dict[int, list[MetaRow]] = {}
        for meta in contents.metas:
            if meta.origin == seq:
                fresh.setdefault(meta.write, []).append(meta)
        try:
            for rows in contents.appended:
                for number, row in enumerate(rows.read(seq)):
                    for meta in fresh.get(number, ()):
                        self._meta(meta, seq)
                    self._append(row, blob)
            for rows in contents.rewritten:
                for row in rows.read(seq):
                    self._rewritten(row, seq, blob)
            for meta in contents.metas:
                if meta.origin != seq:
                    self._rewritten_meta(meta, seq)
        except (BadRun, BadMeta) as error:
            raise Corruption(f"log batch {seq}: {error}") from error

    def finish(self) -> Index:
        """The index. Raises `Corruption` if something that must be there is missing."""
        for group, replica in self._replicas.items():
            log = _settled(group, replica)
            self._index.groups[group] = log
            self._account(log)
        for tombstone in self._index.tombstones.values():
            self._index.ledger.count(tombstone.carrier, 1)
            self._index.ledger.live_bytes += STATE_BYTES
        return self._index

    def _replica(self, group: int, replica_id: int) -> _Replica:
        replica = self._replicas.get(group)
        if replica is None:
            replica = self._replicas[group] = _Replica(replica_id)
        elif replica.replica_id != replica_id:
            raise Corruption(
                f"group {group} has rows of replicas {replica.replica_id} and {replica_id} at once", group
            )
        return replica

    def _meta(self, meta: MetaRow, seq: int) -> None:
        """A META row in the batch that wrote it first: it acts on all that was before."""
        if meta.kind is MetaKind.TOMBSTONE:
            self._replicas.pop(meta.group, None)
            self._tombstone(meta, seq)
            return
        replica = self._replica(meta.group, meta.replica_id)
        if meta.kind is MetaKind.BIRTH:
            birth = decode_birth(meta.group, meta.replica_id, meta.body)
            replica.keep("birth", Kept(birth, seq, seq))
        elif meta.kind is MetaKind.SNAPSHOT_POINT:
            point = decode_snapshot_point(meta.body)
            replica.segments = _Segments()
            replica.keep("point", Kept((point.index, point.term), seq, seq))
            replica.keep("conf_state", Kept(point.conf_state, seq, seq))
        else:
            raise BadMeta(f"{meta.kind.name} can only be rewritten")

    def _rewritten_meta(self, meta: MetaRow, seq: int) -> None:
        """A META row moved to this batch: it says what is, and acts on nothing."""
        if meta.kind is MetaKind.TOMBSTONE:
            self._tombstone(meta, seq)
        elif meta.kind is MetaKind.BIRTH:
            birth = decode_birth(meta.group, meta.replica_id, meta.body)
            self._replica(meta.group, meta.replica_id).keep("birth", Kept(birth, seq, meta.origin))
        elif meta.kind is MetaKind.MEMBERS:
            members = decode_members(meta.body)
            self._replica(meta.group, meta.replica_id).keep("conf_state", Kept(members, seq, meta.origin))
        else:
            raise BadMeta(f"{meta.kind.name} is never rewritten")

    def _tombstone(self, meta: MetaRow, seq: int) -> None:
        known = self._index.tombstones.get(meta.group)
        if known is None or known.origin <= meta.origin:
            self._index.tombstones[meta.group] = Kept(meta.replica_id, seq, meta.origin)

    def _append(self, row: Row, blob: bytes) -> None:
        """A row in the batch that wrote it first."""
        seq = row.origin
        if row.run_length:
            first, end = run_bounds(blob, row.run_at, row.run_length)
            segments = self._replica(row.group, row.replica_id).segments
            segments.cut(first)
            changes = term_changes(blob, row.run_at, first, end)
            segments.insert(len(segments.firsts), end, seq, place(row.run_at, row.run_length), changes)
        if row.truncation is not None:
            replica = self._replica(row.group, row.replica_id)
            replica.keep("point", Kept(row.truncation, seq, seq))
            replica.segments.truncate(row.truncation[0])
        if row.hard_state is not None:
            self._replica(row.group, row.replica_id).keep("hard_state", Kept(row.hard_state, seq, seq))

    def _rewritten(self, row: Row, seq: int, blob: bytes) -> None:
        """A row moved to this batch: it goes where it was and cuts nothing."""
        replica = self._replica(row.group, row.replica_id)
        if row.run_length:
            first, end = run_bounds(blob, row.run_at, row.run_length)
            segments = replica.segments
            position = segments.gap_for(first, end)
            if position is None:
                raise Corruption(f"group {row.group}: entry {first} is there twice", row.group, first)
            changes = term_changes(blob, row.run_at, first, end)
            segments.insert(position, end, seq, place(row.run_at, row.run_length), changes)
        if row.truncation is not None:
            replica.keep("point", Kept(row.truncation, seq, row.origin))
        if row.hard_state is not None:
            replica.keep("hard_state", Kept(row.hard_state, seq, row.origin))

    def _account(self, log: GroupIndex) -> None:
        ledger = self._index.ledger
        for carrier in log.carriers:
            ledger.count(carrier, 1)
        ledger.live_bytes += placed_bytes(log.places)
        for name in STATE_NAMES:
            carrier = getattr(log, name).carrier
            if carrier:
                ledger.count(carrier, 1)
                ledger.live_bytes += STATE_BYTES


def _settled(group: int, replica: _Replica) -> GroupIndex:
    """The index of one replica, checked: it was born, and its log has no hole."""
    if replica.birth is None:
        raise Corruption(f"the birth of group {group} is missing", group)
    log = GroupIndex(replica.birth)
    for name in STATE_NAMES:
        found = getattr(replica, name)
        if found is not None:
            setattr(log, name, found)
    segments = replica.segments
    segments.truncate(log.point.value[0])  # a cut may have left only what had been truncated before
    expected = min(log.first_index, segments.firsts[0]) if segments.firsts else log.first_index
    for first, end in zip(segments.firsts, segments.ends, strict=True):
        if first != expected:
            raise Corruption(f"group {group}: entry {expected} is missing", group, expected)
        expected = end
    if expected < log.first_index:
        raise Corruption(f"group {group}: entry {expected} is missing", group, expected)
    log.last_index = expected - 1
    log.firsts, log.carriers, log.places = segments.firsts, segments.carriers, segments.places
    for index, term in segments.term_changes():
        if not log.terms or log.terms[-1] != term:
            log.term_firsts.append(index)
            log.terms.append(term)
    return log
