"""Nodes whose disk refuses batches: nothing is lost, nothing is promised, others lead, and it goes on."""

import pytest

from multiraft.engine.errors import DiskFull, NotLeader, StorageFailed
from multiraft.raft.messages import Message, MsgType

from .harness import Host, Nodes, put, sent

FULL = DiskFull("no space")
PROMISES = {"VOTE", "VOTE_RESP", "APP_RESP"}


def refuse(host: Host, trouble: Exception | None = FULL) -> None:
    """What is in flight comes back."""
    host.inputs.refused += host.unwritten
    host.unwritten.clear()
    host.inputs.trouble.append(trouble)


def works_again(host: Host) -> None:
    host.inputs.trouble.append(None)
    if host.node.halted:
        host.inputs.resume = True


@pytest.fixture
def nodes() -> Nodes:
    nodes = Nodes()
    nodes.create(5)
    nodes.settle()
    return nodes


def promises(nodes: Nodes, node: int) -> list[str]:
    return [one.message.type.name for one in sent(nodes, node) if one.message.type.name in PROMISES]


def test_a_refused_batch_is_written_again_and_acknowledged_only_then(nodes: Nodes):
    leader = nodes.leader(5)
    leader.propose(5, put(b"a", b"1"))
    leader.turn()
    nodes.deliver()
    follower = nodes[2]
    follower.turn()
    nodes.wire.clear()
    (lost,) = follower.unwritten
    refuse(follower)
    follower.turn()
    assert follower.node.halted
    assert follower.unwritten == []
    assert follower.log.group(5).last_index() == 2, "reads show what is durable"
    assert promises(nodes, 2) == []

    works_again(follower)
    follower.turn()
    (beginning,) = follower.unwritten
    assert beginning.begins_run
    assert promises(nodes, 2) == []
    follower.write()
    follower.turn()
    assert not follower.node.halted
    (again,) = follower.unwritten
    assert again.seq > lost.seq
    assert promises(nodes, 2) == []
    follower.write()
    follower.turn()
    assert promises(nodes, 2) == ["APP_RESP"]
    assert follower.log.crash().group(5).last_index() == 3


def test_batches_behind_a_refused_one_come_back_with_it_and_go_in_their_order(nodes: Nodes):
    leader = nodes.leader(5)
    for number in range(3):
        leader.propose(5, put(b"a", b"%d" % number, number + 1), token=number)
        leader.turn()
    assert len(leader.unwritten) == 3
    first, rest = leader.unwritten[:1], leader.unwritten[1:]
    leader.unwritten.clear()
    leader.inputs.refused += first
    leader.turn()
    assert leader.node.halted
    assert leader.node.batches_in_flight == 3, "the others are still on their way"
    leader.inputs.refused += rest
    leader.turn()
    assert leader.node.batches_in_flight == 0
    works_again(leader)
    nodes.settle()
    assert [leader.answer(number) for number in range(3)] == [[None]] * 3
    assert leader.machine(5).get(b"a") == b"2"
    assert nodes[2].machine(5).get(b"a") == b"2"


def test_a_full_disk_refused_again_waits_again(nodes: Nodes):
    leader = nodes.leader(5)
    leader.propose(5, put(b"a", b"1"))
    leader.turn()
    refuse(leader)
    leader.turn()
    for _ in range(3):
        leader.inputs.resume = True
        leader.turn()
        refuse(leader)
        leader.turn()
        assert leader.node.halted
    works_again(leader)
    nodes.settle()
    assert leader.answer() == [None]


def test_a_leader_whose_disk_is_full_gives_way_to_one_with_its_log(nodes: Nodes):
    leader = nodes.leader(5)
    leader.propose(5, put(b"a", b"1"), token="queued")
    leader.inputs.trouble.append(FULL)
    nodes.settle()
    heir = nodes.leader(5)
    assert heir is not leader
    assert isinstance(leader.answer("queued"), NotLeader)
    heir.propose(5, put(b"b", b"2"))
    nodes.settle()
    assert heir.answer() == [None]
    assert leader.machine(5).get(b"b") is None, "what others write does not use up what space is left"
    works_again(leader)
    nodes.pass_time(1)
    assert leader.machine(5).get(b"b") == b"2"


