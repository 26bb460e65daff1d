"""The first election of a group just born: by rows where all goes well, else by whole replicas."""

from dataclasses import replace

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.newborns import Newborn, Stage
from multiraft.engine.outbox import Outbox
from multiraft.engine.replica import Replica
from multiraft.engine.runs import Runs
from multiraft.engine.wire import BEAT, REST
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft.messages import Message, MsgType

from .harness import CONFIG, Host, Nodes, put, sent
from .settled import GROUP, types
from .test_refused_writes import refuse, works_again

ELECTION_S = CONFIG.election_timeout_ms / 1000


def newborn(nodes: Nodes, node: int) -> Newborn | None:
    return nodes[node].node.replicas.newborns.get(GROUP)


def objects(nodes: Nodes) -> set[int]:
    """The nodes on which a whole replica of the group is in memory."""
    return {node for node, host in nodes.hosts.items() if GROUP in host.node.replicas.running.loaded}


def born(config: EngineConfig = CONFIG) -> Nodes:
    """Births are durable everywhere, and nothing has been said."""
    nodes = Nodes(config=config)
    nodes.create(GROUP)
    for host in nodes.hosts.values():
        host.turn()
        host.write()
        host.turn()
    assert [newborn(nodes, node).stage for node in (1, 2, 3)] == [Stage.CANDIDATE, Stage.NEW, Stage.NEW]
    return nodes


def hear(host: Host, source: int, message: Message) -> None:
    """A message for the group's replica there is about to be taken in, in a frame of node ``source``."""
    runs = Runs()
    outbox = Outbox(runs)
    outbox.add(host.node_id, GROUP, message)
    runs.encode()
    host.inputs.frames += [(source, frame.data[HEADER_SIZE:]) for frame in outbox.frames(1)]


def step(nodes: Nodes, node: int, kind: MsgType, from_: int, **fields: object) -> None:
    """A message of the replica ``from_`` (11, 12, 13) in term 1 reaches a node."""
    hear(nodes[node], from_ - 10, Message(kind, 10 + node, from_, 1, **fields))


