"""The turn of a node: proposals, reads, replica ids, faults of one group, time."""

from dataclasses import replace

from multiraft.engine.errors import (
    Corruption,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    ProposalDropped,
    Quarantined,
)
from multiraft.raft.messages import MsgType

from .harness import CONFIG, Nodes, put
from .settled import GROUP, types

# -- proposals and reads -------------------------------------------------------------------------------


def test_results_come_back_in_the_order_of_the_commands(nodes: Nodes):
    nodes[1].propose(GROUP, put(b"a", b"1"), put(b"b", b"2", 2), token="both")
    nodes.settle()
    assert nodes[1].answer("both") == [None, None]
    assert all(host.machine(GROUP).get(b"b") == b"2" for host in nodes.hosts.values())


def test_a_follower_refuses_and_names_the_leader(nodes: Nodes):
    nodes[2].propose(GROUP, put(b"a", b"1"))
    nodes[2].read(GROUP, b"a")
    nodes.settle()
    for token in ("proposal", "read"):
        refusal = nodes[2].answer(token)
        assert isinstance(refusal, NotLeader)
        assert refusal.hint == 1


def test_a_group_that_is_not_here_is_refused(nodes: Nodes):
    nodes[1].propose(99, put(b"a", b"1"))
    nodes.settle()
    assert isinstance(nodes[1].answer(), NotLeader)


def test_a_proposal_that_another_leaders_entry_replaced_is_dropped(nodes: Nodes):
    """The old leader learns it when that entry applies, and not a moment earlier."""
    nodes.cut.add(1)
    nodes[1].propose(GROUP, put(b"a", b"lost"))
    nodes[1].turn()
    nodes[1].write()
    nodes.pass_time(3)
    other = nodes.leader(GROUP)
    assert other.node_id != 1
    assert not nodes[1].answered()
    other.propose(GROUP, put(b"a", b"kept"))
    nodes.settle()
    nodes.cut.clear()
    nodes.pass_time(1)
    assert isinstance(nodes[1].answer(), ProposalDropped)
    assert nodes[1].machine(GROUP).get(b"a") == b"kept"


def test_a_proposal_whose_entry_survives_its_leader_has_its_result(nodes: Nodes):
    """Same index, same term: the entry that applies is the one that was proposed."""
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    nodes.deliver()
    nodes[1].write()
    for node in (2, 3):
        nodes[node].turn()
        nodes[node].write()
    nodes.cut.add(1)
    nodes.pass_time(3)
    assert not nodes[1].answered()
    nodes.cut.clear()
    nodes.pass_time(1)
    assert nodes[1].answer() == [None]


def test_a_deposed_leader_answers_no_read(nodes: Nodes):
    """Cut off, it cannot confirm that it leads; when it hears of the new leader it refuses."""
    nodes.cut.add(1)
    nodes[1].read(GROUP, b"a")
    nodes.pass_time(3)
    nodes.cut.clear()
    nodes.pass_time(1)
    assert isinstance(nodes[1].answer("read"), NotLeader)


def test_a_read_sees_every_write_acknowledged_before_it(nodes: Nodes):
    for number in range(5):
        nodes[1].propose(GROUP, put(b"a", b"%d" % number), token=number)
        nodes.settle()
        assert nodes[1].answer(number) == [None]
        nodes[1].read(GROUP, b"a", token=f"read {number}")
        nodes.settle()
        assert nodes[1].answer(f"read {number}") == b"%d" % number


def test_too_much_uncommitted_is_refused_as_overloaded():
    nodes = Nodes(config=replace(CONFIG, uncommitted_bytes=100))
    nodes.create(GROUP)
    nodes.settle()
    nodes.cut = {2, 3}
    nodes[1].propose(GROUP, put(b"a", b"x" * 200), token="first")
    nodes[1].turn()
    nodes[1].propose(GROUP, put(b"a", b"x" * 200), token="second")
    nodes[1].turn()
    assert isinstance(nodes[1].answer("second"), Overloaded)
    assert not nodes[1].answered("first")


def test_everybody_is_answered_when_the_node_stops(nodes: Nodes):
    """What was appended may commit; what only waited did not happen."""
    nodes.cut = {2, 3}
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].read(GROUP, b"a")
    nodes[1].turn()
    stop = NotLeader(GROUP)
    values = {answer.token.name: answer.value for answer in nodes[1].node.replicas.fail_all(stop)}
    assert isinstance(values["proposal"], OutcomeUnknown)
    assert values["read"] is stop


# -- replica ids ---------------------------------------------------------------------------------------


