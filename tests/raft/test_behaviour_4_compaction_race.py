"""Behaviour 4: building an append survives a storage that is compacted between the reads."""

from collections.abc import Sequence

import pytest

from multiraft.raft import (
    ConfState,
    Entry,
    Message,
    MsgType,
    ProgressState,
    RawNode,
    Snapshot,
    SnapshotTemporarilyUnavailable,
    Storage,
    replication,
)
from tests.raft.harness import (
    Group,
    acknowledge,
    drain,
    lead,
    of_type,
    replica,
    replicating,
    storage_of,
    storage_with,
)


class RacingStorage:
    """A leader's storage that is compacted up to `index` before read number `k`, and short of snapshots."""

    def __init__(self, inner: Storage, index: int = 0, k: int = -1, unavailable: int = 0) -> None:
        self.inner, self.index, self.k, self.unavailable = inner, index, k, unavailable

    def _count(self) -> None:
        if self.k == 0:
            self.inner.compact(self.index)
        self.k -= 1

    def initial_state(self):
        return self.inner.initial_state()

    def first_index(self) -> int:
        self._count()
        return self.inner.first_index()

    def last_index(self) -> int:
        self._count()
        return self.inner.last_index()

    def term(self, index: int) -> int:
        self._count()
        return self.inner.term(index)

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        self._count()
        return self.inner.entries(low, high, max_size)

    def snapshot(self) -> Snapshot:
        self._count()
        if self.unavailable > 0:
            self.unavailable -= 1
            raise SnapshotTemporarilyUnavailable
        return self.inner.snapshot()


def group_with_a_straggler() -> Group:
    """Replica 1 leads ten entries; replica 3 has seen only the first, and is back."""
    group = Group(max_inflight_msgs=2)
    leader = group.elect(1)
    group.cut_off(3)
    for n in range(9):
        leader.propose(b"%d" % n)
    group.settle()
    storage = storage_of(leader)
    storage.create_snapshot(10, ConfState((1, 2, 3)), b"ten")
    group.cut_off()
    group.sent.clear()
    return group


def converge(group: Group) -> None:
    for _ in range(6):
        group.nodes[1].tick()
        group.settle()


@pytest.mark.parametrize("k", range(24))
def test_compaction_between_any_two_reads_never_breaks_an_append(k: int):
    group = group_with_a_straggler()
    leader = group.nodes[1].raft
    leader.log.storage = RacingStorage(leader.log.storage, index=9, k=k)
    converge(group)
    assert group.nodes[3].raft.log.last_index() == 10
    assert leader.tracker.progress[3].match == 10
    assert leader.tracker.progress[3].state is ProgressState.REPLICATE
    appends = of_type(group.sent, MsgType.APP)
    assert not [m for m in appends if m.index > 0 and m.log_term == 0], "an append that follows no known term"


@pytest.mark.parametrize("send_if_empty", [False, True])
@pytest.mark.parametrize("k", range(8))
def test_one_append_falls_back_to_a_snapshot(k: int, send_if_empty: bool):
    raw = replicating(replica())
    for n in range(9):
        raw.propose(b"%d" % n)
    drain(raw)
    acknowledge(raw, 10, 2)
    drain(raw)
    storage_of(raw).create_snapshot(10, ConfState((1, 2, 3)), b"ten")
    progress = raw.raft.tracker.progress[3]
    progress.become_probe()
    raw.raft.log.storage = RacingStorage(storage_of(raw), index=9, k=k)
    assert replication.maybe_send_append(raw.raft, 3, progress, send_if_empty=send_if_empty)
    [m] = raw.raft.messages
    if m.type is MsgType.SNAP:
        assert (progress.state, progress.pending_snapshot) == (ProgressState.SNAPSHOT, 10)
    else:
        assert (m.type, m.index, m.log_term, len(m.entries)) == (MsgType.APP, 1, 1, 9)


@pytest.mark.parametrize("times", [1, 3])
def test_snapshot_that_is_not_ready_yet_is_asked_for_again(times: int):
    group = group_with_a_straggler()
    leader = group.nodes[1].raft
    storage_of(group.nodes[1]).compact(9)
    leader.log.storage = RacingStorage(leader.log.storage, unavailable=times)
    for _ in range(times):
        assert leader.tracker.progress[3].state is not ProgressState.SNAPSHOT
        group.nodes[1].tick()
        group.settle()
    converge(group)
    assert group.nodes[3].raft.log.last_index() == 10


def leader_of_ten_without(silent: int) -> RawNode:
    """A leader with ten entries and a snapshot of them, which has not heard of `silent` in its term."""
    raw = lead(replica(storage_with([1] * 9)))
    acknowledge(raw, 10, *({2, 3} - {silent}))
    drain(raw)
    storage_of(raw).create_snapshot(10, ConfState((1, 2, 3)), b"")
    return raw


def test_no_snapshot_for_a_member_that_is_not_heard_of():
    raw = leader_of_ten_without(3)
    storage_of(raw).compact(10)
    progress = raw.raft.tracker.progress[3]
    progress.become_probe()
    replication.send_append(raw.raft, 3, progress)
    assert drain(raw) == []
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 3, raw.raft.term))
    [m] = drain(raw)
    assert (m.type, m.to, m.snapshot.index) == (MsgType.SNAP, 3, 10)


def test_follower_catches_up_from_a_snapshot_older_than_the_one_pending():
    """Whatever index it was restored at: if the log goes on from there, so does the leader."""
    raw = leader_of_ten_without(3)
    storage_of(raw).compact(5)
    progress = raw.raft.tracker.progress[3]
    progress.become_snapshot(10)
    acknowledge(raw, 5, 3)
    assert progress.state is ProgressState.REPLICATE
    assert [(m.index, len(m.entries)) for m in of_type(drain(raw), MsgType.APP, to=3)] == [(5, 5)]
