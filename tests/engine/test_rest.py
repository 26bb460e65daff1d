"""Groups that rest: who goes to rest, what wakes them, and how a lost word heals."""

from dataclasses import replace

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.outbox import Outbox
from multiraft.engine.runs import Runs
from multiraft.engine.turn import Effects, Turn
from multiraft.engine.wire import BEAT, OF_REST, REST, RESTING, WAKE, Received
from multiraft.raft import rest as core
from multiraft.raft.messages import Message, MsgType

from .harness import CONFIG, Nodes, put, sent
from .settled import GROUP

BEAT_S = CONFIG.beat_ms / 1000
ELECTION_S = CONFIG.election_timeout_ms / 1000
LONG_ENOUGH_S = (CONFIG.rest_after_beats + 3) * BEAT_S


@pytest.fixture
def resting(nodes: Nodes) -> Nodes:
    """A group of which every replica rests; node 1 leads it."""
    nodes.pass_time(LONG_ENOUGH_S)
    assert who_rests(nodes) == {1, 2, 3}
    assert nodes.leader(GROUP) is nodes[1]
    return nodes


def who_rests(nodes: Nodes) -> set[int]:
    return {node for node, host in nodes.hosts.items() if host.replica(GROUP).rests is not None}


def terms(nodes: Nodes) -> set[int]:
    return {host.replica(GROUP).raw.raft.term for host in nodes.hosts.values()}


def said(nodes: Nodes, seconds: float) -> list:
    """Every row but of the nodes' beats that is sent while time passes."""
    rows = []
    for _ in range(round(seconds * 10)):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.turn()
            host.write()
        rows += [row for node in nodes.hosts for row in sent(nodes, node) if row.kind != BEAT]
        nodes.deliver()
    return rows


def test_a_quiet_group_says_nothing_and_keeps_its_leader(resting: Nodes):
    assert said(resting, 10) == []
    assert terms(resting) == {1}
    assert who_rests(resting) == {1, 2, 3}


def test_a_group_with_writes_or_reads_does_not_rest(nodes: Nodes):
    for number in range(20):
        nodes[1].propose(GROUP, put(b"a", b"%d" % number), token=number)
        nodes.pass_time(BEAT_S)
        nodes[1].read(GROUP, b"a", token=f"read {number}")
        nodes.pass_time(BEAT_S)
        assert who_rests(nodes) == set()


def test_a_write_wakes_everybody(resting: Nodes):
    resting[1].propose(GROUP, put(b"a", b"1"))
    resting.settle()
    assert resting[1].answer() == [None]
    assert who_rests(resting) == set()
    assert {host.machine(GROUP).get(b"a") for host in resting.hosts.values()} == {b"1"}
    resting.pass_time(LONG_ENOUGH_S)
    assert who_rests(resting) == {1, 2, 3}
    assert terms(resting) == {1}


def test_a_read_of_a_resting_group_is_linearizable(resting: Nodes):
    resting.cut.add(1)
    resting[1].read(GROUP, b"a")
    resting.settle()
    assert not resting[1].answered("read"), "only its replicas can confirm it"
    resting.cut.clear()
    resting.pass_time(BEAT_S)
    assert resting[1].answer("read") is None


def test_the_others_elect_when_the_leaders_node_falls_silent(resting: Nodes):
    resting.cut.add(1)
    resting.pass_time(3 * ELECTION_S)
    leader = resting.leader(GROUP)
    assert leader.node_id != 1
    leader.propose(GROUP, put(b"a", b"2"))
    resting.settle()
    assert leader.answer() == [None]


def test_a_group_without_its_leaders_node_rests_again_and_the_node_is_caught_up(resting: Nodes):
    resting.cut.add(1)
    resting.pass_time(3 * ELECTION_S)
    resting.leader(GROUP).propose(GROUP, put(b"a", b"2"))
    resting.pass_time(LONG_ENOUGH_S + 2 * ELECTION_S)
    assert who_rests(resting) >= {2, 3}, "a dead member keeps nobody awake"
    resting.cut.clear()
    resting.pass_time(3 * BEAT_S)
    assert resting[1].machine(GROUP).get(b"a") == b"2"
    resting.pass_time(LONG_ENOUGH_S)
    assert who_rests(resting) == {1, 2, 3}


