"""The directory's state machine: its results, and the births that they cause."""

import random
import time

import pytest

from multiraft.engine.errors import (
    ClusterMismatch,
    CommandTooLarge,
    Error,
    InvalidArgument,
    InvalidRanges,
    KeyTooLarge,
)
from multiraft.engine.logstore.port import Birth
from multiraft.engine.removals import Removal
from multiraft.engine.statemachine.commands import envelope
from multiraft.raft.state import ConfState
from multiraft.shards.directory import NodeRecord
from multiraft.shards.directory_commands import Doomed, create_body, delete_body, register_body
from multiraft.shards.planning import chunks, even_cuts, ranges_from_splits
from tests.shards.watched import CLUSTER, NODES, Watched, pack

# -- registering ---------------------------------------------------------------------------------


def test_the_first_registration_fixes_the_cluster_uuid():
    one = Watched()
    bodies = [register_body(node, bytes([node]) * 16, f"h:{node}", bytes([9, node] * 8)) for node in NODES]
    assert one.do(*bodies) == [bytes([9, 1] * 8)] * 3
    assert one.machine.directory.cluster_uuid == bytes([9, 1] * 8)
    assert one.machine.directory.nodes[2] == NodeRecord(b"\x02" * 16, "h:2")


def test_a_node_may_move_but_not_change_its_store():
    """A wiped or copied node does not come back by itself."""
    one = Watched()
    one.do(register_body(1, b"a" * 16, "h:1", CLUSTER))
    assert one.do(register_body(1, b"a" * 16, "h:2", b"x" * 16)) == [CLUSTER]
    [refusal] = one.do(register_body(1, b"b" * 16, "h:3", CLUSTER))
    assert type(refusal) is ClusterMismatch
    assert one.machine.directory.nodes == {1: NodeRecord(b"a" * 16, "h:2")}


# -- creating ------------------------------------------------------------------------------------


def test_ranges_are_created_with_their_births():
    one = Watched(node=2)
    assert one.create((b"", b"m"), (b"m", None)) == (2, 0)
    first, second = one.machine.directory.overlapping(b"", None)
    assert (first.group, first.bounds, first.epoch) == (2, (b"", b"m"), 1)
    assert (second.group, second.bounds, second.epoch) == (3, (b"m", None), 1)
    assert one.births[3] == Birth(
        group=3,
        replica_id=second.replica_on(2) or 0,
        conf_state=ConfState(voters=(1, 2, 3)),
        peers=second.replicas,
        start=b"m",
        end=None,
        epoch=1,
        directory_index=1,
        machine="kv",
    )
    assert one.told == [[2, 3], "change"]


def test_only_replicas_on_this_node_are_born_here():
    here, there = Watched(node=1), Watched(node=3)
    for one in (here, there):
        assert one.create((b"", None), replicas=2, nodes=[1, 2]) == (1, 0)
    assert here.told == [[2], "change"]
    assert there.told == ["change"]
    assert there.machine.births_here() == []


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_replicas_and_designated_ones_spread_evenly(replicas: int):
    one = Watched()
    ranges = ranges_from_splits(even_cuts(300, b"", None))
    for start in range(0, 300, 7):  # in uneven pieces: the rotation goes on where it was
        one.create(*ranges[start : start + 7], replicas=replicas)
    made = one.machine.directory.overlapping(b"", None)
    assert all([id_ for id_, _ in descriptor.replicas] == list(range(1, replicas + 1)) for descriptor in made)
    designated = [descriptor.replicas[0][1] for descriptor in made]
    homes = [node for descriptor in made for _, node in descriptor.replicas]
    assert {designated.count(node) for node in NODES} == {100}
    assert {homes.count(node) for node in NODES} == {100 * replicas}
    assert all(len({node for _, node in descriptor.replicas}) == replicas for descriptor in made)


def test_creating_again_is_safe():
    one = Watched()
    one.create((b"a", b"b"), (b"c", b"d"))
    before = one.machine.directory.overlapping(b"", None)
    one.told.clear()
    assert one.create((b"a", b"b"), (b"c", b"d"), replicas=1) == (0, 2)
    assert one.told == ["change"]
    assert one.machine.directory.overlapping(b"", None) == before
    assert one.create((b"a", b"b"), (b"b", b"c"), (b"d", None)) == (2, 1)
    assert one.told == ["change", [4, 5], "change"]
    assert one.machine.directory.uncovered(b"", None) == [(b"", b"a")]


REFUSED = {
    "overlap": (create_body([(b"x", b"y"), (b"a", b"c")], 3, NODES), InvalidRanges),
    "covered from inside": (create_body([(b"bb", b"bc")], 3, NODES), InvalidRanges),
    "covered from outside": (create_body([(b"", None)], 3, NODES), InvalidRanges),
    "same start": (create_body([(b"b", b"c")], 3, NODES), InvalidRanges),
    "more replicas than nodes": (create_body([(b"x", b"y")], 4, NODES), InvalidArgument),
    "replicas without nodes": (create_body([(b"x", b"y")], 1, []), InvalidArgument),
    "unknown node": (create_body([(b"x", b"y")], 1, [1, 4]), InvalidArgument),
    "no replicas": (pack(2, 0, [1], [[b"x", b"y"]]), InvalidArgument),
    "empty interval": (pack(2, 1, [1], [[b"x", b"x"]]), InvalidRanges),
    "long key": (pack(2, 1, [1], [[b"k" * 481, None]]), KeyTooLarge),
    "too many": (pack(2, 1, [1], [[b"%05d" % n, b"%05d" % (n + 1)] for n in range(1001)]), InvalidRanges),
    "too large": (pack(2, 1, [1], [[b"x", b"y" * 300_000]]), CommandTooLarge),
    "malformed": (b"\xc1", InvalidArgument),
    "empty": (b"", InvalidArgument),
}


