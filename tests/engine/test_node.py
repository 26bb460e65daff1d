"""The turn of a node: promises wait for the disk, births for their rows, reads for their quorum."""

from dataclasses import replace

import pytest

from multiraft.engine.errors import (
    Corruption,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    ProposalDropped,
    Quarantined,
)
from multiraft.engine.wire import UNKNOWN_GROUP
from multiraft.raft.messages import MsgType

from .harness import CONFIG, Nodes, put, sent

GROUP = 5


@pytest.fixture
def nodes() -> Nodes:
    """Three nodes with one settled group, led by node 1 without a timeout."""
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    assert nodes.leader(GROUP).node_id == 1
    return nodes


def types(nodes: Nodes, source: int) -> list[MsgType]:
    return [one.message.type for one in sent(nodes, source)]


# -- births and forced elections -----------------------------------------------------------------------


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
    nodes[1].turn()
    nodes[1].write()
    nodes[1].turn()
    nodes[1].turn()
    nodes.deliver()
    nodes[2].turn()
    assert GROUP not in nodes[2].node.replicas.running
    assert types(nodes, 2) == []
    assert len(nodes[2].node.parking) == 1
    nodes[2].write()
    nodes[2].turn()
    assert MsgType.PRE_VOTE_RESP in types(nodes, 2)


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
    assert nodes.leader(GROUP).node_id == 1
    assert len(nodes[2].node.parking) == 0


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


# -- durability ------------------------------------------------------------------------------------------


def test_no_vote_leaves_before_it_is_durable():
    """Both the request (which carries the candidate's own vote) and the answer wait for their batches."""
    nodes = Nodes()
    nodes.create(GROUP)
    for _ in range(3):
        for host in nodes.hosts.values():
            host.turn()
            host.write()
    nodes.deliver()
    for host in nodes.hosts.values():
        host.turn()
    nodes.deliver()
    nodes[1].turn()
    assert nodes[1].replica(GROUP).raw.raft.term == 1
    assert MsgType.VOTE not in types(nodes, 1), "the candidate's own vote is not on disk yet"
    nodes[1].write()
    nodes[1].turn()
    assert types(nodes, 1).count(MsgType.VOTE) == 2
    nodes.deliver()
    nodes[2].turn()
    assert nodes[2].replica(GROUP).raw.raft.vote == 11
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


def test_a_batch_in_flight_too_many_makes_the_next_one_larger(nodes: Nodes):
    """The loop hands over a bounded number of batches; what comes later joins one batch."""
    leader = nodes[1]
    for number in range(10):
        leader.propose(GROUP, put(b"%d" % number, b"x"), token=number)
        leader.turn()
    assert len(leader.unwritten) == CONFIG.batches_in_flight
    nodes.settle()
    assert all(leader.answer(number) == [None] for number in range(10))


# -- proposals and reads ---------------------------------------------------------------------------------


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
    values = {answer.token.name: answer.value for answer in nodes[1].node.fail_all(stop)}
    assert isinstance(values["proposal"], OutcomeUnknown)
    assert values["read"] is stop


# -- replica ids -----------------------------------------------------------------------------------------


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


# -- faults of one group ---------------------------------------------------------------------------------


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
    """Who waits there learns why; the other groups of the node go on."""
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
    assert isinstance(nodes[1].answer("later"), Quarantined)


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


# -- snapshots and compaction ----------------------------------------------------------------------------

SHORT_LOG = replace(CONFIG, log_keep_entries=10)


def fill(nodes: Nodes, count: int, start: int = 0) -> None:
    leader = nodes.leader(GROUP)
    for number in range(start, start + count):
        leader.propose(GROUP, put(b"%03d" % number, b"x"), token=number)
        nodes.settle()
        assert leader.answer(number) == [None]


