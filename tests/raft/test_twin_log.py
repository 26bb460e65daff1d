"""The log against a second implementation: one list, and a mark for how much of it is durable."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from multiraft.raft import Compacted, CorruptLog, Entry, EntryId, MemoryStorage, Misuse, Snapshot, Unavailable
from multiraft.raft.entry import encoded_sizes
from multiraft.raft.log import RaftLog

pytestmark = pytest.mark.unwatched  # there is no replica here


class Twin:
    """A log as a list: `entries[0]` has index `base` + 1; up to `stable` it is durable."""

    def __init__(self) -> None:
        self.base, self.base_term = 0, 0
        self.entries: list[Entry] = []
        self.stable = self.committed = self.applied = 0
        self.snapshot: Snapshot | None = None

    @property
    def last(self) -> int:
        return self.base + len(self.entries)

    def term(self, index: int) -> int | None:
        if index == self.base:
            return self.base_term
        return self.entries[index - self.base - 1].term if self.base < index <= self.last else None

    def cut_and_append(self, entries: list[Entry]) -> None:
        first = entries[0].index
        del self.entries[first - self.base - 1 :]
        self.entries += entries
        self.stable = min(self.stable, first - 1)

    def follows(self, prev_term: int, prev: int, entries: list[Entry], committed: int) -> int | None:
        """The rules for followers of §5.3, in the paper's order."""
        if self.term(prev) != prev_term:
            return None
        for position, entry in enumerate(entries):
            if self.term(entry.index) != entry.term:
                self.cut_and_append(entries[position:])
                break
        self.committed = max(self.committed, min(committed, prev + len(entries)))
        return prev + len(entries)

    def conflict(self, index: int, term: int) -> EntryId:
        for place in range(index, 0, -1):
            if (self.term(place) or 0) <= term:
                return EntryId(self.term(place) or 0, place)
        return EntryId(0, 0)

    def some(self, low: int, limit: int | None) -> list[Entry]:
        taken: list[Entry] = []
        for entry in self.entries[low - self.base - 1 :]:
            if taken and limit is not None and encoded_sizes([*taken, entry]) > limit:
                break
            taken.append(entry)
        return taken


