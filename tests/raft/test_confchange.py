"""Configuration changes: the encoding both ways, and damaged data."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.raft import Change, ChangeType, ConfChange, ConfChangeError, Entry, EntryType, Transition
from multiraft.raft.confchange import check, decode, encode_v1, encode_v2

changes = st.builds(Change, st.sampled_from(ChangeType), st.integers(0, 2**64 - 1))
conf_changes = st.builds(
    ConfChange, st.lists(changes, max_size=5).map(tuple), st.sampled_from(Transition), st.binary(max_size=40)
)


@given(conf_changes)
def test_what_is_encoded_is_decoded(change: ConfChange):
    assert decode(Entry(1, 1, EntryType.CONF_CHANGE_V2, encode_v2(change))) == change


@given(changes, st.binary(max_size=10))
def test_old_encoding_both_ways(change: Change, context: bytes):
    whole = ConfChange((change,), context=context)
    assert decode(Entry(1, 1, EntryType.CONF_CHANGE, encode_v1(whole))) == whole


def test_entry_without_data_leaves_a_joint_configuration():
    change = decode(Entry(1, 1, EntryType.CONF_CHANGE_V2))
    assert change == ConfChange()
    assert change.leaves_joint


def test_other_entries_carry_no_change():
    assert decode(Entry(1, 1, data=b"x")) is None
    assert decode(Entry(1, 1, EntryType.REFUSED_CHANGE)) is None


@pytest.mark.parametrize(
    "change",
    [
        ConfChange(),
        ConfChange((Change(ChangeType.REMOVE, 1),) * 2),
        ConfChange((Change(ChangeType.REMOVE, 1),), Transition.JOINT_EXPLICIT),
    ],
)
def test_old_encoding_holds_one_plain_change_only(change: ConfChange):
    with pytest.raises(ConfChangeError, match="v1 conf change"):
        encode_v1(change)


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\xff" * 11,
        b"\x12\x05\x08",
        b"\x0b\x00",
        b"\x08\x07",
        b"\x12\x02\x08\x09",
    ],
)
def test_damaged_data_is_refused(data: bytes):
    with pytest.raises(ConfChangeError):
        decode(Entry(1, 1, EntryType.CONF_CHANGE_V2, data))


def test_data_cut_off_inside_a_field_is_refused():
    change = ConfChange((Change(ChangeType.REMOVE, 300),), Transition.JOINT_EXPLICIT, b"context" * 3)
    data = encode_v2(change)
    ends = {0, 2, 2 + 2 + 5, len(data)}  # of no field, the transition, the change, the context
    for size in range(len(data) + 1):
        entry = Entry(1, 1, EntryType.CONF_CHANGE_V2, data[:size])
        if size in ends:
            assert decode(entry) is not None
        else:
            with pytest.raises(ConfChangeError):
                decode(entry)


def test_ids_of_64_bits_are_possible_and_0_is_one_that_is_skipped():
    for replica in (0, 2**64 - 1):
        check(ConfChange((Change(ChangeType.REMOVE, replica),)))
    for replica in (-1, 2**64):
        with pytest.raises(ConfChangeError, match="no replica id"):
            check(ConfChange((Change(ChangeType.REMOVE, replica),)))


def test_fields_of_later_versions_are_passed_over():
    change = ConfChange((Change(ChangeType.REMOVE, 0),), Transition.JOINT_EXPLICIT, b"context")
    unknown = b"\x28\x07" + b"\x32\x03new"  # field 5, a number, and field 6, bytes
    assert decode(Entry(1, 1, EntryType.CONF_CHANGE_V2, encode_v2(change) + unknown)) == change


@given(st.binary(max_size=60))
def test_any_data_decodes_or_is_refused(data: bytes):
    with contextlib.suppress(ConfChangeError):
        assert isinstance(decode(Entry(1, 1, EntryType.CONF_CHANGE_V2, data)), ConfChange)


@pytest.mark.parametrize(
    ("count", "transition", "enters", "auto_leave"),
    [
        (1, Transition.AUTO, False, True),
        (2, Transition.AUTO, True, True),
        (1, Transition.JOINT_IMPLICIT, True, True),
        (1, Transition.JOINT_EXPLICIT, True, False),
    ],
)
def test_what_becomes_joint(count: int, transition: Transition, enters: bool, auto_leave: bool):
    change = ConfChange((Change(ChangeType.ADD_VOTER, 1),) * count, transition)
    assert change.enters_joint is enters
    if enters:
        assert change.auto_leave is auto_leave