def test_a_leader_that_reaches_no_quorum_wakes_and_steps_down(resting: Nodes):
    resting.cut.update({2, 3})
    resting.pass_time(4 * ELECTION_S)
    assert not resting[1].replica(GROUP).leads


@pytest.mark.parametrize("lost", [REST, WAKE])
def test_a_lost_word_heals_within_two_beats(nodes: Nodes, lost: int):
    """Of those about rest; a frame that loses one loses all that it carries."""

    def keep(_node: int, row: Received) -> bool:
        return row.kind != lost

    deliver = nodes.deliver
    nodes.deliver = lambda: deliver(keep)
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.pass_time(LONG_ENOUGH_S)
    if lost == WAKE:
        assert who_rests(nodes) == {1, 2, 3}
        nodes[1].node._rest.touch(nodes[1].replica(GROUP))  # and not a word of it arrives
    nodes.deliver = deliver
    nodes.pass_time(2 * BEAT_S)
    assert who_rests(nodes) == set()
    nodes.pass_time(LONG_ENOUGH_S)
    assert who_rests(nodes) == {1, 2, 3}
    assert terms(nodes) == {1}


def test_a_follower_that_wakes_by_itself_wakes_its_leader(resting: Nodes):
    resting[2].node._rest.touch(resting[2].replica(GROUP))
    resting.pass_time(2 * BEAT_S)
    assert who_rests(resting) == set()
    assert terms(resting) == {1}


def test_a_follower_whose_replica_stops_is_left_out(resting: Nodes):
    host = resting[3]
    host.node.replicas.fence(host.replica(GROUP), RuntimeError("broken"))
    resting.pass_time(LONG_ENOUGH_S + 4 * ELECTION_S)
    both = [resting[node].replica(GROUP).rests for node in (1, 2)]
    assert None not in both
    assert said(resting, 2) == []


def test_a_node_that_starts_again_finds_its_leader_without_an_election(resting: Nodes):
    resting[2].crash()
    resting.pass_time(LONG_ENOUGH_S + ELECTION_S)
    assert who_rests(resting) == {1, 2, 3}
    assert terms(resting) == {1}


