"""A replica whose log is damaged: silent, with term and vote, until a snapshot makes up for what is lost."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from multiraft.engine.errors import NotLeader
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.lostlogs import SupersededLog
from multiraft.raft.entry import EntryId
from multiraft.raft.messages import MsgType
from multiraft.raft.state import ConfState, Snapshot

from .harness import CONFIG, Host, Nodes, put, sent

GROUP = 5
PAYLOAD = b"value that is there to be damaged"
MARRED = b"V" + PAYLOAD[1:]


@pytest.fixture
def nodes() -> Nodes:
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    return nodes


def write(nodes: Nodes, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        leader = nodes.leader(GROUP)
        leader.propose(GROUP, put(b"%d" % number, PAYLOAD + b"%d" % number, number + 1), token=number)
        nodes.settle()


def damage(host: Host, entry: int) -> None:
    """Turn over bits of an entry's data, and forget what is in memory."""
    span = next(host.log._index.log(GROUP).spans(entry, entry + 1))
    values, key = host.log.environment.values, chunk_key(span.carrier, 0)
    assert PAYLOAD in values[key]
    values[key] = values[key].replace(PAYLOAD, MARRED)
    for seq in list(host.log._cache._batches):
        host.log._cache.drop(seq)


def reborn(nodes: Nodes, node: int) -> Host:
    """The node as it starts again after a crash that took the flushes of its state."""
    host = nodes[node]
    host.flush = lambda: None  # type: ignore[method-assign] # its state store takes no flush
    write(nodes, 5)
    return host.crash()


def restart(host: Host) -> Host:
    """A crash, and a start that does not read what is damaged, as one from a checkpoint of the index."""
    values = host.log.environment.values
    for key, value in list(values.items()):
        values[key] = value.replace(MARRED, PAYLOAD)
    return host.crash()


def is_silent(host: Host) -> bool:
    return host.replica(GROUP).silence is not None


def silent(nodes: Nodes) -> Host:
    """Node 3, just when it has met damage in the last entry of its log."""
    host = reborn(nodes, 3)
    damage(host, host.log.group(GROUP).last_index())
    while not is_silent(host):
        nodes.now += 0.1
        for one in nodes.hosts.values():
            one.turn()
            one.write()
        if not is_silent(host):
            nodes.deliver()
    nodes.wire.clear()
    return host


def test_a_log_with_damage_below_the_flushed_state_is_cut_behind_it(nodes: Nodes):
    """Nothing is lost: a follower that needs the entry gets a snapshot."""
    nodes.cut = {3}
    write(nodes, 5)
    nodes.pass_time(1)
    leader = nodes.leader(GROUP)
    damage(leader, 5)
    nodes.cut = set()
    nodes.pass_time(4)
    assert not is_silent(leader)
    assert GROUP not in leader.node.replicas.lost
    assert leader.log.group(GROUP).first_index() > 5
    for number in range(5):
        assert nodes[3].machine(GROUP).get(b"%d" % number) == PAYLOAD + b"%d" % number


def test_a_damaged_log_is_replaced_by_a_snapshot_and_the_others_go_on(nodes: Nodes):
    host = silent(nodes)
    last = host.log.group(GROUP).last_index()
    assert host.node.state.promised(GROUP) == EntryId(host.log.group(GROUP).term(last), last)
    write(nodes, 1, first=10)
    nodes.pass_time(3)
    assert not is_silent(host)
    assert host.node.replicas.silent == {}
    assert host.node.state.promised(GROUP) is None
    assert host.machine(GROUP).get(b"4") == PAYLOAD + b"4"
    assert host.machine(GROUP).get(b"10") == PAYLOAD + b"10"
    write(nodes, 1, first=11)
    nodes.pass_time(1)
    again = restart(host)
    nodes.pass_time(1)
    assert not is_silent(again)
    assert again.machine(GROUP).get(b"11") == PAYLOAD + b"11"


def test_a_leader_whose_checkpoint_is_older_than_what_was_lost_makes_a_new_one():
    """Its state lives in memory, and nobody writes anything any more."""
    nodes = Nodes(config=replace(CONFIG, state_machine="memory"))
    nodes.create(GROUP)
    nodes.settle()
    write(nodes, 5)
    host = silent(nodes)
    nodes.pass_time(4)
    assert not is_silent(host)
    assert host.replica(GROUP).applied.index == nodes.leader(GROUP).replica(GROUP).applied.index


def test_a_silent_replica_neither_votes_nor_campaigns_nor_acknowledges(nodes: Nodes):
    host = silent(nodes)
    hard_state = host.log.group(GROUP).hard_state
    leader = nodes.leader(GROUP).node_id
    nodes.cut = {leader}
    for _ in range(40):
        nodes.now += 0.1
        for one in nodes.hosts.values():
            one.turn()
            one.write()
        promises = [one.message.type.name for one in sent(nodes, 3) if one.kind in set(MsgType)]
        assert promises == [], "nothing but requests for the state leaves"
        nodes.deliver()
    assert is_silent(host)
    assert host.log.group(GROUP).hard_state == hard_state
    assert not any(one.replica(GROUP).leads for one in nodes.hosts.values() if one.node_id != leader)
    host.propose(GROUP, put(b"a", b"1", 99))
    host.turn()
    assert isinstance(host.answer(), NotLeader)


def test_silence_outlives_a_restart(nodes: Nodes):
    host = silent(nodes)
    nodes.cut = {3}
    nodes.pass_time(1)
    promised = host.node.state.promised(GROUP)
    assert promised is not None
    again = restart(host)
    assert is_silent(again)
    assert again.node.state.promised(GROUP) == promised
    nodes.cut = set()
    nodes.pass_time(3)
    assert not is_silent(again)
    assert again.machine(GROUP).get(b"4") == PAYLOAD + b"4"


def test_a_snapshot_that_does_not_reach_what_was_promised_does_not_count(nodes: Nodes):
    silence = silent(nodes).replica(GROUP).silence
    term, index = silence.log.promised
    for point, counts in (((term, index), True), ((term, index - 1), False), ((term - 1, index + 9), False)):
        snapshot = Snapshot(index=point[1], term=point[0], conf_state=ConfState((11, 12, 13)))
        assert silence.ends_with(snapshot) is counts


def test_match_falls_when_a_follower_says_that_its_log_is_lost(nodes: Nodes):
    silent(nodes)
    progress = nodes.leader(GROUP).replica(GROUP).raw.raft.tracker.progress[13]
    before, seen = progress.match, set()
    for _ in range(80):
        nodes.now += 0.05
        nodes.settle(1)
        seen.add(progress.match)
    assert before > 1
    assert 0 in seen
    assert progress.match >= before


def test_a_replica_that_is_alone_stops_at_damage():
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    host = reborn(nodes, 1)
    damage(host, host.log.group(GROUP).last_index())
    nodes.pass_time(1)
    assert GROUP in host.node.replicas.lost


@pytest.mark.parametrize(("at", "whole"), [((1, 5), False), ((3, 8), False), ((3, 9), True), ((4, 2), True)])
def test_a_log_is_whole_again_once_it_stands_where_it_had_promised_to_reach(at, whole):
    """It may have been cut before it was damaged: that it begins with a snapshot proves nothing."""
    term, index = at
    log = SimpleNamespace(first_index=lambda: index + 1, last_index=lambda: 20, term=lambda _: term)
    superseded = SupersededLog(cast("Any", log), EntryId(3, 9))
    assert superseded.whole is whole
    assert superseded.last_index() == (20 if whole else 0)
