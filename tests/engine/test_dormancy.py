"""Replicas that rest leave memory, and nobody can tell."""

import gc
import weakref

import pytest

from multiraft.engine.dormancy import BEATS
from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.replica import Replica

from .harness import CONFIG, Host, Nodes, put
from .settled import GROUP
from .test_rest import BEAT_S, LONG_ENOUGH_S, who_rests

AWAY_S = LONG_ENOUGH_S + (BEATS + 1) * BEAT_S + 2 * CONFIG.flush_ms / 1000


def away(nodes: Nodes) -> set[int]:
    """The nodes on which the group is a row."""
    return {node for node, host in nodes.hosts.items() if host.node.replicas.running.look(GROUP) is not None}


def leave_alone(nodes: Nodes) -> Nodes:
    nodes.pass_time(AWAY_S)
    return nodes


@pytest.fixture
def dormant(nodes: Nodes) -> Nodes:
    """A group that is a row on every node; node 1 leads it, and key a is 1."""
    nodes[1].propose(GROUP, put(b"a", b"1"), token="before")
    leave_alone(nodes)
    assert away(nodes) == {1, 2, 3}
    return nodes


def test_a_row_is_still_a_replica_that_runs(dormant: Nodes):
    running = dormant[1].node.replicas.running
    assert GROUP in running
    assert list(running) == [GROUP]
    assert len(running) == 1
    assert running.loaded == {}
    assert running.leads(GROUP)
    assert not dormant[2].node.replicas.running.leads(GROUP)
    assert [host.node.replicas.leader_node(GROUP) for host in dormant.hosts.values()] == [1, 1, 1]
    assert running.get(GROUP + 1) is None
    with pytest.raises(KeyError):
        running[GROUP + 1]
    (glance,) = running.glances()
    assert (glance.leads, glance.applied, glance.rests) == (True, running[GROUP].applied.index, True)


def test_taking_one_up_wakes_nobody(dormant: Nodes):
    replica = dormant[2].replica(GROUP)
    assert isinstance(replica, Replica)
    assert dormant[2].replica(GROUP) is replica
    assert who_rests(dormant) == {1, 2, 3}
    assert dormant[2].machine(GROUP).get(b"a") == b"1"
    leave_alone(dormant)
    assert away(dormant) == {1, 2, 3}


def test_a_write_finds_it_as_it_was(dormant: Nodes):
    before = dormant[1].replica(GROUP).commands_applied
    leave_alone(dormant)
    dormant[1].propose(GROUP, put(b"a", b"2"), token="after")
    dormant.settle()
    assert dormant[1].answer("after") == [None]
    assert {host.machine(GROUP).get(b"a") for host in dormant.hosts.values()} == {b"2"}
    assert dormant[1].replica(GROUP).commands_applied == before + 1
    assert {host.replica(GROUP).raw.raft.term for host in dormant.hosts.values()} == {1}


def test_who_is_put_away_is_gone_without_the_garbage_collector(dormant: Nodes):
    """A full collection looks at every object of the process, and comes rarely."""
    gc.disable()
    try:
        dormant[1].propose(GROUP, put(b"a", b"2"))
        dormant.settle()
        replicas = [weakref.ref(host.replica(GROUP)) for host in dormant.hosts.values()]
        leave_alone(dormant)
        assert away(dormant) == {1, 2, 3}
        assert [replica() for replica in replicas] == [None, None, None]
    finally:
        gc.enable()


def test_a_read_is_not_confirmed_by_answers_to_an_earlier_one(dormant: Nodes):
    """What names a round must not come again while answers of the one before may be on their way."""
    contexts = []
    for number in range(3):
        dormant[1].read(GROUP, b"a", token=number)
        dormant[1].turn()
        contexts += list(dormant[1].replica(GROUP).reads._rounds)
        dormant.settle()
        dormant.pass_time(BEAT_S)
        assert dormant[1].answer(number) == b"1"
        leave_alone(dormant)
        assert 1 in away(dormant)
    assert len(set(contexts)) == 3


