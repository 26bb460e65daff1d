"""Sizes of entries, and cutting runs of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.raft import Change, ChangeType, ConfChange, Entry, EntryType, Transition
from multiraft.raft.confchange import encode_v1, encode_v2
from multiraft.raft.entry import encoded_size, encoded_sizes, limit_size, payload_sizes


def voter(*ids: int) -> ConfChange:
    return ConfChange(tuple(Change(ChangeType.ADD_VOTER, id_) for id_ in ids))


SIZES = {
    "the entry that opens a term": (Entry(1, 11), 4),
    "a proposal of one byte": (Entry(1, 11, data=b"x"), 7),
    "a refused change": (Entry(1, 11, EntryType.REFUSED_CHANGE), 6),
    "leaving by itself": (Entry(1, 11, EntryType.CONF_CHANGE_V2), 6),
    "leaving when asked": (Entry(1, 11, EntryType.CONF_CHANGE_V2, encode_v2(ConfChange())), 10),
    "v1 in the old encoding": (Entry(1, 11, EntryType.CONF_CHANGE, encode_v1(voter(1))), 12),
    "v1": (Entry(1, 11, EntryType.CONF_CHANGE_V2, encode_v2(voter(1))), 16),
    "v1 l200": (
        Entry(
            1,
            11,
            EntryType.CONF_CHANGE_V2,
            encode_v2(ConfChange((*voter(1).changes, Change(ChangeType.ADD_LEARNER, 200)))),
        ),
        23,
    ),
    "large numbers": (Entry(300, 2**32, data=b"x" * 200), 3 + 6 + 203),
}


@pytest.mark.parametrize(("entry", "size"), SIZES.values(), ids=SIZES.keys())
def test_encoded_size_is_the_references(entry: Entry, size: int):
    assert encoded_size(entry) == size


def test_transition_has_a_size_of_its_own():
    explicit = ConfChange(transition=Transition.JOINT_EXPLICIT)
    assert len(encode_v2(explicit)) == len(encode_v2(ConfChange())) == 2


entries = st.lists(st.binary(max_size=300)).map(
    lambda payloads: [Entry(7, index, data=data) for index, data in enumerate(payloads, 1)]
)


@given(entries, st.integers(0, 2000))
def test_limit_cuts_where_the_sum_exceeds_it(run: list[Entry], limit: int):
    cut = limit_size(run, limit)
    assert list(cut) == run[: len(cut)]
    if len(cut) > 1:
        assert encoded_sizes(cut) <= limit
    if len(cut) < len(run):
        assert len(cut) >= 1
        assert encoded_sizes(run[: len(cut) + 1]) > limit


@pytest.mark.parametrize("number", [0, 1, *(2**n + d for n in range(7, 64, 7) for d in (-1, 0)), 2**64 - 1])
def test_numbers_take_a_byte_for_every_seven_bits(number: int):
    digits = max(1, math.ceil(number.bit_length() / 7))
    assert encoded_size(Entry(number, 1)) == encoded_size(Entry(1, number)) == 3 + digits


@pytest.mark.parametrize(("length", "more"), [(1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3)])
def test_data_takes_its_length_and_itself(length: int, more: int):
    assert encoded_size(Entry(1, 1, data=bytes(length))) == 4 + 1 + more + length


@pytest.mark.parametrize("limit", range(100))
def test_small_entries_are_cut_exactly(limit: int):
    """Seven bytes each: neither their data nor what an entry takes at most says how many fit."""
    run = [Entry(1, index, data=b"x") for index in range(1, 11)]
    assert len(limit_size(run, limit)) == min(max(1, limit // 7), len(run))


@given(entries)
def test_no_limit_cuts_nothing(run: list[Entry]):
    assert limit_size(run, None) is run


def test_limit_zero_leaves_one_entry():
    assert len(limit_size([Entry(1, 1), Entry(1, 2)], 0)) == 1
    assert limit_size([], 0) == []


def test_payload_counts_data_only():
    assert payload_sizes([Entry(1, 1), Entry(1, 2, data=b"xyz")]) == 3