def test_a_list_comes_in_pieces(nodes: Nodes):
    """Each side holds groups that the other does not; the pieces find all of them."""
    groups = range(100, 100 + 1500)
    for group in groups:
        nodes.create(group)
    nodes.settle()
    nodes.pass_time(LONG_ENOUGH_S)
    for host in nodes.hosts.values():
        assert all(replica.rests is not None for replica in host.node.replicas.running.values())
    odd = (101, 1100, 1599)
    for group in odd:
        nodes[2].node.replicas.resting.end(nodes[2].replica(group))
    for _ in range(CONFIG.beat_ticks):
        nodes.now += 0.1
        nodes[1].turn()
    nodes.deliver()
    nodes[2].turn()
    lists = [row for row in sent(nodes, 2) if row.kind == RESTING]
    assert [len(row.message.context) // 24 for row in lists] == [1024, 1501 - 3 - 1024]
    nodes.settle()
    awake = [group for group in groups if nodes[1].replica(group).rests is None]
    assert awake == list(odd)


def test_an_election_is_no_part_of_rest(resting: Nodes):
    """A candidate's request wakes those who rest, and they refuse it: their leader's node is alive."""
    replica = resting[2].replica(GROUP)
    resting[2].node._rest.touch(replica)
    replica.raw.campaign()
    resting[2].node._activate(replica)
    resting[2].turn()
    kinds = {row.kind for row in sent(resting, 2)} - OF_REST
    assert kinds == {MsgType.PRE_VOTE}
    resting.pass_time(4 * ELECTION_S)
    assert terms(resting) == {1}
    assert resting.leader(GROUP) is resting[1]


@pytest.mark.parametrize("beats", [2, 3, 4, 5, 6])
def test_a_leader_that_has_gone_deaf_does_not_rest_for_long(beats: int):
    """It may have been answered at the beginning of the quiet, and hear nobody at its end."""
    for ticks in range(12):
        nodes = Nodes(config=replace(CONFIG, rest_after_beats=beats))
        nodes.create(GROUP)
        nodes.settle()
        nodes.pass_time(ticks / 10)
        deliver = nodes.deliver
        nodes.deliver = lambda deliver=deliver: deliver(lambda target, _row: target != 1)
        nodes.pass_time(ELECTION_S + 2 * CONFIG.tick_ms / 1000)
        for _ in range(2 * CONFIG.election_ticks):
            nodes.pass_time(0.1)
            assert nodes[1].replica(GROUP).rests is None, f"deaf after {ticks} ticks"
        assert not nodes[1].replica(GROUP).leads


def test_a_newborn_group_of_which_nobody_wants_anything_rests_without_a_beat():
    nodes = Nodes()
    nodes.create(GROUP)
    spoken = [row.kind for row in said(nodes, 6 * BEAT_S)]
    assert spoken.count(REST) == 2
    assert MsgType.HEARTBEAT not in spoken
    assert who_rests(nodes) == {1, 2, 3}


def test_a_newborn_group_that_lacks_a_member_waits_for_it():
    nodes = Nodes()
    nodes.cut.add(3)
    nodes.create(GROUP, nodes=[1, 2, 3])
    nodes.settle()
    nodes.pass_time(2 * BEAT_S)
    assert nodes[1].replica(GROUP).rests is None


def test_a_leader_counts_only_on_those_who_rest_with_it(nodes: Nodes):
    """Node 3 is left out, for its replica says nothing; it is heard for a little longer than node 2."""
    host = nodes[3]
    host.node.replicas.fence(host.replica(GROUP), RuntimeError("broken"))
    nodes.pass_time(LONG_ENOUGH_S + 4 * ELECTION_S)
    rests = nodes[1].replica(GROUP).rests
    assert rests is not None
    assert rests.nodes == (2,)
    nodes.cut.add(2)
    nodes.pass_time(2 * CONFIG.beat_ms / 1000)
    nodes.cut.add(3)
    nodes.pass_time(3 * ELECTION_S)
    assert not nodes[1].replica(GROUP).leads


@pytest.mark.parametrize("node", [1, 2])
def test_a_resting_replica_whose_state_is_damaged_asks_for_it(resting: Nodes, node: int):
    replica = resting[node].replica(GROUP)
    resting[node].node._delivery.rebuilder.met_damage(
        Turn(resting.now, Runs(), Outbox(Runs()), Effects()), {GROUP: Corruption("damaged", GROUP, None)}
    )
    assert replica.rebuilding is not None
    resting.pass_time(3 * ELECTION_S)
    assert resting[node].replica(GROUP) is replica
    assert replica.rebuilding is None


def test_a_core_that_breaks_as_it_is_told_to_rest_stops_its_replica_and_no_other(nodes: Nodes, monkeypatch):
    def breaks(*_: object) -> bool:
        raise AssertionError("an invariant of the core")

    nodes.create(6)
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    replica = nodes[2].replica(GROUP)
    monkeypatch.setattr(core, "may_rest", breaks)
    point = Message(MsgType.HEARTBEAT, to=replica.replica_id, from_=replica.raw.raft.lead, term=1, commit=3)
    turn = Turn(nodes.now, Runs(), Outbox(Runs()), Effects())
    nodes[2].node._delivery.receive(turn, 1, 1, Received(GROUP, REST, point, b""))
    assert set(nodes[2].node.replicas.running) == {6}