def test_the_others_elect_when_the_leaders_node_falls_silent(dormant: Nodes):
    dormant.cut.add(1)
    dormant.pass_time(3 * CONFIG.election_timeout_ms / 1000)
    leader = dormant.leader(GROUP)
    assert leader.node_id != 1
    leader.propose(GROUP, put(b"a", b"2"))
    dormant.settle()
    assert leader.answer() == [None]


def test_a_crash_finds_everything(dormant: Nodes):
    for node in (1, 2, 3):
        dormant[node].crash()
    dormant.pass_time(3 * CONFIG.election_timeout_ms / 1000)
    assert {host.machine(GROUP).get(b"a") for host in dormant.hosts.values()} == {b"1"}


def stays(host: Host) -> None:
    assert host.node.replicas.running.look(GROUP) is None, "it was put away"


def test_what_is_not_on_the_disk_yet_keeps_it(nodes: Nodes):
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    host = nodes[2]
    flush, host.flush = host.flush, lambda most=None: None
    leave_alone(nodes)
    stays(host)
    host.flush = flush
    leave_alone(nodes)
    assert 2 in away(nodes)


def test_a_batch_on_its_way_keeps_it(dormant: Nodes):
    host = dormant[2]
    replica = host.replica(GROUP)
    replica.newest_work = host.node._held._newest + 1
    leave_alone(dormant)
    stays(host)


def test_a_cut_that_waits_keeps_it(dormant: Nodes):
    host = dormant[2]
    cut = GroupWrite(GROUP, 2, truncate=(1, 1))
    waiting = host.node._truncations._waiting
    take, host.node._truncations.take = host.node._truncations.take, list
    waiting.append((cut, host.replica(GROUP)))
    leave_alone(dormant)
    stays(host)
    host.node._truncations.take = take
    leave_alone(dormant)
    assert 2 in away(dormant)


def test_a_state_that_is_damaged_meanwhile_is_asked_of_a_peer(dormant: Nodes):
    host = dormant[2]
    applied = host.state.applied

    def damaged(group):
        host.state.applied = applied
        raise Corruption("a bit has flipped", group)

    host.state.applied = damaged
    replica = host.replica(GROUP)
    assert replica.rests is None, "it starts again"
    dormant.pass_time(AWAY_S)
    assert host.machine(GROUP).get(b"a") == b"1"


@pytest.mark.parametrize("found", ["orphan", "without quorum", "odd one out"])
def test_damage_found_as_a_group_has_to_wake_harms_no_other(dormant: Nodes, found: str):
    """Its replica starts again as after a crash, and is awake by that."""
    host = dormant[2 if found == "orphan" else 1]
    applied, met = host.state.applied, []

    def damaged(group):
        met.append(group)
        host.state.applied = applied
        raise Corruption("a bit has flipped", group)

    host.state.applied = damaged
    if found == "odd one out":
        resting = dormant[2].node.replicas.resting
        resting.end(dormant[2].replica(GROUP))
    else:
        dormant.cut.update({1} if found == "orphan" else {2, 3})
    dormant.pass_time(3 * CONFIG.election_timeout_ms / 1000)
    assert met == [GROUP]
    dormant.cut.clear()
    dormant.pass_time(AWAY_S)
    dormant.leader(GROUP).propose(GROUP, put(b"a", b"2"), token="after")
    dormant.settle()
    assert {one.machine(GROUP).get(b"a") for one in dormant.hosts.values()} == {b"2"}


def test_a_group_that_is_alone_and_damaged_is_lost(dormant: Nodes):
    host = dormant[2]
    host.state.applied = lambda group: (_ for _ in ()).throw(Corruption("a bit has flipped", group))
    host.node.replicas.stores.start_afresh = host.state.applied
    assert host.node.replicas.running.get(GROUP) is None
    assert GROUP in host.node.replicas.lost
    assert GROUP not in host.node.replicas.running
    assert dormant[2].node.replicas.resting.followed[1].total == 0