def lagging(config=SHORT_LOG) -> Nodes:
    """Node 3 was away for so long that the leader's log does not reach back to it."""
    nodes = Nodes(config=config)
    nodes.create(GROUP)
    nodes.settle()
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    fill(nodes, 40)
    nodes.pass_time(2)
    fill(nodes, 5, 40)
    assert nodes[1].replica(GROUP).raw.raft.log.first_index() > 20
    return nodes


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_a_follower_that_fell_behind_gets_a_snapshot(machine: str):
    nodes = lagging(replace(SHORT_LOG, state_machine=machine))
    nodes.cut.clear()
    nodes.pass_time(2)
    fill(nodes, 3, 45)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()
    assert nodes[3].replica(GROUP).raw.raft.log.first_index() > 20
    reborn = nodes[3].crash()
    nodes.pass_time(1)
    assert reborn.machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def snapshot_in_state_store() -> Nodes:
    """Node 3 has received the snapshot and holds it in memory; its flush is on the way."""
    nodes = lagging()
    nodes.cut.clear()
    for _ in range(40):
        nodes.now += 0.1
        for node in (1, 2):
            nodes[node].turn()
            nodes[node].write()
            nodes[node].flush()
        nodes[3].turn()
        nodes[3].write()
        if nodes[3].unflushed and nodes[3].replica(GROUP).installing:
            return nodes
        nodes.deliver()
    raise AssertionError("no snapshot came")


def test_a_snapshot_is_acknowledged_only_after_state_and_log_are_durable():
    """First the state store, then the log is reset, then the acknowledgement."""
    nodes = snapshot_in_state_store()
    host = nodes[3]
    nodes.wire.clear()
    point = host.replica(GROUP).installing.snapshot.index
    host.turn()
    assert MsgType.APP_RESP not in types(nodes, 3)
    assert host.log.group(GROUP).last_index() < point
    host.flush()
    host.turn()
    assert host.unwritten
    assert MsgType.APP_RESP not in types(nodes, 3)
    host.write()
    host.turn()
    (answer,) = [one.message for one in sent(nodes, 3) if one.message.type is MsgType.APP_RESP]
    assert answer.index == point


def test_a_crash_before_the_state_is_durable_leaves_the_old_replica():
    nodes = snapshot_in_state_store()
    before = nodes[3].log.group(GROUP).last_index()
    reborn = nodes[3].crash()
    assert reborn.log.group(GROUP).last_index() == before
    assert reborn.machine(GROUP).get(b"030") is None
    nodes.pass_time(2)
    assert reborn.machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_a_crash_between_state_and_log_finishes_the_installation():
    """The marker says that the state is a snapshot's: the log is reset to it, term and vote stay."""
    nodes = snapshot_in_state_store()
    host = nodes[3]
    point = host.replica(GROUP).installing.snapshot.index
    term = host.replica(GROUP).raw.raft.term
    for flush in host.unflushed:
        host.state.write(flush)
    reborn = host.crash()
    assert reborn.log.group(GROUP).first_index() == point + 1
    assert reborn.replica(GROUP).raw.raft.term == term
    assert reborn.replica(GROUP).applied.index == point
    nodes.pass_time(2)
    assert reborn.machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_a_log_that_stands_on_the_snapshot_is_kept_with_what_came_after():
    """The marker is still there, but the log went on: nothing is reset."""
    nodes = snapshot_in_state_store()
    host = nodes[3]
    host.flush()
    host.turn()
    host.write()
    host.turn()
    for number in range(20):
        nodes[1].propose(GROUP, put(b"after", b"%d" % number), token=f"after {number}")
        nodes.deliver()
        for node in (1, 2, 3):
            nodes[node].turn()
            nodes[node].write()
    last = host.log.group(GROUP).last_index()
    assert last > host.log.group(GROUP).first_index()
    reborn = host.crash()
    assert reborn.log.group(GROUP).last_index() == last


def test_the_log_is_never_cut_beyond_what_is_durably_applied():
    nodes = Nodes(1, config=SHORT_LOG)
    nodes.create(GROUP)
    nodes.settle()
    host = nodes[1]
    for number in range(60):
        host.propose(GROUP, put(b"%d" % number, b"x"), token=number)
        for _ in range(4):
            host.turn()
            host.write()
    nodes.now += 10
    host.turn()
    assert host.log.group(GROUP).first_index() == 2, "no flush is durable"
    assert host.unflushed
    host.flush()
    for _ in range(3):
        host.turn()
        host.write()
    assert 2 < host.log.group(GROUP).first_index() <= host.state.durable_applied(GROUP) + 1


# -- time ------------------------------------------------------------------------------------------------


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
