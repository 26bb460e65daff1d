"""What one batch does to the index, at hand-over, and how it is undone when the batch fails.

Undoing runs backwards over records of what was there before, so each record may rely on the state that
its own change left behind.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from ...raft.entry import Entry
from ...raft.errors import Misuse
from ...raft.state import ConfState, HardState
from .index import LENGTH_BITS, GroupIndex, Kept, place, placed_bytes
from .ledger import STATE_BYTES, Ledger, StoredBatch
from .port import Birth

Tombstones = dict[int, Kept[int]]
StateName = Literal["birth", "conf_state", "hard_state", "point"]
STATE_NAMES: tuple[StateName, ...] = ("birth", "conf_state", "hard_state", "point")


class Index:
    """All that is known in memory: replicas, tombstones (value: highest replica id removed), batches."""

    def __init__(self) -> None:
        self.groups: dict[int, GroupIndex] = {}
        self.tombstones: Tombstones = {}
        self.ledger = Ledger()


class Change:
    """One batch's changes of the index."""

    def __init__(self, index: Index, seq: int) -> None:
        self.seq = seq
        self.batch = index.ledger.open(seq)
        self.retired: list[StoredBatch] = []
        """Batches that the same transaction deletes, oldest first."""
        self._index = index
        self._ledger = index.ledger
        self._live_bytes_before = index.ledger.live_bytes
        self._undo: list[tuple[Any, ...]] = []
        """A function and its arguments each."""
        self._died: list[int] = []
        """The carrier of each item that lives no more, since `settle`."""
        self._born = 0
        self._bytes = 0
        self._settled: list[Counter[int]] = []

    def settle(self) -> None:
        """Enter what was born and what died in the ledger, many items at a time."""
        died = Counter(self._died)
        del died[0]  # what follows from a birth is written nowhere
        for carrier, items in died.items():
            self._ledger.count(carrier, -items)
        self._settled.append(died)
        self._died.clear()
        self.batch.live += self._born
        self._ledger.live_bytes += self._bytes
        self._born = self._bytes = 0

    def undo(self) -> None:
        """Take everything back. Changes are undone newest first."""
        self._ledger.restore(self.retired)
        for died in self._settled:
            for carrier, items in died.items():
                self._ledger.count(carrier, items)
        for restore, *arguments in reversed(self._undo):
            restore(*arguments)
        self._ledger.withdraw(self.seq)
        self._ledger.live_bytes = self._live_bytes_before

    # -- the life of a replica -------------------------------------------------------------------

    def bear(self, birth: Birth) -> GroupIndex:
        """A replica begins to exist. `Misuse` if one does, or if this one was removed."""
        group = birth.group
        if group in self._index.groups:
            raise Misuse(f"group {group} has a replica here already")
        removed = self._index.tombstones.get(group)
        if removed is not None and birth.replica_id <= removed.value:
            raise Misuse(f"replica {birth.replica_id} of group {group} was removed and cannot come back")
        log = GroupIndex(Kept(birth, self.seq, self.seq))
        self._index.groups[group] = log
        self._undo.append((self._index.groups.pop, group))
        self._bear(STATE_BYTES)
        return log

    def bury(self, group: int, replica_id: int) -> bool:
        """A replica is removed; False if that is known. `Misuse` if another one lives here.

        It need not exist: a replica may be removed before it was ever born here.
        """
        log = self._index.groups.get(group)
        if log is not None:
            if log.replica_id != replica_id:
                raise Misuse(f"group {group} has replica {log.replica_id} here, not {replica_id}")
            del self._index.groups[group]
            self._undo.append((self._index.groups.__setitem__, group, log))
            self._empty(log, log.point.value[0])
            for name in STATE_NAMES:
                self._forget_state(getattr(log, name).carrier)
        before = self._index.tombstones.get(group)
        if before is not None and before.value >= replica_id:
            return False
        self.keep_tombstone(group, Kept(replica_id, self.seq, self.seq))
        return True

    def keep_tombstone(self, group: int, tombstone: Kept[int]) -> None:
        """Write a tombstone, or the same one elsewhere."""
        before = self._index.tombstones.get(group)
        self._index.tombstones[group] = tombstone
        if before is None:
            self._undo.append((self._index.tombstones.pop, group))
        else:
            self._forget_state(before.carrier)
            self._undo.append((self._index.tombstones.__setitem__, group, before))
        self._bear(STATE_BYTES)

    # -- small states ----------------------------------------------------------------------------

    def keep(self, log: GroupIndex, name: StateName, kept: Kept[Any]) -> None:
        """Set a small state, or move it to this batch."""
        before: Kept[Any] = getattr(log, name)
        setattr(log, name, kept)
        self._undo.append((setattr, log, name, before))
        self._forget_state(before.carrier)
        self._bear(STATE_BYTES)

    def set_hard_state(self, log: GroupIndex, hard_state: HardState) -> None:
        """Term, vote and commit of a replica: `keep` without its generality, for it is done all the time."""
        before = log.hard_state
        log.hard_state = Kept(hard_state, self.seq, self.seq)
        self._undo.append((_restore_hard_state, log, before))
        carrier = before.carrier
        self._died.append(carrier)
        self._born += 1
        if not carrier:
            self._bytes += STATE_BYTES

    def reset(self, log: GroupIndex, index: int, term: int, conf_state: ConfState) -> None:
        """The log is emptied and stands at a snapshot."""
        self._empty(log, index)
        self.keep(log, "point", Kept((index, term), self.seq, self.seq))
        self.keep(log, "conf_state", Kept(conf_state, self.seq, self.seq))

    def truncate(self, log: GroupIndex, index: int, term: int) -> None:
        """Entries up to `index` are dropped; nothing happens if they are gone. `Misuse` if it is not so."""
        if index < log.first_index:
            return
        if log.last_index < index or log.term(index) != term:
            raise Misuse(f"group {_name(log)}: no entry ({index}, term {term}) to truncate at")
        dropped = bisect_right(log.firsts, index + 1) - 1 if index < log.last_index else len(log.firsts)
        if dropped > 0:
            columns = (log.firsts[:dropped], log.carriers[:dropped], log.places[:dropped])
            self._undo.append((_prepend, log, columns))
            self._forget(log, 0, dropped)
            del log.firsts[:dropped], log.carriers[:dropped], log.places[:dropped]
        self._drop_terms(log, index + 1)
        self.keep(log, "point", Kept((index, term), self.seq, self.seq))

    # -- entries ---------------------------------------------------------------------------------

    def append(self, log: GroupIndex, entries: Sequence[Entry], run_at: int, run_length: int) -> None:
        """Entries follow, or replace all from their first index on. `Misuse` if they leave a gap."""
        first = entries[0].index
        last_index = log.last_index
        if first != last_index + 1:
            if first > last_index:
                raise Misuse(f"group {_name(log)}: entries from {first} leave a gap behind {last_index}")
            self._cut(log, first)
        terms = log.terms
        self._undo.append((_unappend, log, len(terms), log.last_index))
        log.firsts.append(first)
        log.carriers.append(self.seq)
        log.places.append(run_at << LENGTH_BITS | run_length)
        last = entries[-1]
        if not terms or terms[-1] != last.term:
            _note_terms(log, entries)
        log.last_index = last.index
        self._born += 1
        self._bytes += run_length

    def move_run(self, log: GroupIndex, position: int, first: int, run_at: int, run_length: int) -> None:
        """A segment's live part now stands in this batch, as a run that begins with `first`."""
        old = (log.firsts[position], log.carriers[position], log.places[position])
        self._undo.append((_put_segment, log, position, old))
        self._forget(log, position, position + 1)
        _put_segment(log, position, (first, self.seq, place(run_at, run_length)))
        self._bear(run_length)

    def _cut(self, log: GroupIndex, first: int) -> None:
        """Entries from `first` on are replaced: drop them."""
        if first < log.first_index:
            raise Misuse(f"group {_name(log)}: entry {first} is compacted, the first is {log.first_index}")
        if first == log.first_index:
            self._empty(log, first - 1)  # also a segment that begins before, in its truncated part
        else:
            self._cut_from(log, bisect_left(log.firsts, first), bisect_left(log.term_firsts, first))
            log.last_index = first - 1

    def _empty(self, log: GroupIndex, index: int) -> None:
        """Drop all entries; the log stands at `index`."""
        self._cut_from(log, 0, 0)
        log.last_index = index

    def _cut_from(self, log: GroupIndex, segment: int, term: int) -> None:
        """Drop segments and terms from these positions on."""
        columns = (log.firsts[segment:], log.carriers[segment:], log.places[segment:])
        terms = (log.term_firsts[term:], log.terms[term:])
        self._undo.append((_extend, log, columns, terms, log.last_index))
        self._forget(log, segment, len(log.firsts))
        del log.firsts[segment:], log.carriers[segment:], log.places[segment:]
        del log.term_firsts[term:], log.terms[term:]

    def _drop_terms(self, log: GroupIndex, first: int) -> None:
        """Forget terms that end before `first`."""
        passed = bisect_right(log.term_firsts, first) - 1 if first <= log.last_index else len(log.terms)
        if passed > 0:
            self._undo.append((_prepend_terms, log, log.term_firsts[:passed], log.terms[:passed]))
            del log.term_firsts[:passed], log.terms[:passed]

    # -- the account -----------------------------------------------------------------------------

    def retire_head(self) -> None:
        """The oldest batch goes with this transaction."""
        self.retired.append(self._ledger.retire_head())

    def _bear(self, size: int) -> None:
        self._born += 1
        self._bytes += size

    def _forget_state(self, carrier: int) -> None:
        if carrier:
            self._died.append(carrier)
            self._bytes -= STATE_BYTES

    def _forget(self, log: GroupIndex, start: int, stop: int) -> None:
        """The runs of these segments are dead."""
        self._died.extend(log.carriers[start:stop])
        self._bytes -= placed_bytes(log.places[start:stop])