class LogMachine(RuleBasedStateMachine):
    """Every operation on both; writes reach the disk in batches, in order, and may be overtaken."""

    @initialize()
    def begin(self) -> None:
        self.storage = MemoryStorage()
        self.log, self.twin, self.term = RaftLog(self.storage), Twin(), 1
        self.writing: list[tuple[Snapshot | None, list[Entry], EntryId, int]] = []

    def entries(self, first: int, terms: list[int]) -> list[Entry]:
        return [Entry(term, first + n, data=b"%d" % term * (first % 4)) for n, term in enumerate(terms)]

    @rule(count=st.integers(1, 3))
    def lead(self, count: int) -> None:
        """A leader appends entries of its term."""
        entries = self.entries(self.twin.last + 1, [self.term] * count)
        self.log.append(list(entries))
        self.twin.cut_and_append(entries)

    @rule(
        back=st.integers(0, 5),
        wrong=st.booleans(),
        old=st.integers(0, 3),
        new=st.integers(0, 3),
        commit=st.integers(0, 30),
    )
    def follow(self, back: int, wrong: bool, old: int, new: int, commit: int) -> None:
        """A leader of a new term sends entries, some of them here already, none against what is committed."""
        self.term += 1
        prev = max(self.twin.last - back, self.twin.committed)
        prev_term = (self.twin.term(prev) or 0) + wrong
        known = self.twin.entries[prev - self.twin.base : prev - self.twin.base + old]
        fresh = self.entries(prev + 1 + len(known), [self.term] * new)
        entries = [*known, *fresh]
        expected = self.twin.follows(prev_term, prev, entries, commit)
        assert self.log.maybe_append(prev_term, prev, entries, commit) == expected

    @rule(by=st.integers(0, 4))
    def commit(self, by: int) -> None:
        index = min(self.twin.committed + by, self.twin.last)
        self.twin.committed = index
        self.log.commit_to(index)

    @rule()
    def commit_too_much(self) -> None:
        with pytest.raises(CorruptLog):
            self.log.commit_to(self.twin.last + 1)

    @rule(gap=st.integers(1, 6))
    def restore(self, gap: int) -> None:
        """A snapshot of more than is here replaces everything."""
        self.term += 1
        snapshot = Snapshot(self.twin.last + gap, self.term)
        self.log.restore(snapshot)
        twin = self.twin
        twin.base, twin.base_term, twin.entries, twin.snapshot = snapshot.index, snapshot.term, [], snapshot
        twin.stable = twin.committed = snapshot.index

    @rule()
    def hand_out(self) -> None:
        """A batch goes to the disk: everything that is not on its way yet."""
        unstable = self.log.unstable
        snapshot, entries = unstable.next_snapshot(), list(unstable.next_entries())
        if snapshot is None and not entries:
            return
        first = entries[0].index if entries else self.twin.last + 1
        assert entries == self.twin.entries[first - self.twin.base - 1 :], "handed out up to the end"
        unstable.accept_in_progress()
        assert not unstable.has_next_entries()
        assert unstable.next_snapshot() is None
        self.writing.append(
            (snapshot, entries, EntryId(self.twin.term(self.twin.last) or 0, self.twin.last), self.term)
        )

    @precondition(lambda self: self.writing)
    @rule()
    def written(self) -> None:
        """The oldest batch is durable; it counts for entries only in the term in which it was handed out."""
        snapshot, entries, (term, index), in_term = self.writing.pop(0)
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
        self.storage.append(entries)
        if in_term == self.term and entries:
            self.log.unstable.stable_to(term, index)
            if self.twin.term(index) == term:
                self.twin.stable = max(self.twin.stable, index)
        if snapshot is not None:
            self.log.unstable.stable_snapshot_to(snapshot.index)
            if self.twin.snapshot == snapshot:
                self.twin.snapshot = None
                self.log.applied_to(max(snapshot.index, self.log.applied), 0)
                self.twin.applied = max(self.twin.applied, snapshot.index)

    @rule(count=st.integers(1, 3))
    def apply(self, count: int) -> None:
        """Only what is committed and durable is handed out, in order."""
        ready = self.log.next_committed(allow_unstable=False)
        up_to = 0 if self.twin.snapshot else min(self.twin.committed, self.twin.stable)
        assert [entry.index for entry in ready] == list(range(self.twin.applied + 1, up_to + 1))
        if ready:
            run = ready[:count]
            self.log.accept_applying(run, allow_unstable=False)
            self.log.applied_to(run[-1].index, 0)
            self.twin.applied = run[-1].index

    @precondition(lambda self: self.twin.snapshot is None and self.twin.applied > self.twin.base)
    @rule()
    def compact(self) -> None:
        twin, index = self.twin, self.twin.applied
        self.storage.compact(index)
        twin.base_term = twin.term(index) or 0
        del twin.entries[: index - twin.base]
        twin.base = index

    @rule(index=st.integers(0, 40), term=st.integers(0, 12))
    def questions(self, index: int, term: int) -> None:
        log, twin = self.log, self.twin
        known = twin.term(index)
        assert log.term_or_zero(index) == (known or 0)
        assert log.match_term(term, index) == (known == term)
        if known is None:
            with pytest.raises(Compacted if index < twin.base else Unavailable):
                log.term(index)
        last = EntryId(twin.term(twin.last) or 0, twin.last)
        assert log.is_up_to_date(term, index) == ((term, index) >= last)
        assert log.find_conflict_by_term(index, term) == twin.conflict(index, term)

    @rule(offset=st.integers(0, 8), limit=st.none() | st.integers(0, 60))
    def read(self, offset: int, limit: int | None) -> None:
        low = self.twin.base + 1 + offset
        assert list(self.log.entries(low, limit)) == self.twin.some(low, limit)

    @rule()
    def read_out_of_bounds(self) -> None:
        first, last = self.twin.base + 1, self.twin.last
        with pytest.raises(Compacted):
            self.log.slice(first - 1, first, None)
        with pytest.raises(CorruptLog):
            self.log.slice(first, last + 2, None)
        with pytest.raises(Misuse):
            self.log.slice(first + 1, first, None)

    @invariant()
    def same(self) -> None:
        log, twin = self.log, self.twin
        assert (log.first_index(), log.last_index()) == (twin.base + 1, twin.last)
        assert (log.committed, log.applied) == (twin.committed, twin.applied)
        assert log.last_id() == (twin.term(twin.last), twin.last)
        assert log.unstable.offset - 1 <= twin.stable or twin.snapshot, "more counts as durable than is"


TestTwinLog = LogMachine.TestCase
TestTwinLog.settings = settings(max_examples=60, stateful_step_count=40)
