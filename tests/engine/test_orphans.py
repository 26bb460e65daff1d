"""Groups whose leader's node is gone: they elect so many at a time, each on one node first."""

import pytest

from multiraft.engine.liveness import Liveness
from multiraft.engine.orphans import AT_ONCE

from .harness import CONFIG, Nodes, put
from .settled import GROUP
from .test_dormancy import away, leave_alone
from .test_rest import BEAT_S, ELECTION_S, terms

GROUPS = range(100, 100 + 4 * AT_ONCE)


@pytest.fixture
def dormant(nodes: Nodes) -> Nodes:
    """A group that is a row on every node; node 1 leads it, and key a is 1."""
    nodes[1].propose(GROUP, put(b"a", b"1"), token="before")
    return leave_alone(nodes)


def many() -> Nodes:
    nodes = Nodes()
    for group in GROUPS:
        nodes.create(group)
    nodes.settle()
    leave_alone(nodes)
    assert all(not host.node.replicas.running.loaded for host in nodes.hosts.values())
    return nodes


def test_a_dead_node_does_not_wake_all_of_its_groups_in_one_turn():
    nodes = many()
    nodes.cut.add(1)
    most = 0
    for _ in range(3 * CONFIG.election_ticks):
        nodes.now += 0.1
        for _ in range(40):
            for host in nodes.hosts.values():
                before = host.node.orphans.woken
                host.turn()
                most = max(most, host.node.orphans.woken - before)
                host.write()
                host.flush()
            if not nodes.deliver():
                break
    assert most == AT_ONCE
    for group in GROUPS:
        assert nodes.leader(group).node_id != 1
        assert nodes.leader(group).replica(group).raw.raft.term == 2, "one election was enough"
    shares = [nodes[node].node.orphans.woken for node in (2, 3)]
    assert sum(shares) == len(GROUPS), "each was called by one node, and came to the other by a message"
    assert min(shares) > len(GROUPS) // 3


def test_the_others_call_an_election_that_its_caller_does_not(dormant: Nodes):
    caller = 2 + GROUP % 2
    host = dormant[caller]
    host.node.replicas.fence(host.replica(GROUP), RuntimeError("broken"))
    dormant.cut.add(1)
    other = dormant[5 - caller]
    dormant.pass_time(1.5 * ELECTION_S)
    assert other.node.orphans.woken == 0
    dormant.pass_time(ELECTION_S)
    assert other.node.orphans.woken == 1


def test_a_leader_that_comes_back_in_time_finds_them_at_rest():
    nodes = many()
    for host in nodes.hosts.values():
        host.node.elections._most = 1  # nobody gets far
    while not len(nodes[2].node.orphans):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.turn()
        nodes.wire = [(source, frame) for source, frame in nodes.wire if source != 1]
        nodes.deliver()
    nodes.pass_time(2 * BEAT_S)
    resting = [len(nodes[node].node.replicas.running.loaded) for node in (1, 2, 3)]
    assert max(resting) < len(GROUPS) // 4
    leave_alone(nodes)
    assert all(not host.node.replicas.running.loaded for host in nodes.hosts.values())


def test_a_node_that_starts_again_says_that_it_leads_nothing(dormant: Nodes):
    """Nobody has to wait for its silence: it speaks, in another run."""
    dormant[1].crash()
    dormant.pass_time(2 * BEAT_S)
    assert dormant.leader(GROUP).replica(GROUP).raw.raft.term == 2
    leave_alone(dormant)
    assert away(dormant) == {1, 2, 3}
    assert terms(dormant) == {2}


def test_who_hears_later_of_a_silence_does_not_stand_in_the_way():
    liveness = Liveness(8, beat=4)
    liveness.heard(1)
    seen = []
    for _ in range(9):
        assert liveness.alive(1)
        seen.append(liveness.doubtful(1))
        liveness.tick()
    assert seen == [False] * 7 + [True] * 2
    assert not liveness.doubtful(2), "it has never been heard of"
    assert not liveness.alive(1)


def test_who_is_about_to_beat_is_in_no_doubt():
    """Where a beat takes most of an election timeout, that much silence is none."""
    liveness = Liveness(5, beat=4)
    liveness.heard(1)
    for _ in range(4):
        liveness.tick()
        assert not liveness.doubtful(1)
    liveness.tick()
    assert liveness.doubtful(1)


def test_a_candidate_is_not_refused_for_a_leader_whose_silence_is_about_to_show(dormant: Nodes):
    host = dormant[2]
    while not host.node.replicas.liveness.doubtful(1):
        dormant.now += CONFIG.tick_ms / 1000
        host.turn()
    assert host.node.replicas.liveness.alive(1)
    replica = host.replica(GROUP)
    host.node._rest.stirred(replica, 3)
    assert replica.raw.raft.lead == 0


def test_who_is_asked_for_comes_first():
    nodes = many()
    last = GROUPS[-2]  # the queue begins with the lowest
    caller = nodes[2 + last % 2]
    caller.node.elections._most = 1
    nodes.cut.add(1)
    while not len(caller.node.orphans):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.node.elections.settle = lambda _now: None  # slots stay taken
            caller.node.elections._slots.setdefault(0, 0)
            host.turn()
        nodes.deliver()
    caller.propose(last, put(b"a", b"2"))
    caller.node.elections._slots.clear()
    caller.turn()
    caller.turn()
    assert not caller.node.replicas.resting.is_orphan(last)
    assert caller.node.orphans.woken == 1


def test_who_asks_takes_up_nobody_that_has_nothing_to_give(dormant: Nodes):
    """When a node dies thousands of callers ask for groups that elect: that alone takes them up."""
    nodes = dormant
    running = nodes[2].node.replicas.running
    nodes[2].propose(GROUP, put(b"a", b"2"), token="write")
    nodes[2].read(GROUP, b"a", token="read")
    nodes[2].turn()
    assert [nodes[2].answer(token).hint for token in ("write", "read")] == [1, 1]
    assert not running.loaded
    nodes[1].read(GROUP, b"a", token="read")
    nodes.settle()
    assert nodes[1].answer("read") == b"1"


def test_it_is_told_who_leads_as_soon_as_a_replica_knows(dormant: Nodes):
    told = []
    nodes = dormant
    nodes.cut.add(1)
    for _ in range(4 * CONFIG.election_ticks):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            effects = host.turn()
            told += [(host.node_id, group) for group in effects.leaders]
            host.write()
            host.flush()
        nodes.deliver()
    assert {(2, GROUP), (3, GROUP)} == set(told)
    assert len(told) == 2, "nobody is told of what has not changed"
