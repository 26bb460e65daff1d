"""A new group: births before replicas, a leader without a timeout, early messages parked."""

from multiraft.engine.wire import UNKNOWN_GROUP
from multiraft.raft.messages import MsgType

from .harness import CONFIG, Nodes, put, sent
from .settled import GROUP, types


def test_a_new_group_has_a_leader_in_term_1_without_a_timeout():
    """The designated replica forces its election; no time passes."""
    nodes = Nodes()
    for group in range(5, 35):
        nodes.create(group, designated=group % 3 + 1)
    nodes.settle()
    for group in range(5, 35):
        leader = nodes.leader(group)
        assert leader.node_id == group % 3 + 1
        assert leader.replica(group).raw.raft.term == 1


def test_a_replica_does_not_exist_before_its_birth_is_durable():
    """Births durable first: until then it answers no vote, whoever asks."""
    nodes = Nodes()
    nodes.create(GROUP, designated=1)
    nodes[2].turn()
    assert nodes[2].unwritten
    for _ in range(2):  # the birth, then the candidate's own vote
        nodes[1].turn()
        nodes[1].write()
    nodes[1].turn()
    nodes.deliver()
    nodes[2].turn()
    assert GROUP not in nodes[2].node.replicas.running
    assert types(nodes, 2) == []
    assert len(nodes[2].node.parking) == 1
    for _ in range(2):
        nodes[2].write()
        nodes[2].turn()
    assert types(nodes, 2) == [MsgType.VOTE_RESP]


def test_births_lost_in_a_crash_never_voted():
    """A crash before the batch is durable takes the birth and nothing was promised in its name."""
    nodes = Nodes()
    nodes.create(GROUP)
    nodes[2].turn()
    reborn = nodes[2].crash()
    assert GROUP not in reborn.node.replicas.running
    nodes.create(GROUP)
    nodes.settle()
    assert nodes.leader(GROUP).node_id == 1


def test_early_messages_park_until_the_directory_catches_up():
    """A peer that knows a newer directory talks about a group that this node creates later."""
    nodes = Nodes()
    nodes[1].node.directory_index = 2
    nodes.create(GROUP, nodes=[1])
    nodes.settle()
    assert len(nodes[2].node.parking) == 1
    nodes.create(GROUP, nodes=[2])
    nodes[2].node.directory_index = 2
    nodes.settle()
    assert len(nodes[2].node.parking) == 0
    nodes.pass_time(0.3)
    assert nodes.leader(GROUP).node_id == 1


def test_a_message_for_a_group_that_is_none_of_ours_is_answered_unknown():
    """Same directory, no such group: neither created nor parked."""
    nodes = Nodes()
    nodes.create(GROUP, nodes=[1])
    for _ in range(3):
        nodes[1].turn()
        nodes[1].write()
    nodes.deliver()
    nodes[2].turn()
    assert [one.kind for one in sent(nodes, 2)] == [UNKNOWN_GROUP]
    assert GROUP not in nodes[2].node.replicas.running
    assert len(nodes[2].node.parking) == 0


def test_parked_messages_are_dropped_by_age():
    nodes = Nodes()
    nodes[1].node.directory_index = 2
    nodes.create(GROUP, nodes=[1])
    nodes.settle()
    nodes.cut.add(1)
    nodes.pass_time(CONFIG.parked_ms / 1000 + 0.2)
    assert len(nodes[2].node.parking) == 0
    assert nodes[2].node.parking.dropped == 1


def test_an_order_repeated_or_for_a_removed_replica_is_ignored(nodes: Nodes):
    before = nodes[2].replica(GROUP)
    nodes.create(GROUP)
    nodes.settle()
    assert nodes[2].replica(GROUP) is before


def test_the_directory_is_not_flushed_before_the_births_that_it_ordered():
    """Its applied index on disk without the births would lose them for good."""
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = nodes[1]
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    nodes.create(GROUP + 1)
    nodes.now += 10
    host.turn()
    assert host.unwritten, "the birth is on its way"
    assert not host.unflushed
    host.write()
    host.turn()
    assert host.unflushed