def test_where_all_disks_are_full_somebody_leads_and_reads_are_served(nodes: Nodes):
    nodes.leader(5).propose(5, put(b"a", b"1"))
    nodes.settle()
    for host in nodes.hosts.values():
        host.inputs.trouble.append(FULL)
    nodes.pass_time(3)
    leader = nodes.leader(5)
    assert sum(host.replica(5).leads for host in nodes.hosts.values()) == 1
    leader.propose(5, put(b"a", b"2"), token="refused")
    leader.read(5, b"a")
    nodes.settle()
    assert leader.answer("refused") is FULL
    assert leader.answer("read") == b"1"


def test_each_time_another_one_is_asked_to_lead(nodes: Nodes):
    leader = nodes.leader(5)
    others = {2, 3}
    asked = set()
    for _ in others:
        leader.inputs.trouble.append(FULL)
        leader.turn()
        asked.add(leader.replica(5).raw.raft.lead_transferee - 10)
        nodes.wire.clear()
    assert asked == others


def test_a_node_alone_with_a_halted_log_serves_linearizable_reads():
    nodes = Nodes(1)
    nodes.create(5)
    nodes.settle()
    (host,) = nodes.hosts.values()
    host.propose(5, put(b"a", b"1"))
    nodes.settle()
    host.propose(5, put(b"a", b"2"), token="in flight")
    host.turn()
    refuse(host)
    host.turn()
    host.propose(5, put(b"a", b"3"), token="refused")
    host.read(5, b"a")
    host.turn()
    host.turn()
    assert host.answer("refused") is FULL
    assert host.answer("read") == b"1"
    assert not host.answered("in flight")
    assert not host.turn().again, "it waits without spinning"
    works_again(host)
    nodes.settle()
    assert host.answer("in flight") == [None]
    assert host.machine(5).get(b"a") == b"2"


def test_after_another_failure_callers_are_told_to_ask_again(nodes: Nodes):
    leader = nodes.leader(5)
    leader.inputs.trouble.append(StorageFailed("input/output error"))
    leader.turn()
    leader.propose(5, put(b"a", b"1"))
    leader.turn()
    refusal = leader.answer()
    assert isinstance(refusal, NotLeader)
    assert refusal.hint in {2, 3}


def test_a_vote_waits_for_the_second_try_too(nodes: Nodes):
    """A candidate whose log is halted stays without its own vote and asks for none."""
    nodes.cut = {1}
    voter = nodes[2]
    while not voter.unwritten:
        nodes.now += 0.1
        for node in (2, 3):
            nodes[node].turn()
        nodes[3].write()
        nodes.deliver()
    refuse(voter)
    voter.turn()
    nodes.wire.clear()
    for _ in range(5):
        voter.turn()
    assert promises(nodes, 2) == []
    works_again(voter)
    nodes.pass_time(3)
    assert nodes.leader(5).node_id in {2, 3}


def test_births_are_written_again_before_their_replicas_run():
    nodes = Nodes(1)
    (host,) = nodes.hosts.values()
    nodes.create(5)
    host.turn()
    refuse(host)
    host.turn()
    assert 5 not in host.node.replicas.running
    assert host.node.replicas.births.unsettled
    nodes.create(6)
    host.turn()
    works_again(host)
    nodes.settle()
    assert set(host.node.replicas.running) == {5, 6}
    assert set(host.crash().node.replicas.running) == {5, 6}


def test_answers_to_peers_do_not_pile_up_while_the_log_is_halted(nodes: Nodes):
    """A disk may be full for days, and every beat may bring a probe; what was not answered is asked again."""
    leader, follower = nodes.leader(5), nodes[2]
    leader.propose(5, put(b"a", b"1"))
    leader.turn()
    nodes.deliver()
    follower.turn()
    refuse(follower)
    follower.turn()
    replica = follower.replica(5)
    term, lead, own = replica.raw.raft.term, replica.raw.raft.lead, replica.replica_id
    held = follower.node._held
    kept = sum(len(messages) for work in held._waiting for _, messages in work.promises)
    for _ in range(50):
        replica.raw.step(Message(MsgType.APP, to=own, from_=lead, term=term, index=2, log_term=1, commit=2))
        follower.node._activate(replica)
        follower.turn()
    assert sum(len(messages) for work in held._waiting for _, messages in work.promises) <= kept + 1
    works_again(follower)
    nodes.settle()
    nodes.pass_time(1)
    assert follower.log.crash().group(5).last_index() == 3
    assert leader.answer() == [None]
