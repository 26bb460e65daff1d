"""The storage in memory: ranges, boundaries, and what is out of date."""

import pytest

from multiraft.raft import (
    Compacted,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Misuse,
    Snapshot,
    SnapshotOutOfDate,
    Unavailable,
)
from tests.raft.harness import storage_with


@pytest.fixture
def storage() -> MemoryStorage:
    """Entries 4, 5, 6 of terms 4, 5, 6 behind a snapshot at 3, of term 3."""
    return storage_with([4, 5, 6], snapshot=(3, 3))


def test_new_storage_is_empty():
    storage = MemoryStorage()
    assert (storage.first_index(), storage.last_index(), storage.term(0)) == (1, 0, 0)
    assert storage.initial_state() == (HardState(0, 0, 0), ConfState())
    assert storage.snapshot().index == 0


def test_range_and_terms(storage: MemoryStorage):
    assert (storage.first_index(), storage.last_index()) == (4, 6)
    assert [storage.term(index) for index in range(3, 7)] == [3, 4, 5, 6]
    with pytest.raises(Compacted):
        storage.term(2)
    for beyond in (7, 8):
        with pytest.raises(Unavailable):
            storage.term(beyond)


def test_entries_by_range_and_size(storage: MemoryStorage):
    assert [entry.index for entry in storage.entries(4, 7, None)] == [4, 5, 6]
    assert [entry.index for entry in storage.entries(5, 6, None)] == [5]
    assert [entry.index for entry in storage.entries(4, 7, 0)] == [4]
    assert [entry.index for entry in storage.entries(4, 7, 14)] == [4, 5]
    with pytest.raises(Compacted):
        storage.entries(3, 5, None)
    with pytest.raises(Unavailable) as error:
        storage.entries(5, 8, None)
    assert (error.value.index, error.value.last_index) == (7, 6)


@pytest.mark.parametrize(
    ("first", "terms", "expected"),
    [
        (7, [7], [4, 5, 6, 7]),
        (6, [7, 7], [4, 5, 7, 7]),
        (4, [7], [7]),
        (2, [3, 3, 7, 7], [7, 7]),
        (1, [1, 1], [4, 5, 6]),
        (7, [], [4, 5, 6]),
    ],
)
def test_append_replaces_from_its_first_index(
    storage: MemoryStorage, first: int, terms: list[int], expected: list[int]
):
    storage.append([Entry(term, first + n) for n, term in enumerate(terms)])
    stored = storage.entries(4, storage.last_index() + 1, None)
    assert [entry.term for entry in stored] == expected


def test_gap_is_refused(storage: MemoryStorage):
    with pytest.raises(Misuse, match="gap"):
        storage.append([Entry(8, 8)])


def test_compaction_keeps_the_term_at_the_boundary(storage: MemoryStorage):
    storage.compact(5)
    assert (storage.first_index(), storage.last_index(), storage.term(5)) == (6, 6, 5)
    with pytest.raises(Compacted):
        storage.compact(5)
    with pytest.raises(Unavailable):
        storage.compact(7)
    storage.compact(6)
    assert (storage.first_index(), storage.last_index(), storage.term(6)) == (7, 6, 6)


def test_snapshot_is_taken_where_it_stands_and_served(storage: MemoryStorage):
    snapshot = storage.create_snapshot(5, ConfState((1,)), b"five")
    assert snapshot == storage.snapshot() == Snapshot(5, 5, ConfState((1,)), b"five")
    assert storage.initial_state()[1] == ConfState((1,))
    assert storage.first_index() == 4
    with pytest.raises(SnapshotOutOfDate):
        storage.create_snapshot(5, ConfState(), b"")


def test_snapshot_received_replaces_the_log(storage: MemoryStorage):
    storage.apply_snapshot(Snapshot(9, 7, ConfState((1, 2)), b"nine"))
    assert (storage.first_index(), storage.last_index(), storage.term(9)) == (10, 9, 7)
    assert storage.initial_state()[1] == ConfState((1, 2))
    with pytest.raises(SnapshotOutOfDate):
        storage.apply_snapshot(Snapshot(9, 7))
