"""A follower that fell behind, and how far the log may be cut."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from multiraft.engine.errors import Corruption, InvalidArgument
from multiraft.raft.messages import MsgType

from .harness import CONFIG, Host, Nodes, put, sent
from .settled import GROUP, types

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


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_a_leader_whose_machine_has_raised_still_sends_the_last_state_it_can_vouch_for(machine: str):
    """Its log no longer reaches back: without a snapshot its group would stay a replica short for ever."""
    nodes = lagging(replace(SHORT_LOG, state_machine=machine))
    nodes[1].machine(GROUP).fails = True
    nodes[1].propose(GROUP, put(b"fatal", b"to node 1"))
    nodes.settle()
    assert nodes[1].machine(GROUP).fails
    assert nodes[1].replica(GROUP).quarantine is not None
    nodes.cut.clear()
    nodes.pass_time(2)
    assert nodes[1].replica(GROUP).leads
    assert nodes[3].machine(GROUP).get(b"fatal") == b"to node 1", "from the log behind the snapshot"
    assert nodes[3].machine(GROUP).digest() == nodes[2].machine(GROUP).digest()


@pytest.mark.parametrize(("was", "now"), [("memory", "lmdb"), ("lmdb", "memory")])
def test_state_that_another_kind_of_machine_wrote_is_refused_and_kept(was: str, now: str):
    """The log behind it is cut: a machine that began with nothing would lose every key, without a word."""
    nodes = lagging(replace(SHORT_LOG, state_machine=was))
    digest = nodes[1].machine(GROUP).digest()
    nodes.config = replace(SHORT_LOG, state_machine=now)
    with pytest.raises(InvalidArgument, match=f"state_machine='{was}'"):
        nodes[1].crash()
    nodes.config = replace(SHORT_LOG, state_machine=was)
    reborn = nodes[1].crash()
    nodes.pass_time(2)
    assert reborn.machine(GROUP).digest() == digest


def send_snapshot(nodes: Nodes, until: Callable[[Host], bool]) -> None:
    """Let node 3 come back, and stop right behind the turn of it that brings `until` about."""
    nodes.cut.clear()
    for _ in range(40):
        nodes.now += 0.1
        for node in (1, 2):
            nodes[node].turn()
            nodes[node].write()
            nodes[node].flush()
            nodes[node].read_state()
        nodes[3].turn()
        nodes[3].write()
        if until(nodes[3]):
            return
        nodes[3].flush()
        nodes.deliver()
    raise AssertionError("no snapshot came")


def snapshot_in_state_store() -> Nodes:
    """Node 3 has all of the snapshot under a prefix of nobody; the flush that adopts it is on the way."""
    nodes = lagging()
    send_snapshot(nodes, lambda host: bool(host.unflushed and host.replica(GROUP).installing))
    return nodes


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


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_a_snapshot_whose_data_rot_before_they_are_in_place_is_asked_for_again(machine: str):
    """By then the core has taken it: the log goes on from there, and only the state is missing."""
    nodes = lagging(replace(SHORT_LOG, state_machine=machine))
    host, restored = nodes[3], nodes[3].machine(GROUP)
    meets = "reload" if machine == "lmdb" else "restore"

    def damaged(_: bytes) -> None:
        delattr(restored, meets)
        raise Corruption("its checksum does not match", GROUP)

    setattr(restored, meets, damaged)
    send_snapshot(nodes, lambda host: host.replica(GROUP).rebuilding is not None)
    point = host.log.group(GROUP).first_index() - 1
    assert point > 20
    reborn = host.crash()
    assert reborn.replica(GROUP).rebuilding is not None
    assert reborn.log.group(GROUP).first_index() == point + 1
    assert reborn.state.durable_applied(GROUP) < point
    nodes.pass_time(4)
    assert reborn.replica(GROUP).rebuilding is None
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
