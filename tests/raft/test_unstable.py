"""The unstable part of the log: handing out, attestations, replacement while something is being written."""

import pytest

from multiraft.raft import Entry, Snapshot
from multiraft.raft.unstable import Unstable


def entries(first: int, *terms: int) -> list[Entry]:
    return [Entry(term, index) for index, term in enumerate(terms, first)]


def holding(first: int, *terms: int, accepted: bool = False) -> Unstable:
    unstable = Unstable(first)
    unstable.truncate_and_append(entries(first, *terms))
    if accepted:
        unstable.accept_in_progress()
    return unstable


def test_empty_knows_nothing():
    unstable = Unstable(5)
    assert unstable.last_index() == 4, "the end of the stable log"
    assert unstable.term(4) is None
    assert unstable.next_entries() == []
    assert not unstable.has_next_entries()


@pytest.mark.parametrize("index", [4, 7, 8, 100])
def test_attestation_of_what_is_not_here_changes_nothing(index: int):
    unstable = holding(5, 1, 1)
    unstable.stable_to(1, index)
    assert (unstable.offset, len(unstable.entries)) == (5, 2)


@pytest.mark.parametrize("offset", range(1, 9))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_entries_are_next_until_they_are_handed_out(offset: int, count: int):
    unstable = holding(offset, *[1] * count)
    assert unstable.has_next_entries()
    unstable.accept_in_progress()
    assert not unstable.has_next_entries()


def test_terms_and_last_index():
    unstable = holding(5, 1, 2)
    assert unstable.last_index() == 6
    assert [unstable.term(index) for index in (4, 5, 6, 7)] == [None, 1, 2, None]


def test_snapshot_stands_before_the_entries():
    unstable = Unstable(5)
    unstable.restore(Snapshot(9, 3))
    assert (unstable.offset, unstable.last_index(), unstable.term(9)) == (10, 9, 3)
    unstable.truncate_and_append(entries(10, 4))
    assert (unstable.last_index(), unstable.term(9), unstable.term(10)) == (10, 3, 4)


def test_entries_are_handed_out_once():
    unstable = holding(5, 1, accepted=True)
    unstable.truncate_and_append(entries(6, 1))
    assert [entry.index for entry in unstable.next_entries()] == [6]
    unstable.accept_in_progress()
    assert not unstable.has_next_entries()


def test_snapshot_is_handed_out_once_and_forgotten_when_durable():
    unstable = Unstable(1)
    unstable.restore(Snapshot(9, 3))
    assert unstable.next_snapshot() is not None
    unstable.accept_in_progress()
    assert unstable.next_snapshot() is None
    unstable.stable_snapshot_to(8)
    assert unstable.snapshot is not None
    unstable.stable_snapshot_to(9)
    assert unstable.snapshot is None
    assert not unstable.snapshot_in_progress


@pytest.mark.parametrize(
    ("term", "index", "offset", "left"),
    [
        (1, 5, 6, 2),
        (2, 7, 8, 0),
        (1, 4, 5, 3),
        (2, 5, 5, 3),  # another term: those entries were replaced
        (2, 8, 5, 3),  # beyond the end: those entries were cut off
    ],
)
def test_attestation_counts_for_the_entry_it_names(term: int, index: int, offset: int, left: int):
    unstable = holding(5, 1, 1, 2, accepted=True)
    unstable.stable_to(term, index)
    assert (unstable.offset, len(unstable.entries)) == (offset, left)
    assert unstable.offset <= unstable.offset_in_progress <= unstable.offset + len(unstable.entries)


def test_attestation_of_what_is_not_handed_out_counts_as_handed_out():
    unstable = holding(5, 1, 1)
    unstable.stable_to(1, 5)
    assert unstable.offset_in_progress == 6


@pytest.mark.parametrize(
    ("first", "expected", "offset", "in_progress"),
    [
        (8, [1, 1, 1, 9], 5, 7),  # behind the end
        (7, [1, 1, 9], 5, 7),  # replaces what is not handed out yet
        (6, [1, 9], 5, 6),  # replaces what is being written: it is handed out again
        (5, [9], 5, 5),
        (3, [9], 3, 3),  # replaces stable entries as well
    ],
)
def test_replacement(first: int, expected: list[int], offset: int, in_progress: int):
    unstable = holding(5, 1, 1, accepted=True)
    unstable.truncate_and_append(entries(7, 1))
    unstable.truncate_and_append(entries(first, 9))
    assert [entry.term for entry in unstable.entries] == expected
    assert (unstable.offset, unstable.offset_in_progress) == (offset, in_progress)
    assert unstable.next_entries()[-1].term == 9


def test_what_was_handed_out_is_not_changed_by_a_replacement():
    unstable = holding(5, 1, 1)
    handed_out = unstable.next_entries()
    unstable.truncate_and_append(entries(6, 9))
    assert [entry.term for entry in handed_out] == [1, 1]


def test_a_gap_is_a_bug():
    with pytest.raises(AssertionError, match="gap"):
        holding(5, 1).truncate_and_append(entries(7, 1))