def _name(log: GroupIndex) -> int:
    return log.birth.value.group


def _restore_hard_state(log: GroupIndex, before: Kept[HardState]) -> None:
    log.hard_state = before


def _note_terms(log: GroupIndex, entries: Sequence[Entry]) -> None:
    """Record where terms begin in appended entries."""
    known = log.terms[-1] if log.terms else None
    for entry in entries:
        if entry.term != known:
            known = entry.term
            log.term_firsts.append(entry.index)
            log.terms.append(known)


def _unappend(log: GroupIndex, terms: int, last_index: int) -> None:
    del log.firsts[-1], log.carriers[-1], log.places[-1]
    del log.term_firsts[terms:], log.terms[terms:]
    log.last_index = last_index


def _put_segment(log: GroupIndex, position: int, segment: tuple[int, int, int]) -> None:
    log.firsts[position], log.carriers[position], log.places[position] = segment


def _extend(
    log: GroupIndex,
    columns: tuple[array[int], array[int], array[int]],
    terms: tuple[array[int], array[int]],
    last_index: int,
) -> None:
    log.firsts.extend(columns[0])
    log.carriers.extend(columns[1])
    log.places.extend(columns[2])
    log.term_firsts.extend(terms[0])
    log.terms.extend(terms[1])
    log.last_index = last_index


def _prepend(log: GroupIndex, columns: tuple[array[int], array[int], array[int]]) -> None:
    log.firsts[:0], log.carriers[:0], log.places[:0] = columns


def _prepend_terms(log: GroupIndex, firsts: array[int], terms: array[int]) -> None:
    log.term_firsts[:0] = firsts
    log.terms[:0] = terms
