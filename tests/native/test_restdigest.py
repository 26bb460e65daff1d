"""The digest of resting groups against a dictionary, and its lists."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from multiraft.native.errors import BadFrame, Refused
from multiraft.native.restdigest import END, LISTED_BYTES, RestDigest, RestPoint, check_list
from tests.native import models

NUMBERS = st.integers(1, 2**64 - 2) | st.integers(1, 40)
GROUPS = st.integers(1, 600)
POINTS = st.builds(RestPoint, NUMBERS, NUMBERS)


def rows(listed: bytes) -> dict[int, RestPoint]:
    return {group: RestPoint(*point) for group, *point in struct.iter_unpack("<QQQ", listed)}


def bytes_of(groups: dict[int, RestPoint]) -> bytes:
    return b"".join([struct.pack("<QQQ", group, *groups[group]) for group in sorted(groups)])


@given(groups=st.dictionaries(NUMBERS, POINTS, max_size=40), order=st.randoms(use_true_random=False))
def test_the_total_does_not_depend_on_the_order(groups: dict[int, RestPoint], order):
    digest, model = RestDigest(), models.RestDigest()
    for group, point in groups.items():
        model.add(group, point)
    shuffled = list(groups.items())
    order.shuffle(shuffled)
    for group, point in shuffled:
        digest.add(group, point)
    assert digest.total == model.total
    assert list(digest) == sorted(groups)
    assert all(digest.point(group) == point for group, point in groups.items())


@pytest.mark.parametrize("step", [1, -1, 379])
def test_thousands_that_come_and_go_in_any_order(step: int):
    count = 4999  # prime, so that every step meets every group
    digest = RestDigest()
    groups = [1 + at * step % count for at in range(count)]
    for group in groups:
        digest.add(group, RestPoint(1, group))
    assert list(digest) == list(range(1, count + 1))
    for group in groups[::2]:
        digest.remove(group)
    left = sorted(groups[1::2])
    assert list(digest) == left
    assert len(digest) == len(left)
    for group in left:
        digest.remove(group)
    assert list(digest) == []
    assert (len(digest), digest.total) == (0, 0)


@given(groups=st.dictionaries(GROUPS, POINTS, max_size=30), size=st.integers(1, 12))
def test_lists_leave_no_number_out(groups: dict[int, RestPoint], size: int):
    digest = RestDigest()
    for group, point in groups.items():
        digest.add(group, point)
    low, listed = 0, {}
    for begins, ends, data in digest.lists(size):
        assert begins == low
        check_list(data, size)
        assert all(begins <= group < ends for group in rows(data))
        listed.update(rows(data))
        low = ends
    assert low == END
    assert listed == groups


@given(
    ours=st.dictionaries(GROUPS, POINTS, max_size=12),
    theirs=st.dictionaries(GROUPS, POINTS, max_size=12),
    shared=st.dictionaries(GROUPS, POINTS, max_size=12),
    low=GROUPS,
    high=GROUPS,
)
def test_what_two_sides_do_not_share(ours, theirs, shared, low: int, high: int):
    ours, theirs = ours | shared, theirs | shared
    digest = RestDigest()
    for group, point in ours.items():
        digest.add(group, point)
    odd = [group for group in sorted(ours) if low <= group < high and theirs.get(group) != ours[group]]
    assert digest.unlike(low, high, bytes_of(theirs)) == odd
    assert digest.strange(bytes_of(theirs)) == [group for group in sorted(theirs) if group not in ours]


def test_a_long_list_of_odd_groups_comes_whole():
    digest = RestDigest()
    for group in range(1, 5001):
        digest.add(group, RestPoint(1, 2))
    assert digest.unlike(0, END, b"") == list(range(1, 5001))


def test_a_group_rests_once():
    digest = RestDigest()
    digest.add(7, RestPoint(1, 2))
    with pytest.raises(Refused):
        digest.add(7, RestPoint(1, 3))
    with pytest.raises(Refused):
        digest.remove(8)
    assert 7 in digest
    assert 8 not in digest
    assert digest.point(7) == RestPoint(1, 2)


@pytest.mark.parametrize("groups", [[3, 2], [3, 3], list(range(1, 12))], ids=["falling", "twice", "too many"])
def test_a_list_that_nobody_sends_is_refused(groups: list[int]):
    listed = b"".join([struct.pack("<QQQ", group, 1, 2) for group in groups])
    with pytest.raises(BadFrame):
        check_list(listed, 10)


def test_a_list_that_is_cut_short_is_refused():
    with pytest.raises(BadFrame):
        check_list(bytes(LISTED_BYTES - 1), 10)


class DigestMachine(RuleBasedStateMachine):
    """Groups come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.digest, self.model = RestDigest(), models.RestDigest()

    @rule(first=GROUPS, count=st.integers(1, 300), point=POINTS)
    def add(self, first: int, count: int, point: RestPoint):
        for group in range(first, first + count):
            if group not in self.model.groups:
                self.digest.add(group, point)
                self.model.add(group, point)

    @rule(first=GROUPS, count=st.integers(1, 300))
    def remove(self, first: int, count: int):
        for group in range(first, first + count):
            if group in self.model.groups:
                self.digest.remove(group)
                self.model.remove(group)

    @invariant()
    def alike(self):
        assert (len(self.digest), self.digest.total) == (len(self.model.groups), self.model.total)
        assert list(self.digest) == sorted(self.model.groups)
        assert [rows(listed) for _, _, listed in self.digest.lists(10_000)] == [self.model.groups]


TestDigest = DigestMachine.TestCase
TestDigest.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
