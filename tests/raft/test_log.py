"""The log as a whole: ranges, matching, appending, committing, applying."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.raft import (
    Compacted,
    ConfState,
    CorruptLog,
    Entry,
    EntryId,
    MemoryStorage,
    Misuse,
    Snapshot,
    Unavailable,
)
from multiraft.raft.entry import encoded_sizes
from multiraft.raft.log import RaftLog
from tests.raft.harness import storage_with


def log_of(stable: Sequence[int], unstable: Sequence[int] = (), snapshot: int = 0, budget: int = 2**64 - 1):
    """A log with these terms behind a snapshot at the given index, of term 1."""
    log = RaftLog(storage_with(stable, snapshot=(snapshot, 1) if snapshot else (0, 0)), budget)
    first = log.last_index() + 1
    if unstable:
        log.append([Entry(term, index) for index, term in enumerate(unstable, first)])
    return log


def terms(log: RaftLog) -> list[int]:
    return [log.term(index) for index in range(log.first_index(), log.last_index() + 1)]


def test_range_covers_both_parts():
    log = log_of([1, 2], [3, 3], snapshot=10)
    assert (log.first_index(), log.last_index(), log.last_id()) == (11, 14, EntryId(3, 14))
    assert [log.term(index) for index in range(10, 15)] == [1, 1, 2, 3, 3]


def test_terms_outside_the_range():
    log = log_of([1], [2], snapshot=10)
    with pytest.raises(Compacted):
        log.term(9)
    with pytest.raises(Unavailable):
        log.term(13)
    assert log.term_or_zero(9) == log.term_or_zero(13) == 0
    assert not log.match_term(0, 13)


def test_an_unstable_snapshot_hides_the_stable_log():
    log = log_of([1, 1, 1], snapshot=10)
    log.restore(Snapshot(20, 4))
    assert (log.first_index(), log.last_index(), log.term(20), log.committed) == (21, 20, 4, 20)
    with pytest.raises(Compacted):
        log.term(12)
    assert not log.has_next_committed(allow_unstable=True)


@given(st.integers(0, 4), st.integers(0, 4), st.data())
def test_slice_is_the_same_whether_stable_or_not(stable: int, unstable: int, data: st.DataObject):
    log = log_of([1] * stable, [2] * unstable, snapshot=5)
    everything = [*log.entries(6, None)]
    low = data.draw(st.integers(6, log.last_index() + 1))
    high = data.draw(st.integers(low, log.last_index() + 1))
    limit = data.draw(st.none() | st.integers(0, 60))
    part = list(log.slice(low, high, limit))
    assert part == everything[low - 6 : low - 6 + len(part)]
    if limit is None:
        assert len(part) == high - low
    elif low < high:
        assert len(part) >= 1
        assert len(part) == 1 or encoded_sizes(part) <= limit
        if len(part) < high - low:
            assert encoded_sizes(everything[low - 6 : low - 5 + len(part)]) > limit


@pytest.mark.parametrize(("limit", "found"), [(11, 2), (12, 3), (15, 3), (16, 4), (17, 4)])
def test_unstable_entry_that_does_not_fit_behind_stable_ones_is_left_out(limit: int, found: int):
    """Four bytes each. At least one entry is returned, but not at least one of each part."""
    storage = MemoryStorage(ConfState((1,)))
    storage.append([Entry(1, 1), Entry(1, 2)])
    log = RaftLog(storage)
    log.append([Entry(1, 3), Entry(1, 4)])
    assert len(log.entries(1, limit)) == found


def test_slice_outside_the_range():
    log = log_of([1], [2], snapshot=10)
    with pytest.raises(Compacted):
        log.slice(10, 11, None)
    with pytest.raises(Misuse):
        log.slice(12, 11, None)
    with pytest.raises(CorruptLog) as error:
        log.slice(11, 15, None)
    assert error.value.index == 14
    assert log.entries(13, None) == ()


@pytest.mark.parametrize("kept", [slice(0, 0), slice(1, 2)])
def test_storage_that_leaves_out_the_first_entry_is_corrupt(kept: slice):
    class Gappy(MemoryStorage):
        def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
            return super().entries(low, high, max_size)[kept]

    storage = Gappy(ConfState((1,)))
    storage.append([Entry(1, 1), Entry(1, 2)])
    with pytest.raises(CorruptLog, match=r"lacks entries in \[1, 3\)"):
        RaftLog(storage).slice(1, 3, None)


def test_storage_that_lacks_what_it_announced_is_corrupt():
    class Lossy(MemoryStorage):
        def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
            raise Unavailable(low, low - 1)

    storage = Lossy(ConfState((1,)))
    storage.append([Entry(1, 1)])
    with pytest.raises(CorruptLog, match="lacks entries"):
        RaftLog(storage).entries(1, None)


@pytest.mark.parametrize(
    ("term", "index", "up_to_date"),
    [(3, 4, True), (3, 3, True), (3, 2, False), (4, 1, True), (2, 9, False)],
)
def test_up_to_date_compares_terms_first(term: int, index: int, up_to_date: bool):
    assert log_of([1, 2, 3]).is_up_to_date(term, index) is up_to_date


@pytest.mark.parametrize(
    ("prev", "new", "leader_commit", "last_new", "expected", "commit"),
    [
        ((3, 3), [4], 1, 4, [1, 2, 3, 4], 1),
        ((3, 3), [], 3, 3, [1, 2, 3], 3),
        ((3, 3), [], 9, 3, [1, 2, 3], 3),
        ((2, 2), [3], 9, 3, [1, 2, 3], 3),
        ((1, 1), [2], 9, 2, [1, 2, 3], 2),  # an old append cuts nothing off
        ((2, 2), [4, 4], 1, 4, [1, 2, 4, 4], 1),
        ((1, 1), [4], 2, 2, [1, 4], 2),
        ((2, 3), [4], 3, None, [1, 2, 3], 1),
        ((3, 4), [4], 3, None, [1, 2, 3], 1),
    ],
)
def test_maybe_append(prev, new, leader_commit, last_new, expected, commit):
    log = log_of([1, 2, 3])
    log.commit_to(1)
    fresh = [Entry(term, prev[1] + n) for n, term in enumerate(new, 1)]
    assert log.maybe_append(*prev, fresh, leader_commit) == last_new
    assert (terms(log), log.committed) == (expected, commit)


def test_replacing_a_committed_entry_is_corruption():
    log = log_of([1, 2, 3])
    log.commit_to(2)
    for first in (1, 2):
        with pytest.raises(CorruptLog, match="would replace committed"):
            log.maybe_append(first - 1, first - 1, [Entry(4, first)], 0)


def test_commit_never_falls_and_never_passes_the_end():
    log = log_of([1, 2])
    log.commit_to(2)
    log.commit_to(1)
    assert log.committed == 2
    with pytest.raises(CorruptLog):
        log.commit_to(3)


@pytest.mark.parametrize(
    ("own", "index", "term", "expected"),
    [
        ([1, 1, 2, 2, 4], 5, 3, (2, 4)),
        ([1, 1, 2, 2, 4], 5, 4, (4, 5)),
        ([1, 1, 2, 2, 4], 3, 1, (1, 2)),
        ([1, 2], 2, 1, (1, 1)),
        ([1, 2], 0, 9, (0, 0)),
        ([2, 2], 2, 1, (0, 0)),
        ([1, 1], 5, 1, (0, 5)),  # beyond the end: unknown, so perhaps
    ],
)
def test_conflict_hint(own: list[int], index: int, term: int, expected: tuple[int, int]):
    assert log_of(own).find_conflict_by_term(index, term) == EntryId(*expected)


def test_conflict_hint_stops_at_the_compaction_boundary():
    assert log_of([5, 5], snapshot=10).find_conflict_by_term(12, 2) == EntryId(1, 10)
    assert log_of([5, 5], snapshot=10).find_conflict_by_term(12, 0) == EntryId(0, 9)


def test_only_durable_entries_are_applied_unless_allowed():
    log = log_of([1], [1, 1])
    log.commit_to(3)
    assert [entry.index for entry in log.next_committed(allow_unstable=False)] == [1]
    assert [entry.index for entry in log.next_committed(allow_unstable=True)] == [1, 2, 3]
    log.unstable.accept_in_progress()
    log.unstable.stable_to(1, 2)
    log.storage.append([Entry(1, 2)])
    assert [entry.index for entry in log.next_committed(allow_unstable=False)] == [1, 2]


def test_apply_budget_pauses_and_resumes():
    log = log_of([1] * 5, budget=14)  # entries of 7 bytes: two at a time
    log.commit_to(5)
    first = log.next_committed(allow_unstable=False)
    log.accept_applying(first, allow_unstable=False)
    assert [entry.index for entry in first] == [1, 2]
    assert log.applying_paused
    assert log.next_committed(allow_unstable=False) == []
    log.applied_to(1, 7)
    assert [entry.index for entry in log.next_committed(allow_unstable=False)] == [3]


def test_applied_index_stays_within_its_bounds():
    log = log_of([1, 1, 1])
    log.commit_to(2)
    log.applied_to(1, 0)
    for index in (0, 3):
        with pytest.raises(Misuse):
            log.applied_to(index, 0)


def test_pages_cover_the_range():
    log = log_of([1] * 7, budget=14)
    assert [len(page) for page in log.pages(2, 8)] == [2, 2, 2]
    assert list(log.pages(8, 8)) == []


def test_entries_compacted_before_being_applied_are_lost():
    log = log_of([1, 1, 1])
    log.commit_to(3)
    storage = log.storage
    assert isinstance(storage, MemoryStorage)
    storage.compact(2)
    with pytest.raises(CorruptLog, match="compacted before being applied"):
        log.next_committed(allow_unstable=False)