@pytest.mark.parametrize(("body", "error"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_a_result_and_changes_nothing_but_the_version(body: bytes, error: type[Error]):
    one = Watched()
    one.create((b"b", b"d"))
    before = one.machine.directory.overlapping(b"", None)
    one.told.clear()
    [refusal] = one.do(body)
    assert type(refusal) is error
    assert refusal.__traceback__ is None
    assert one.machine.directory.overlapping(b"", None) == before
    assert one.machine.directory.next_group == 3
    assert one.machine.version == 2
    assert one.told == ["change"]
    one.create((b"d", None))
    assert one.machine.directory.by_group(3) is not None  # the refusal used up no group


def test_a_refused_creation_names_the_intervals():
    one = Watched()
    one.create((b"b", b"d"))
    refusal = one.create((b"a", b"c"))
    assert str(refusal) == "the range [b'a', b'c') overlaps the existing range [b'b', b'd')"


def test_a_command_of_a_range_is_refused():
    one = Watched()
    body = create_body([(b"", None)], 1, [1])
    results = one.machine.apply([envelope(1, 1, 3, body), b"short", b"\0" * 23])
    assert all(isinstance(result, InvalidArgument) for result in results)
    assert one.machine.version == 3
    assert one.machine.directory.ranges == 0


def test_a_registered_node_may_hold_replicas():
    one = Watched()
    refused, _, created = one.do(
        create_body([(b"", None)], 1, [4]),
        register_body(4, b"a" * 16, "h:4", CLUSTER),
        create_body([(b"", None)], 1, [4]),
    )
    assert isinstance(refused, InvalidArgument)
    assert created == (1, 0)


# -- deleting ------------------------------------------------------------------------------------


def test_ranges_are_deleted_with_their_replicas():
    one = Watched(node=2)
    one.create((b"a", b"b"), (b"b", b"c"), (b"c", b"d"))
    one.told.clear()
    assert one.do(delete_body([Doomed(3, 1)])) == [(1, 0)]
    assert one.told == [[Removal(3, one.births[3].replica_id)], "change"]
    assert one.machine.directory.by_group(3) is None
    assert one.machine.directory.lookup(b"b") is None
    assert Watched(store=one.store).machine.directory.lookup(b"b") is None
    assert one.create((b"b", b"bb"), (b"bb", b"c")) == (2, 0)
    assert [found.group for found in one.machine.directory.overlapping(b"", None)] == [2, 5, 6, 4]


def test_deleting_again_is_safe():
    """What is gone stays gone, also where its keys have another range by now."""
    one = Watched()
    one.create((b"a", b"b"))
    assert one.do(delete_body([Doomed(2, 1)]), delete_body([Doomed(2, 1)])) == [(1, 0), (0, 1)]
    one.create((b"a", b"b"))
    one.told.clear()
    assert one.do(delete_body([Doomed(2, 1), Doomed(2, 1), Doomed(99, 1)])) == [(0, 3)]
    assert one.told == ["change"]
    assert one.machine.directory.lookup(b"a") is not None


def test_a_range_of_another_epoch_is_not_deleted():
    one = Watched()
    one.create((b"a", b"b"), (b"b", b"c"))
    [refusal] = one.do(delete_body([Doomed(2, 1), Doomed(3, 2)]))
    assert type(refusal) is InvalidRanges
    assert one.machine.directory.ranges == 2


def test_only_replicas_on_this_node_are_removed_here():
    one = Watched(node=3)
    one.create((b"a", b"b"), replicas=2, nodes=[1, 2])
    one.told.clear()
    assert one.do(delete_body([Doomed(2, 1)])) == [(1, 0)]
    assert one.told == ["change"]


def test_creating_and_deleting_at_once_is_told_in_that_order():
    one = Watched()
    one.do(create_body([(b"a", b"b")], 3, NODES), delete_body([Doomed(2, 1)]))
    assert one.told == [[2], [Removal(2, one.births[2].replica_id)], "change"]


def test_the_version_counts_commands_and_dates_births():
    one = Watched()
    one.do(create_body([(b"a", b"b")], 1, [1]), b"", create_body([(b"b", b"c")], 1, [1]))
    assert one.machine.version == 3
    assert [birth.directory_index for birth in one.machine.births_here()] == [1, 3]
    assert one.told == [[2, 3], "change"]


# -- cost ----------------------------------------------------------------------------------------


def test_creating_in_bulk():
    """Prints what applying a creation costs per range; asserts only that all of them are there."""
    count = 50_000
    ranges = ranges_from_splits(even_cuts(count, b"", None))
    pieces = list(chunks(ranges))
    random.Random(3).shuffle(pieces)
    commands = [envelope(1, number, 0, create_body(piece, 3, NODES)) for number, piece in enumerate(pieces)]
    one = Watched()
    costs = []
    for command in commands:
        began = time.perf_counter()
        one.machine.apply([command])
        costs.append(time.perf_counter() - began)
    print(f"create: {sum(costs) / count * 1e6:.1f} µs a range, longest command {max(costs) * 1e3:.1f} ms")
    directory = one.machine.directory
    began = time.perf_counter()
    found = [directory.lookup(bounds.start) for bounds in ranges]
    print(f"lookup: {(time.perf_counter() - began) / count * 1e6:.2f} µs")
    assert [descriptor.bounds for descriptor in found if descriptor] == ranges
    assert len(one.births) == count