def test_a_message_for_another_replica_id_is_dropped(nodes: Nodes):
    """A node that left a group and came back has another replica id: old messages are not for it."""
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    nodes[2].replica(GROUP).replica_id = 99
    refused = nodes[2].node.messages_refused
    nodes.deliver()
    nodes[2].turn()
    assert nodes[2].node.messages_refused == refused + 1
    assert nodes[2].unwritten == []


def test_a_message_from_the_wrong_node_is_dropped(nodes: Nodes):
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    nodes.wire = [(3, frame) for _, frame in nodes.wire]
    nodes.deliver()
    nodes[2].turn()
    assert nodes[2].node.messages_refused == 1
    assert nodes[2].unwritten == []


def test_a_bad_frame_is_hung_up_on_and_nothing_of_it_is_used(nodes: Nodes):
    nodes[2].inputs.frames.append((1, b"\0" * 100))
    nodes[2].turn()
    ((node, error),) = nodes[2].hang_ups
    assert node == 1
    assert isinstance(error, Corruption)


# -- faults of one group -------------------------------------------------------------------------------


def test_a_machine_that_raises_harms_only_its_own_group(nodes: Nodes):
    """It reports Quarantined with the index, goes on voting and replicating, and the others go on."""
    nodes.create(GROUP + 1)
    nodes.settle()
    nodes[1].machine(GROUP).fails = True
    nodes[1].propose(GROUP, put(b"a", b"1"), token="poisoned")
    nodes[1].propose(GROUP + 1, put(b"a", b"1"), token="other")
    nodes.settle()
    poisoned = nodes[1].answer("poisoned")
    assert isinstance(poisoned, OutcomeUnknown)
    assert isinstance(poisoned.__cause__, Quarantined)
    assert poisoned.__cause__.index == 3
    assert nodes[1].answer("other") == [None]
    nodes[1].propose(GROUP, put(b"a", b"2"), token="later")
    nodes.pass_time(2)
    assert isinstance(nodes[1].answer("later"), Quarantined)
    assert nodes[1].replica(GROUP).raw.raft.term == 1, "no carousel of elections"
    assert nodes[2].machine(GROUP).get(b"a") == b"1"


class Broken:
    """A core whose invariant is violated as soon as it is touched."""

    def __init__(self, raw):
        self.raft = raw.raft

    def __getattr__(self, name):
        raise AssertionError("match < next")


def test_a_violated_invariant_stops_its_own_group_only(nodes: Nodes):
    """Who waits there is answered, who comes later may ask its peers; the other groups of the node go on."""
    nodes.create(GROUP + 1)
    nodes.settle()
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes[1].turn()
    nodes[1].replica(GROUP).raw = Broken(nodes[1].replica(GROUP).raw)
    nodes[1].propose(GROUP + 1, put(b"a", b"1"), token="other")
    nodes.settle()
    assert isinstance(nodes[1].answer(), OutcomeUnknown)
    assert isinstance(nodes[1].node.replicas.lost[GROUP], Quarantined)
    assert nodes[1].answer("other") == [None]
    nodes[1].propose(GROUP, put(b"a", b"2"), token="later")
    nodes[1].turn()
    assert isinstance(nodes[1].answer("later"), NotLeader)


def test_a_state_beyond_the_log_is_a_lost_log():
    """Applied entries that the log no longer has: the replica must not vote as if it had them."""
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = nodes[1]
    log_before = host.log.crash()
    host.log = log_before
    fresh = Nodes(1)
    fresh.hosts[1].state = host.state
    host.state.set_applied(GROUP, host.replica(GROUP).applied._replace(index=50))
    reborn = type(host)(nodes, 1, log_before.crash(), host.state)
    assert GROUP not in reborn.node.replicas.running
    assert isinstance(reborn.node.replicas.lost[GROUP], Corruption)
    reborn.propose(GROUP, put(b"a", b"1"))
    reborn.turn()
    assert isinstance(reborn.answer(), Corruption)


# -- time ----------------------------------------------------------------------------------------------


def test_a_loop_that_was_held_up_reads_its_sockets_before_it_judges(nodes: Nodes):
    """A follower paused for long must not campaign while its leader's beats wait in the socket."""
    follower = nodes[2]
    nodes.now += 30
    nodes[1].turn()
    nodes.deliver()
    effects = follower.turn()
    assert effects.again
    assert MsgType.PRE_VOTE not in types(nodes, 2)
    nodes.settle()
    assert nodes.leader(GROUP).node_id == 1
    assert nodes.leader(GROUP).replica(GROUP).raw.raft.term == 1
    assert follower.node.ticker.missed > 0
