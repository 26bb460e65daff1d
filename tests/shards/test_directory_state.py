"""The directory's state: equal on every replica, kept by its store, moved by snapshots."""

from collections.abc import Iterable
from pathlib import Path

import msgpack
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from multiraft.engine.errors import Corruption, Error
from multiraft.engine.removals import Removal
from multiraft.engine.statemachine.applied import Applied
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.raft.state import ConfState
from multiraft.shards import directory_store
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.directory import Directory
from multiraft.shards.directory_commands import Doomed, create_body, delete_body, register_body
from multiraft.shards.directory_store import META_KEY, meta_pair, range_pair, read_directory
from multiraft.shards.keyrange import KeyRange
from multiraft.shards.planning import ranges_from_splits
from tests.shards.test_keyrange import intervals, members
from tests.shards.watched import NODES, Watched, pack, some_state


def install(target: Watched, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """What the engine does: the store holds something else at once, and the machine goes on from there."""
    target.store.load(pairs)
    target.machine.reload(b"")


class ReplicasModel(RuleBasedStateMachine):
    """Three nodes apply one log in batches of their own, restart and take snapshots: they stay equal."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.results: list[object] = []
        self.nodes = [Watched(node) for node in NODES]
        self.applied = [0, 0, 0]
        self.covered: set[bytes] = set()

    @rule(wanted=st.lists(intervals, min_size=1, max_size=3), replicas=st.integers(0, 4))
    def create(self, wanted: list[KeyRange], replicas: int) -> None:
        self.log.append(pack(2, replicas, NODES, [tuple(one) for one in wanted]))

    @rule(data=st.data())
    def create_in_gaps(self, data: st.DataObject) -> None:
        directory = self.nodes[0].machine.directory
        gaps = directory.uncovered(b"", None)
        if gaps:
            gap = data.draw(st.sampled_from(gaps))
            cuts = sorted(members(gap) - {gap.start})[:: data.draw(st.integers(1, 9))][:3]
            pieces = ranges_from_splits(cuts, gap)[: data.draw(st.integers(1, 4))]
            kept = [one.bounds for one in directory.overlapping(b"", None, limit=2)]
            self.log.append(create_body([*pieces, *kept], 2, [3, 1]))

    @rule(node=st.sampled_from(NODES), store=st.sampled_from([b"a", b"b"]), address=st.sampled_from("xyz"))
    def register(self, node: int, store: bytes, address: str) -> None:
        self.log.append(register_body(node, store * 16, address, store * 16))

    @rule(noise=st.binary(max_size=30))
    def send_noise(self, noise: bytes) -> None:
        self.log.append(noise)

    @rule(at=st.integers(0, 2), share=st.integers(1, 4))
    def apply_some(self, at: int, share: int) -> None:
        batch = self.log[self.applied[at] :][:share]
        results = [self.plain(result) for result in self.nodes[at].do(*batch)] if batch else []
        for place, result in enumerate(results, self.applied[at]):
            if place == len(self.results):
                self.results.append(result)
            assert self.results[place] == result, "two replicas answered differently"
        self.applied[at] += len(batch)

    @rule(at=st.integers(0, 2))
    def restart(self, at: int) -> None:
        old = self.nodes[at]
        new = self.nodes[at] = Watched(NODES[at], old.store)
        new.births = old.births
        assert new.told == []
        self.compare(old, new)

    @rule(origin=st.integers(0, 2), to=st.integers(0, 2))
    def send_a_snapshot(self, origin: int, to: int) -> None:
        if self.applied[origin] > self.applied[to]:
            held = self.nodes[to].machine.directory
            install(self.nodes[to], self.nodes[origin].store.scan(b"", None))
            assert self.nodes[to].machine.directory is held
            self.applied[to] = self.applied[origin]

    @invariant()
    def replicas_at_one_point_are_equal(self) -> None:
        for left, right in ((0, 1), (1, 2), (0, 2)):
            if self.applied[left] == self.applied[right]:
                self.compare(self.nodes[left], self.nodes[right])
        for one, applied in zip(self.nodes, self.applied, strict=True):
            assert one.machine.version == applied

    @invariant()
    def every_replica_here_was_born_once_for_all(self) -> None:
        for one in self.nodes:
            assert {birth.group: birth for birth in one.machine.births_here()} == one.births

    @invariant()
    def nothing_overlaps_and_what_is_covered_stays_covered(self) -> None:
        directory = max(zip(self.applied, range(3), strict=True))
        ranges = self.nodes[directory[1]].machine.directory.overlapping(b"", None)
        keys = [key for one in ranges for key in members(one.bounds)]
        assert len(keys) == len(set(keys))
        assert set(keys) >= self.covered
        self.covered = set(keys)

    def compare(self, left: Watched, right: Watched) -> None:
        assert left.machine.digest() == right.machine.digest()
        one, other = left.machine.directory, right.machine.directory
        assert one.overlapping(b"", None) == other.overlapping(b"", None)
        assert (one.nodes, one.cluster_uuid) == (other.nodes, other.cluster_uuid)
        assert (one.version, one.next_group) == (other.version, other.next_group)

    def plain(self, result: object) -> object:
        return (type(result), str(result)) if isinstance(result, Error) else result


ReplicasModel.TestCase.settings = settings(max_examples=80, stateful_step_count=25)
TestReplicasModel = ReplicasModel.TestCase


def test_the_state_survives_a_flush_with_the_longest_keys(tmp_path: Path):
    state = LmdbStateStore.open(tmp_path / "state", "none")
    one = Watched(store=state.group(1))
    assert one.machine.durable
    assert one.create((b"\xff" * 479, b"\xff" * 480), (b"\xff" * 480, None)) == (2, 0)
    state.set_applied(1, Applied(2, 1, ConfState(voters=(1,)), one.machine.metadata()))
    flush = state.freeze()
    assert flush is not None
    state.write(flush)
    state.flushed(flush)
    digest, births = one.machine.digest(), one.machine.births_here()
    state.close()
    state = LmdbStateStore.open(tmp_path / "state", "none")
    again = Watched(store=state.group(1))
    assert again.machine.digest() == digest
    assert again.machine.births_here() == births
    state.close()


def test_a_store_in_memory_is_not_durable():
    assert not Watched().machine.durable
    assert Watched().machine.metadata() == b""


def test_the_digest_sees_every_difference():
    digests = [one.machine.digest() for one in (Watched(), some_state(), some_state(b"n"), some_state(b"o"))]
    assert len(set(digests)) == 4


def test_a_snapshot_brings_only_the_births_that_are_new_here():
    source, target = Watched(), Watched()
    for one in (source, target):
        one.create((b"a", b"b"))
    target.told.clear()
    source.create((b"b", b"c"), (b"c", b"d"))
    source.create((b"d", b"e"), replicas=2, nodes=[2, 3])
    install(target, source.store.scan(b"", None))
    assert target.told == [[3, 4], "reload", "change"]
    assert target.births == source.births


def test_a_snapshot_takes_away_what_it_does_not_have():
    source, target = Watched(), Watched()
    for one in (source, target):
        one.create((b"a", b"b"), (b"b", b"c"), (b"c", b"d"))
        one.create((b"d", b"e"), replicas=2, nodes=[2, 3])
    target.told.clear()
    source.do(delete_body([Doomed(2, 1), Doomed(4, 1), Doomed(5, 1)]))
    install(target, source.store.scan(b"", None))
    removed = [Removal(group, target.births[group].replica_id) for group in (2, 4)]
    assert target.told == [removed, "reload", "change"]


def test_a_snapshot_of_nothing_is_one_too():
    target = some_state()
    install(target, [])
    assert target.machine.version == target.machine.directory.ranges == 0
    assert target.create((b"", None)) == (1, 0)


# -- damage --------------------------------------------------------------------------------------


META = msgpack.packb([1, 9, None])
WHOLE = msgpack.packb([None, 2, 1, 1, [[1, 1]]])


@pytest.mark.parametrize(
    "pairs",
    [
        (META_KEY, META, b"q", META),  # no such key
        (b"cc", META),
        (META_KEY, b"\xc1"),
        (META_KEY, msgpack.packb([1, 9])),
        (META_KEY, META, b"n\0\0", msgpack.packb([b"a" * 16, "h:1"])),
        (META_KEY, META, b"n\0\0\0\1", msgpack.packb([b"a" * 16, 7])),
        (META_KEY, META, b"r", msgpack.packb([b"", 2, 1, 1, [[1, 1]]])),  # an empty range
        (META_KEY, META, b"r", msgpack.packb([None, 2, 1, 1, [1]])),
        (META_KEY, META, b"r", msgpack.packb([None, 2, -1, 1, [[1, 1]]])),
        (META_KEY, META, b"r", WHOLE, b"ra", WHOLE),  # they overlap
        (META_KEY, msgpack.packb([1, 2, None]), b"r", WHOLE),  # the counter stands at the group
        (META_KEY, META, b"r", msgpack.packb([None, 1, 1, 1, [[1, 1]]])),  # the system group
        (b"r", WHOLE),  # no meta
    ],
)
def test_a_snapshot_of_impossible_content_leaves_the_directory_as_it_was(pairs: tuple[bytes, ...]):
    target = some_state()
    before = target.machine.directory.overlapping(b"", None)
    target.told.clear()
    with pytest.raises(Corruption) as caught:
        install(target, zip(pairs[::2], pairs[1::2], strict=True))
    assert caught.value.group == 1
    assert target.machine.directory.overlapping(b"", None) == before
    assert target.told == []


def test_a_snapshot_with_metadata_is_none_of_a_directory():
    with pytest.raises(Corruption):
        some_state().machine.reload(b"bounds")


def test_a_damaged_store_is_not_opened():
    one = some_state()
    descriptor = one.machine.directory.by_group(3)
    assert descriptor is not None
    one.store.put(*range_pair(descriptor._replace(group=2)))
    with pytest.raises(Corruption, match="group 2 serves two ranges"):
        Watched(store=one.store)


def test_a_directory_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch):
    """Whatever the groups' order is; and what the pieces contradict each other in is damage."""
    ranges = [
        RangeDescriptor(2 + n * 7 % 11, b"%02d" % n, b"%02d" % (n + 1), 1, ((1, 1),), 1) for n in range(11)
    ]
    whole = Directory()
    whole.version, whole.next_group = 1, 13
    whole.add(ranges)
    pairs = [meta_pair(whole), *map(range_pair, ranges)]
    monkeypatch.setattr(directory_store, "_PIECE", 3)
    read = read_directory(pairs)
    assert read.overlapping(b"", None) == ranges
    assert [read.by_group(one.group) for one in ranges] == ranges
    assert read.group_bounds == (2, 12)
    for wrong in (
        ranges[10]._replace(group=2),
        ranges[10]._replace(start=b"000"),
        ranges[10]._replace(group=13),
    ):
        with pytest.raises(Corruption):
            read_directory([*pairs[:-1], range_pair(wrong)])
    with pytest.raises(Corruption):
        read_directory([pairs[0], range_pair(ranges[0]._replace(group=0))])
