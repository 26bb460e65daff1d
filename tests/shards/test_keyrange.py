"""Intervals of keys, compared with sets of keys."""

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from multiraft.shards.keyrange import KeyRange, lower_end, shown, uncovered_parts

ALPHABET = [b"", b"\x00", b"a", b"\xff"]
KEYS = sorted({b"".join(letters) for letters in product(ALPHABET, repeat=3)})
keys = st.sampled_from(KEYS)
ends = st.one_of(st.none(), keys)
intervals = st.builds(KeyRange, keys, ends)


def members(interval: KeyRange) -> set[bytes]:
    """What lies in an interval, among the keys of the tests."""
    start, end = interval
    return {key for key in KEYS if key >= start and (end is None or key < end)}


def apart(candidates: list[KeyRange]) -> list[KeyRange]:
    """Ascending ranges that do not overlap: those of the candidates that fit behind the ones before."""
    taken: list[KeyRange] = []
    for one in sorted(candidates, key=lambda one: one.start):
        fits = not taken or (taken[-1].end is not None and taken[-1].end <= one.start)
        if not one.empty and fits:
            taken.append(one)
    return taken


@given(intervals)
def test_a_range_covers_its_start_but_not_its_end(one: KeyRange):
    assert {key for key in KEYS if one.covers(key)} == members(one)
    assert one.empty == (not members(one))
    assert one.empty or one.covers(one.start)
    assert one.end is None or not one.covers(one.end)


@given(intervals, intervals)
def test_ranges_overlap_if_they_share_a_key(one: KeyRange, other: KeyRange):
    assert one.overlaps(other) == other.overlaps(one) == bool(members(one) & members(other))


@given(intervals, st.lists(intervals, max_size=6).map(apart))
def test_uncovered_parts_are_what_no_range_holds(within: KeyRange, ranges: list[KeyRange]):
    parts = list(uncovered_parts(within, ranges))
    covered: set[bytes] = set().union(*map(members, ranges))
    assert [key for part in parts for key in sorted(members(part))] == sorted(members(within) - covered)
    assert not any(part.empty for part in parts)
    assert all(before.end is not None and before.end < after.start for before, after in pairwise(parts))


def test_the_whole_key_space_is_uncovered_until_there_is_a_range():
    whole = KeyRange(b"", None)
    assert list(uncovered_parts(whole, [])) == [whole]
    assert list(uncovered_parts(whole, [whole])) == []
    assert list(uncovered_parts(whole, [KeyRange(b"b", b"c")])) == [(b"", b"b"), (b"c", None)]


def test_no_end_is_higher_than_any_end():
    assert lower_end(None, b"\xff") == lower_end(b"\xff", None) == b"\xff"
    assert lower_end(None, None) is None
    assert lower_end(b"a", b"b") == b"a"


def test_a_range_is_shown_with_its_bounds_and_long_keys_cut_off():
    assert str(KeyRange(b"a", b"b")) == "[b'a', b'b')"
    assert str(KeyRange(b"", None)) == "[b'', ∞)"
    assert len(shown(b"k" * 480)) < 50
