"""Replicas that the directory has given up: stopped, buried, forgotten, and none of that halfway."""

from dataclasses import replace

import pytest

from multiraft.engine import removals
from multiraft.engine.errors import Corruption, OutcomeUnknown, RangeDeleted
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.removals import Removal
from multiraft.engine.replicas import Replicas
from multiraft.engine.wire import UNKNOWN_GROUP
from multiraft.raft.entry import EntryId

from .harness import CONFIG, Host, Nodes, birth, put, sent
from .settled import GROUP, settled
from .test_applying import Slow
from .test_dormancy import away, leave_alone

OTHER = GROUP + 1
FLUSH_S = 4 * CONFIG.flush_ms / 1000
"""The state goes with one flush, its data with the next."""


def assert_gone(host: Host) -> None:
    """Nothing of the group is here, in memory or in the stores, but its tombstone."""
    replicas = host.node.replicas
    assert GROUP not in replicas.running
    assert not replicas.expects(GROUP)
    assert GROUP not in {**replicas.lost, **replicas.rebuilding, **replicas.silent, **replicas.remains}
    assert GROUP not in host.log.births()
    assert host.log.tombstones()[GROUP] == 10 + host.node_id
    assert GROUP not in host.state.groups()
    assert host.state.promised(GROUP) is None
    assert isinstance(replicas.refusal(GROUP), RangeDeleted)
    assert set(host.node.backlog().values()) == {0}


def settle(nodes: Nodes) -> None:
    """With the flush that comes after."""
    nodes.pass_time(FLUSH_S)


def ordered(nodes: Nodes) -> Host:
    """A node that holds a group, flushed, and that has just been told to remove it."""
    host = nodes[1]
    host.propose(GROUP, put(b"a", b"1"))
    settle(nodes)
    assert GROUP in host.state.groups()
    nodes.remove(GROUP)
    return host


def test_a_removed_group_leaves_a_tombstone_and_nothing_else(nodes: Nodes):
    nodes.create(OTHER)
    ordered(nodes)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)
        assert OTHER in host.node.replicas.running
    nodes[1].propose(OTHER, put(b"b", b"2"), token="after")
    nodes.settle()
    assert nodes[1].answer("after") == [None]


def test_who_waits_is_told(nodes: Nodes):
    """What is in the log may have been applied elsewhere before; what is queued has not."""
    host = nodes[1]
    nodes.cut = {1}
    host.propose(GROUP, put(b"a", b"1"), token="appended")
    host.read(GROUP, b"a", token="read")
    host.turn()
    nodes.remove(GROUP)
    host.propose(GROUP, put(b"a", b"2"), token="queued")
    host.turn()
    assert isinstance(host.answer("appended"), OutcomeUnknown)
    assert isinstance(host.answer("read"), RangeDeleted)
    assert isinstance(host.answer("queued"), RangeDeleted)


def test_nothing_is_flushed_before_the_tombstone_is_durable():
    """The directory's applied index without it: a crash would leave the replica for good."""
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = ordered(nodes)
    nodes.now += 10
    host.turn()
    assert host.unwritten, "the tombstone is on its way"
    assert not host.unflushed
    host.write()
    host.turn()
    assert host.unflushed


def test_a_crash_before_the_tombstone_is_durable_finds_everything():
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = ordered(nodes)
    nodes.now += 10
    host.turn()
    reborn = host.crash()
    assert reborn.machine(GROUP).get(b"a") == b"1"
    nodes.remove(GROUP)
    settle(nodes)
    assert_gone(reborn)


def test_a_crash_between_tombstone_and_flush_leaves_a_state_that_goes_when_it_is_ordered_again():
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = ordered(nodes)
    host.turn()
    host.write()
    host.turn()
    reborn = host.crash()
    assert GROUP not in reborn.node.replicas.running
    assert GROUP in reborn.state.groups()
    nodes.create(GROUP)  # the directory's log is replayed
    nodes.remove(GROUP)
    settle(nodes)
    assert_gone(reborn)


def test_a_crash_after_the_flush_finds_nothing_and_no_creation_brings_it_back():
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    ordered(nodes)
    settle(nodes)
    reborn = nodes[1].crash()
    assert_gone(reborn)
    nodes.create(GROUP)
    settle(nodes)
    assert_gone(reborn)


@pytest.mark.parametrize("writes", range(6))
def test_a_replica_goes_whatever_its_birth_is_at(writes: int):
    """Ordered, on its way to the disk, durable, candidate, leader."""
    nodes = Nodes()
    nodes.create(GROUP)
    for _ in range(writes):
        for host in nodes.hosts.values():
            host.turn()
            host.write()
        nodes.deliver()
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


@pytest.mark.parametrize("turns", range(5))
def test_a_replica_goes_while_its_writes_are_on_their_way(turns: int):
    nodes = Nodes()
    nodes.create(GROUP)
    for _ in range(turns):
        for host in nodes.hosts.values():
            host.write()
            host.turn()
        nodes.deliver()
    nodes.remove(GROUP)
    for host in nodes.hosts.values():
        host.turn()
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_one_that_waits_for_its_disk_makes_no_turn_follow_the_other():
    nodes = Nodes()
    nodes.create(GROUP)
    host = nodes[1]
    host.turn()
    host.write()
    host.turn()  # its vote is on its way to the disk
    nodes.remove(GROUP, [1])
    assert not host.turn().again
    assert GROUP in host.node.replicas.newborns
    host.write()
    host.turn()
    assert GROUP not in host.node.replicas.newborns


