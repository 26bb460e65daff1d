"""The directory's columns, side by side with a plain list of ranges."""

import random
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from multiraft.engine.errors import InvalidRanges
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.directory import Directory
from multiraft.shards.keyrange import Interval, KeyRange
from multiraft.shards.planning import even_cuts, ranges_from_splits
from tests.shards.test_keyrange import KEYS, intervals, members


def describe(group: int, bounds: Interval) -> RangeDescriptor:
    """A range of three replicas; their order follows from the group."""
    nodes = [(group + step) % 3 + 1 for step in range(3)]
    return RangeDescriptor(group, *bounds, group % 5, tuple(enumerate(nodes, 1)), group // 2)


def directory_of(*ranges: Interval) -> Directory:
    """A directory whose groups count from 2."""
    directory = Directory()
    directory.add(describe(group, bounds) for group, bounds in enumerate(ranges, 2))
    return directory


class DirectoryModel(RuleBasedStateMachine):
    """Adds what fits and what does not; asks about everything after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Directory()
        self.model: list[RangeDescriptor] = []
        self.random = random.Random(0)
        self.covered: set[bytes] = set()
        self.next_group = 2

    @rule(wanted=st.lists(intervals, max_size=5))
    def add_anything(self, wanted: list[KeyRange]) -> None:
        groups = range(self.next_group, self.next_group + len(wanted))
        self.add([describe(group, one) for group, one in zip(groups, wanted, strict=True)])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_some(self, data: st.DataObject) -> None:
        """Beside one that is not there."""
        groups = data.draw(st.sets(st.sampled_from([one.group for one in self.model])))
        self.directory.remove([*groups, 10**6])
        self.model = [one for one in self.model if one.group not in groups]
        self.covered = {key for key in KEYS if any(one.bounds.covers(key) for one in self.model)}

    @rule(data=st.data())
    def add_into_gaps(self, data: st.DataObject) -> None:
        """A part of each of some gaps, cut at a key in its middle: bulk creation around what exists."""
        wanted: list[KeyRange] = []
        for gap in self.directory.uncovered(b"", None):
            inner = sorted(members(gap) - {gap.start})
            if data.draw(st.booleans()):
                cuts = sorted(data.draw(st.sets(st.sampled_from(inner), max_size=3))) if inner else []
                wanted += ranges_from_splits(cuts, gap)[: data.draw(st.integers(1, 4))]
        groups = list(range(self.next_group, self.next_group + len(wanted)))
        self.random.shuffle(groups)
        self.add([describe(group, one) for group, one in zip(groups, wanted, strict=True)])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def add_a_group_again(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self.model)).group
        self.add([describe(group, (b"\xff\xff\xff\xff", None))], refused=True)

    def add(self, wanted: list[RangeDescriptor], *, refused: bool = False) -> None:
        everything = self.model + wanted
        refused = refused or any(one.bounds.empty for one in wanted)
        refused = refused or any(
            one.bounds.overlaps(other.bounds)
            for place, one in enumerate(everything)
            for other in everything[:place]
        )
        if refused:
            with pytest.raises(InvalidRanges):
                self.directory.add(wanted)
        else:
            self.directory.add(wanted)
            self.model = sorted(everything, key=lambda one: one.start)
            self.next_group += len(wanted)

    @invariant()
    def lookups_agree(self) -> None:
        covered = set()
        for key in KEYS:
            holders = [one for one in self.model if one.bounds.covers(key)]
            assert len(holders) <= 1, "ranges overlap"
            assert self.directory.lookup(key) == (holders[0] if holders else None)
            covered.update([key] if holders else [])
        assert covered >= self.covered, "what was covered is not any more"
        self.covered = covered

    @invariant()
    def groups_agree(self) -> None:
        assert self.directory.ranges == len(self.model)
        for one in self.model:
            assert self.directory.by_group(one.group) == one
        for group in (0, 1, self.next_group, 2**64 - 1):
            assert self.directory.by_group(group) is None
        by_group = sorted(self.model, key=lambda one: one.group)
        assert list(self.directory.on_node(3)) == by_group
        assert list(self.directory.on_node(4)) == []

    @rule(within=intervals)
    def ask_about_an_interval(self, within: KeyRange) -> None:
        inside = [one for one in self.model if one.bounds.overlaps(within)]
        assert self.directory.overlapping(*within) == inside
        assert self.directory.overlapping(*within, reverse=True) == inside[::-1]
        assert self.directory.overlapping(*within, limit=2) == inside[:2]
        assert self.directory.overlapping(*within, reverse=True, limit=1) == inside[::-1][:1]
        free = self.directory.uncovered(*within)
        held: Iterable[set[bytes]] = (members(one.bounds) for one in inside)
        assert set().union(*map(members, free)) == members(within) - set().union(*held)


DirectoryModel.TestCase.settings = settings(max_examples=60, stateful_step_count=15)
TestDirectoryModel = DirectoryModel.TestCase


def test_an_empty_directory_covers_nothing():
    directory = Directory()
    assert directory.lookup(b"") is directory.by_group(2) is None
    assert directory.overlapping(b"", None) == []
    assert directory.uncovered(b"", None) == [(b"", None)]
    directory.add([])
    assert directory.ranges == 0


def test_the_end_of_a_range_belongs_to_the_next_one():
    directory = directory_of((b"a", b"b"), (b"b", None))
    assert directory.lookup(b"a\xff") == directory.by_group(2)
    assert directory.lookup(b"b") == directory.by_group(3)
    assert directory.lookup(b"Z") is None


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ([(b"b", b"b")], r"interval \[b'b', b'b'\) is empty"),
        ([(b"a", b"d")], r"\[b'a', b'd'\) overlaps the range \[b'c', b'e'\)"),
        ([(b"d", None)], r"overlaps the range \[b'c', b'e'\)"),
        ([(b"c", b"e")], "overlaps"),
        ([(b"", None)], "overlaps"),
        ([(b"f", b"h"), (b"g", b"i")], r"\[b'g', b'i'\) overlaps the range \[b'f', b'h'\)"),
        ([(b"f", None), (b"g", b"h")], "overlaps"),
        ([(b"f", b"g"), (b"f", b"g")], "overlaps"),
    ],
)
def test_a_refused_addition_changes_nothing_and_names_the_interval(wanted: list[Interval], text: str):
    directory = directory_of((b"c", b"e"))
    good = describe(20, (b"A", b"B"))
    with pytest.raises(InvalidRanges, match=text):
        directory.add([good, *(describe(group, bounds) for group, bounds in enumerate(wanted, 10))])
    assert directory.overlapping(b"", None) == [describe(2, (b"c", b"e"))]
    assert directory.by_group(20) is None


def test_a_group_serves_one_range():
    directory = directory_of((b"a", b"b"))
    with pytest.raises(InvalidRanges, match="group 2 serves two ranges"):
        directory.add([describe(2, (b"x", b"y"))])
    with pytest.raises(InvalidRanges, match="group 7 serves two ranges"):
        directory.add([describe(7, (b"x", b"y")), describe(7, (b"y", b"z"))])


def test_placements_and_bounds_are_shared_objects():
    """What makes a hundred thousand ranges cheap: three placements, and each bound once."""
    cuts = even_cuts(300, b"", None)
    ranges = [KeyRange(bytes(bytearray(one.start)), one.end) for one in ranges_from_splits(cuts)]
    directory = directory_of(*ranges)
    found = directory.overlapping(b"", None)
    assert len({id(one.replicas) for one in found}) == 3
    assert all(before.end is after.start for before, after in pairwise(found))
    by_group = {id(start) for start in directory._start_of_group}
    assert by_group == {id(one.start) for one in found}


def test_a_directory_becomes_another_one_in_place():
    directory, other = directory_of((b"a", b"b")), directory_of((b"c", b"d"), (b"e", None))
    other.next_group, other.version, other.cluster_uuid = 4, 9, b"u" * 16
    directory.become(other)
    assert [one.start for one in directory.overlapping(b"", None)] == [b"c", b"e"]
    assert (directory.next_group, directory.version, directory.cluster_uuid) == (4, 9, b"u" * 16)


def test_a_descriptor_knows_its_replicas():
    one = describe(3, (b"a", b"b"))
    assert one.replicas == ((1, 1), (2, 2), (3, 3))
    assert [one.replica_on(node) for node in (1, 2, 3, 4)] == [1, 2, 3, None]
    assert one.birth_on(4) is None
    birth = one.birth_on(2)
    assert birth is not None
    assert (birth.group, birth.replica_id, birth.peers) == (3, 2, one.replicas)
    assert (birth.start, birth.end, birth.epoch, birth.directory_index) == (b"a", b"b", 3, 1)
    assert birth.conf_state.voters == (1, 2, 3)


def microseconds_per_range(directory: Directory, added: Sequence[RangeDescriptor]) -> float:
    """The time of one `add`."""
    began = time.perf_counter()
    directory.add(added)
    return (time.perf_counter() - began) / len(added) * 1e6


def test_adding_a_thousand_ranges_to_a_hundred_thousand():
    """Prints what it costs at the end, at the beginning and scattered; asserts only that it is right."""
    ranges = ranges_from_splits(even_cuts(100_000, b"", None))
    descriptors = [describe(group, bounds) for group, bounds in enumerate(ranges, 2)]
    scattered = random.Random(7).sample(range(len(ranges)), 1000)
    for name, places in [
        ("at the end", range(99_000, 100_000)),
        ("at the beginning", range(1000)),
        ("scattered", scattered),
    ]:
        chosen = set(places)
        directory = Directory()
        directory.add(one for place, one in enumerate(descriptors) if place not in chosen)
        cost = microseconds_per_range(directory, [descriptors[place] for place in places])
        print(f"1,000 ranges {name} of 100,000: {cost:.1f} µs each")
        assert directory.overlapping(b"", None) == descriptors
