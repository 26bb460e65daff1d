"""Reads that the core drops are answered: nobody waits for a confirmation that cannot come."""

from multiraft.engine.errors import NotLeader, Overloaded
from multiraft.raft import role
from multiraft.raft.ids import NO_REPLICA

from .harness import Nodes
from .settled import GROUP


def test_a_read_too_many_is_refused_as_overloaded(nodes: Nodes):
    nodes[1].replica(GROUP).raw.raft.config.max_pending_reads = 1
    nodes.cut = {2, 3}
    nodes[1].read(GROUP, b"a", token="first")
    nodes[1].turn()
    nodes[1].read(GROUP, b"a", token="second")
    nodes[1].turn()
    assert isinstance(nodes[1].answer("second"), Overloaded)
    assert not nodes[1].answered("first")
    nodes.cut.clear()
    nodes.pass_time(1)
    assert nodes[1].answer("first") is None, "the value of a key that was never written"


def test_a_leader_that_led_again_before_its_node_looked_answers_its_earlier_reads(nodes: Nodes):
    """The soft state that it shows is the same as before: only the dropped read tells of the change."""
    nodes.cut = {2, 3}
    nodes[1].read(GROUP, b"a")
    nodes[1].turn()
    raft = nodes[1].replica(GROUP).raw.raft
    role.become_follower(raft, raft.term, NO_REPLICA)
    role.become_candidate(raft)
    role.become_leader(raft)
    assert not nodes[1].answered("read")
    nodes[1].read(GROUP, b"a", token="later")
    nodes[1].turn()
    assert not nodes[1].answered("later")
    assert isinstance(nodes[1].answer("read"), NotLeader)