def test_resting_rows_go_without_an_object(nodes: Nodes, monkeypatch: pytest.MonkeyPatch):
    nodes[1].propose(GROUP, put(b"a", b"1"))
    leave_alone(nodes)
    assert away(nodes) == {1, 2, 3}
    monkeypatch.setattr(Replicas, "_go_on", None)
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)
        digests = {**host.node.replicas.resting.led, **host.node.replicas.resting.followed}
        assert not any(len(digest) for digest in digests.values())


def test_replicas_that_wait_on_the_disk_go(nodes: Nodes, monkeypatch: pytest.MonkeyPatch):
    nodes[1].propose(GROUP, put(b"a", b"1"))
    settle(nodes)
    for node in nodes.hosts:
        assert GROUP in nodes[node].crash().node.replicas.running.waiting
    monkeypatch.setattr(Replicas, "start", None)
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_a_fenced_replica_goes(nodes: Nodes):
    for host in nodes.hosts.values():
        host.node.replicas.fence(host.replica(GROUP), Corruption("it is damaged", GROUP))
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_a_quarantined_replica_goes(nodes: Nodes):
    for host in nodes.hosts.values():
        host.machine(GROUP).fails = True
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert nodes[1].replica(GROUP).quarantine is not None
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_a_replica_without_its_state_goes(nodes: Nodes):
    host = nodes[2]
    nodes.cut = {2}
    host.replica(GROUP).lose_state(Corruption("it is gone", GROUP))
    host.turn()
    nodes.remove(GROUP)
    settle(nodes)
    assert_gone(host)


def test_a_silent_replica_goes(nodes: Nodes):
    host = nodes[2]
    nodes.cut = {2}
    host.node.replicas.silence(host.replica(GROUP), Corruption("it is damaged", GROUP, 2))
    settle(nodes)
    assert host.state.promised(GROUP) == EntryId(1, 2)
    nodes.remove(GROUP)
    settle(nodes)
    assert_gone(host)


def test_one_whose_machine_takes_its_time_goes():
    nodes = Slow()
    nodes.create(GROUP)
    nodes.settle()
    nodes[1].propose(GROUP, put(b"a", b"1"), token="under way")
    nodes.settle()
    assert nodes[1].applying
    nodes.remove(GROUP)
    settle(nodes)
    nodes.finish()
    settle(nodes)
    assert isinstance(nodes[1].answer("under way"), OutcomeUnknown)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_no_checkpoint_brings_its_state_back():
    nodes = Nodes(config=replace(CONFIG, state_machine="memory", log_keep_entries=1))
    nodes.create(GROUP)
    nodes.settle()
    host = nodes[1]
    for number in range(5):
        host.propose(GROUP, put(b"a", b"1"), token=number)
    nodes.settle()
    assert host.replica(GROUP).wants_checkpoint(nodes.now)
    nodes.remove(GROUP)
    settle(nodes)
    for one in nodes.hosts.values():
        assert_gone(one)
        assert one.state.checkpoint(GROUP) is None


def test_a_cut_that_waits_is_not_made(nodes: Nodes):
    host = nodes[1]
    replica = host.replica(GROUP)
    cut = GroupWrite(GROUP, replica.replica_id, truncate=(2, 1))
    host.node._truncations._add(replica, cut)
    nodes.remove(GROUP)
    settle(nodes)
    assert_gone(host)


def test_what_a_busy_disk_has_kept_back_is_not_written(nodes: Nodes):
    """Behind the tombstone of its own log there is none that could take it."""
    host = nodes[2]
    while not host.node._held.busy:
        host.node.replicas.create([birth(OTHER + len(host.unwritten), 2)])
        host.turn()
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    nodes.deliver()
    host.turn()
    assert GROUP in host.node._active
    nodes.remove(GROUP, [2])
    settle(nodes)
    assert_gone(host)


def test_messages_for_it_bring_nothing_back(nodes: Nodes):
    """The others have not heard of it yet: they are told that the group is unknown here."""
    nodes.remove(GROUP, [2])
    settle(nodes)
    assert_gone(nodes[2])
    nodes[1].propose(GROUP, put(b"a", b"1"), token="to the others")
    for _ in range(4):
        nodes[1].turn()
        nodes[1].write()
    nodes.deliver()
    nodes[2].turn()
    assert {one.kind for one in sent(nodes, 2)} == {UNKNOWN_GROUP}
    nodes.settle()
    assert nodes[1].answer("to the others") == [None]
    assert GROUP not in nodes[2].node.replicas.running
    nodes.remove(GROUP)
    settle(nodes)
    for host in nodes.hosts.values():
        assert_gone(host)


def test_a_tombstone_that_the_disk_refuses_is_written_again(nodes: Nodes):
    host = ordered(nodes)
    host.turn()
    refused, host.unwritten = host.unwritten, []
    host.inputs.refused = refused
    nodes.now += 10
    host.turn()
    assert not host.unflushed
    host.inputs.resume = True
    settle(nodes)
    assert_gone(host)


def test_a_turn_stops_so_many_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(removals, "REMOVALS_PER_TURN", 2)
    nodes = settled()
    for group in range(OTHER, OTHER + 4):
        nodes.create(group)
    nodes.settle()
    host = nodes[1]
    host.node.replicas.removals.order(Removal(group, 11) for group in range(GROUP, GROUP + 5))
    left = []
    for _ in range(3):
        again = host.turn().again
        left.append((len(host.node.replicas.running), again))
    assert left == [(3, True), (1, True), (0, False)]
