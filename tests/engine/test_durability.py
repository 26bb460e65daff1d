"""The promises of a node wait for its disk."""

import pytest

from multiraft.raft.messages import Message, MsgType

from .harness import CONFIG, Nodes, put
from .settled import GROUP, types


@pytest.fixture(params=["newborn", "later"])
def candidate(request) -> Nodes:
    """Node 1 has begun an election, the first one or that of another term, and its disk does nothing."""
    nodes = Nodes()
    nodes.create(GROUP)
    if request.param == "newborn":
        for host in nodes.hosts.values():
            host.turn()
            host.write()
    else:
        nodes.settle()
        nodes[1].inputs.frames.clear()
        leader = nodes.leader(GROUP).replica(GROUP)
        assert leader.replica_id == 11
        leader.raw.step(Message(MsgType.HEARTBEAT, 11, 12, 2))  # it was led in term 2 meanwhile
        leader.raw.step(Message(MsgType.TIMEOUT_NOW, 11, 12, 2))
        nodes[1].node._activate(leader)
    nodes[1].turn()
    return nodes


def test_no_vote_leaves_before_it_is_durable(candidate: Nodes):
    """Both the request (which carries the candidate's own vote) and the answer wait for their batches."""
    nodes = candidate
    assert nodes[1].log.group(GROUP).hard_state.vote == 11
    assert nodes[1].unwritten
    assert MsgType.VOTE not in types(nodes, 1), "the candidate's own vote is not on disk yet"
    nodes[1].write()
    nodes[1].turn()
    assert types(nodes, 1).count(MsgType.VOTE) == 2
    nodes.deliver()
    nodes[2].turn()
    nodes[2].turn()
    assert nodes[2].log.group(GROUP).hard_state.vote == 11
    assert MsgType.VOTE_RESP not in types(nodes, 2)
    nodes[2].write()
    nodes[2].turn()
    assert MsgType.VOTE_RESP in types(nodes, 2)


def test_no_append_is_acknowledged_before_it_is_durable(nodes: Nodes):
    """Nor does the leader count its own log before its own disk has it."""
    leader, follower = nodes[1], nodes[2]
    leader.propose(GROUP, put(b"a", b"1"))
    leader.turn()
    nodes.deliver()
    follower.turn()
    assert MsgType.APP_RESP not in types(nodes, 2)
    follower.write()
    follower.turn()
    assert MsgType.APP_RESP in types(nodes, 2)
    nodes.deliver()
    leader.turn()
    assert not leader.answered(), "one of three disks has the entry"
    leader.write()
    leader.turn()
    leader.turn()
    assert leader.answer() == [None]


def test_an_append_repeated_while_it_is_being_written_is_not_acknowledged_early(nodes: Nodes):
    """The second answer asks for no write of its own, yet it promises what the first batch holds."""
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    again = list(nodes.wire)
    nodes.deliver()
    nodes[2].turn()
    nodes.wire = again
    nodes.deliver()
    nodes[2].turn()
    assert MsgType.APP_RESP not in types(nodes, 2)
    nodes[2].write()
    nodes[2].turn()
    assert types(nodes, 2).count(MsgType.APP_RESP) == 2


def test_a_commit_alone_causes_no_write(nodes: Nodes):
    leader = nodes[1]
    leader.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    nodes.pass_time(1)
    written = [len(host.log.environment.values) for host in nodes.hosts.values()]
    nodes.pass_time(1)
    assert [len(host.log.environment.values) for host in nodes.hosts.values()] == written


def test_what_was_acknowledged_survives_a_crash_of_every_node(nodes: Nodes):
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert nodes[1].answer() == [None]
    for node in (1, 2, 3):
        nodes[node].crash()
    nodes.pass_time(3)
    leader = nodes.leader(GROUP)
    leader.read(GROUP, b"a")
    nodes.settle()
    assert leader.answer("read") == b"1"


def test_a_restarted_replica_keeps_term_and_vote(nodes: Nodes):
    term, vote = nodes[2].replica(GROUP).raw.raft.term, nodes[2].replica(GROUP).raw.raft.vote
    raft = nodes[2].crash().replica(GROUP).raw.raft
    assert (raft.term, raft.vote) == (term, vote) == (1, 11)


def test_a_state_that_is_ahead_of_its_logs_commit_is_gone_on_from(nodes: Nodes):
    """A commit alone is never written: after a crash the state store knows more than the hard state does."""
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    nodes.pass_time(1)
    for node in (1, 2, 3):
        applied = nodes[node].state.durable_applied(GROUP)
        assert nodes[node].log.group(GROUP).initial_state()[0].commit < applied
        reborn = nodes[node].crash()
        replica = reborn.replica(GROUP)
        assert replica.raw.raft.log.committed == replica.applied.index == applied
        assert reborn.machine(GROUP).get(b"a") == b"1"
    nodes.pass_time(3)
    nodes.leader(GROUP).propose(GROUP, put(b"b", b"2"), token="later")
    nodes.settle()
    assert nodes.leader(GROUP).answer("later") == [None]
    assert {nodes[node].machine(GROUP).digest() for node in (1, 2, 3)} == {nodes[1].machine(GROUP).digest()}


def test_a_batch_in_flight_too_many_makes_the_next_one_larger(nodes: Nodes):
    """The loop hands over a bounded number of batches; what comes later joins one batch."""
    leader = nodes[1]
    for number in range(10):
        leader.propose(GROUP, put(b"%d" % number, b"x"), token=number)
        leader.turn()
    assert len(leader.unwritten) == CONFIG.batches_in_flight
    nodes.settle()
    assert all(leader.answer(number) == [None] for number in range(10))