def test_a_calm_first_election_makes_no_object(monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(Replica, "__init__", lambda *_: made.append(1))
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    assert made == []
    rows = [host.node.replicas.running.look(GROUP) for host in nodes.hosts.values()]
    assert [(row.term, row.vote, row.lead, row.index) for row in rows] == [(1, 11, 11, 2)] * 3
    assert [row.leads for row in rows] == [True, False, False]
    assert all(host.node.backlog()["newborns"] == 0 for host in nodes.hosts.values())


def test_what_comes_out_works_like_any_group():
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert nodes[1].answer() == [None]
    assert {host.machine(GROUP).get(b"a") for host in nodes.hosts.values()} == {b"1"}
    assert {host.replica(GROUP).raw.raft.term for host in nodes.hosts.values()} == {1}
    for node in (1, 2, 3):
        nodes[node].crash()
    nodes.pass_time(3 * ELECTION_S)
    assert {host.machine(GROUP).get(b"a") for host in nodes.hosts.values()} == {b"1"}


def test_an_entry_is_acknowledged_once_it_is_durable():
    nodes = born()
    nodes[1].write()
    nodes[1].turn()
    nodes.deliver()
    for node in (2, 3):
        nodes[node].turn()
        nodes[node].write()
        nodes[node].turn()
    nodes.deliver()
    nodes[1].turn()
    assert newborn(nodes, 1).stage is Stage.LEADER
    nodes.deliver()
    nodes[2].turn()
    assert newborn(nodes, 2).stage is Stage.FOLLOWER
    assert MsgType.APP_RESP not in types(nodes, 2)
    nodes[2].write()
    nodes[2].turn()
    assert types(nodes, 2) == [MsgType.APP_RESP]
    nodes[3].turn()
    nodes[3].write()
    nodes[3].turn()
    nodes.deliver()
    nodes[1].turn()
    assert newborn(nodes, 1) is not None, "the leader's own entry is not on its disk"
    nodes[1].write()
    nodes[1].turn()
    assert newborn(nodes, 1) is None


def test_one_vote_a_term_and_another_candidate_is_refused():
    nodes = born()
    step(nodes, 2, MsgType.VOTE, 11, log_term=1, index=1)
    nodes[2].turn()
    assert newborn(nodes, 2).vote == 11
    step(nodes, 2, MsgType.VOTE, 13, log_term=1, index=1)
    nodes[2].turn()
    assert newborn(nodes, 2) is not None, "its vote is not durable: the stores do not know of it"
    assert types(nodes, 2) == []
    nodes[2].write()
    nodes[2].turn()
    assert types(nodes, 2) == [MsgType.VOTE_RESP]
    step(nodes, 2, MsgType.VOTE, 13, log_term=1, index=1)
    nodes[2].turn()
    nodes[2].turn()
    assert objects(nodes) == {2}
    refused = [row.message for row in sent(nodes, 2) if row.message.to == 13]
    assert [message.reject for message in refused] == [True]


def test_a_vote_that_is_refused_by_the_disk_is_given_once_all_the_same():
    nodes = born()
    step(nodes, 2, MsgType.VOTE, 11, log_term=1, index=1)
    nodes[2].turn()
    refuse(nodes[2])
    nodes[2].turn()
    step(nodes, 2, MsgType.VOTE, 13, log_term=1, index=1)
    nodes.now += 10 * ELECTION_S
    nodes[2].turn()
    nodes[2].turn()
    assert newborn(nodes, 2) is not None
    works_again(nodes[2])
    nodes[2].turn()
    nodes[2].write()
    nodes[2].turn()
    nodes[2].write()
    nodes[2].turn()
    assert nodes[2].log.group(GROUP).hard_state.vote == 11
    answers = [row.message for row in sent(nodes, 2) if row.group == GROUP]
    assert [(message.to, message.reject) for message in answers][:1] == [(11, False)]


@pytest.mark.parametrize("odd", ["refusal", "heartbeat", "entries", "another place"])
def test_whatever_else_comes_is_for_a_whole_replica(odd: str):
    nodes = born()
    if odd == "refusal":
        nodes[1].write()
        nodes[1].turn()
        step(nodes, 1, MsgType.VOTE_RESP, 12, reject=True)
        nodes[1].turn()
        assert objects(nodes) == {1}
    elif odd == "heartbeat":
        step(nodes, 3, MsgType.HEARTBEAT, 12, commit=1)
        nodes[3].turn()
        assert nodes[3].replica(GROUP).raw.raft.lead == 12
    elif odd == "entries":
        step(nodes, 3, MsgType.APP, 12, log_term=1, index=1, commit=1)
        nodes[3].turn()
        assert nodes[3].replica(GROUP).raw.raft.lead == 12
    else:
        step(nodes, 3, MsgType.VOTE, 12, log_term=1, index=7)
        nodes[3].turn()
        assert nodes[3].replica(GROUP).raw.raft.vote == 12
    nodes.pass_time(6 * ELECTION_S)
    nodes.leader(GROUP).propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert {host.machine(GROUP).get(b"a") for host in nodes.hosts.values()} == {b"1"}


def test_a_stranger_does_not_count():
    nodes = born()
    nodes[1].write()
    nodes[1].turn()
    before = nodes[1].node.messages_refused
    hear(nodes[1], 2, Message(MsgType.VOTE_RESP, 11, 13, 1))  # node 2 speaks for the replica of node 3
    nodes[1].turn()
    assert nodes[1].node.messages_refused == before + 1
    assert not nodes[1].replica(GROUP).leads


@pytest.mark.parametrize("away", [1, 2])
def test_a_group_is_born_while_a_node_is_away(away: int):
    nodes = Nodes()
    nodes.cut.add(away)
    nodes.create(GROUP, nodes=[node for node in (1, 2, 3) if node != away])
    nodes.pass_time(4 * ELECTION_S)
    leader = nodes.leader(GROUP)
    assert leader.node_id != away
    if away != 1:
        assert leader.replica(GROUP).raw.raft.term == 1, "a leader with a quorum does not wait for the last"
    leader.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert leader.answer() == [None]
    nodes.cut.clear()
    nodes.create(GROUP, nodes=[away])
    nodes.pass_time(4 * ELECTION_S)
    assert nodes[away].machine(GROUP).get(b"a") == b"1"


@pytest.mark.parametrize("lost", range(10))
def test_a_message_that_is_lost_costs_an_election_at_most(lost: int):
    """Each of those of the short way in turn."""
    nodes = Nodes()
    nodes.create(GROUP)
    count = iter(range(1000))
    deliver = nodes.deliver
    nodes.deliver = lambda: deliver(lambda _node, row: row.group != GROUP or next(count) != lost)
    nodes.pass_time(6 * ELECTION_S)
    leader = nodes.leader(GROUP)
    leader.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert {host.machine(GROUP).get(b"a") for host in nodes.hosts.values()} == {b"1"}


@pytest.mark.parametrize("turns", range(1, 9))
def test_a_crash_at_any_step_finds_a_group_that_works(turns: int):
    nodes = Nodes()
    nodes.create(GROUP)
    for _ in range(turns):
        for host in nodes.hosts.values():
            host.turn()
            host.write(1)
        nodes.deliver()
    for node in (1, 2, 3):
        nodes[node].crash()
    nodes.create(GROUP)
    nodes.pass_time(6 * ELECTION_S)
    leader = nodes.leader(GROUP)
    leader.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert {host.machine(GROUP).get(b"a") for host in nodes.hosts.values()} == {b"1"}


def test_a_beat_speaks_of_a_group_behind_the_word_that_it_rests():
    """Before it, the follower would say that nothing rests there, and the leader would wake the group."""
    nodes = born(replace(CONFIG, beat_ms=CONFIG.tick_ms))
    while newborn(nodes, 1) is not None:
        nodes[1].write()
        nodes.deliver()
        for node in (2, 3):
            nodes[node].turn()
            nodes[node].write()
            nodes[node].turn()
        nodes.deliver()
        nodes.now += CONFIG.tick_ms / 1000
        nodes[1].turn()
    told = [row.kind for row in sent(nodes, 1)]
    assert told.index(REST) < told.index(BEAT)


def test_callers_are_told_who_will_lead():
    nodes = born()
    nodes[2].propose(GROUP, put(b"a", b"1"))
    nodes[2].turn()
    assert nodes[2].answer().hint == 1
    assert newborn(nodes, 2) is not None


def test_a_leader_that_grows_up_beats_at_once():
    """Those that have its entry learn that it is committed, and the others that there is one."""
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.cut.add(3)
    nodes.settle()
    assert newborn(nodes, 1).stage is Stage.LEADER
    nodes.pass_time(4 * CONFIG.tick_ms / 1000)
    assert objects(nodes) >= {1}
    raft = nodes[1].replica(GROUP).raw.raft
    assert (raft.term, raft.log.committed) == (1, 2)
    assert [raft.tracker.progress[member].match for member in (11, 12, 13)] == [2, 2, 0]
