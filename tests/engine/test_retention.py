"""How long a node keeps what of its logs: by age, for followers behind a snapshot, in the oldest batches."""

from dataclasses import replace
from pathlib import Path

import pytest

from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.statemachine.lmdb_medium import LmdbMedium
from multiraft.raft.progress import ProgressState

from .harness import CONFIG, Host, Nodes, put
from .settled import GROUP

KB = 1000


def write(nodes: Nodes, count: int, size: int = 10, group: int = GROUP) -> None:
    leader = nodes.leader(group)
    for number in range(count):
        token = object()
        leader.propose(group, put(b"%03d" % number, b"x" * size), token=token)
        nodes.settle()
        assert leader.answer(token) == [None]


def kept(host: Host, group: int = GROUP) -> int:
    log = host.log.group(group)
    return log.last_index() + 1 - log.first_index()


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_a_log_that_rests_is_dropped_when_it_is_old(machine: str):
    nodes = Nodes(config=replace(CONFIG, log_keep_ms=5000, state_machine=machine))
    nodes.create(GROUP)
    nodes.settle()
    write(nodes, 5)
    nodes.pass_time(4)
    assert [kept(host) for host in nodes.hosts.values()] == [6, 6, 6]
    nodes.pass_time(2)
    assert [kept(host) for host in nodes.hosts.values()] == [0, 0, 0]
    write(nodes, 1)
    assert kept(nodes[1]) == 1


def test_a_log_found_at_a_start_is_dropped_when_it_has_rested_for_so_long():
    nodes = Nodes(config=replace(CONFIG, log_keep_ms=5000))
    nodes.create(GROUP)
    nodes.settle()
    write(nodes, 5)
    nodes.pass_time(1)
    reborn = nodes[3].crash()
    nodes.pass_time(3)
    assert kept(reborn) == 6
    nodes.pass_time(3)
    assert kept(reborn) == 0


def test_bytes_that_were_there_before_a_start_count():
    nodes = Nodes(config=replace(CONFIG, log_keep_bytes=200 * KB))
    nodes.create(GROUP)
    nodes.settle()
    write(nodes, 7, 30 * KB)
    nodes.pass_time(1)
    reborn = nodes[3].crash()
    nodes.pass_time(1)
    assert kept(reborn) > 6
    write(nodes, 3, 30 * KB)
    nodes.pass_time(1)
    assert kept(reborn) < 8


def behind() -> Nodes:
    """Node 3 has fallen behind and is about to be sent a snapshot; what is held for it is 300 kB at first."""
    nodes = Nodes(config=replace(CONFIG, log_keep_entries=5, log_hold_bytes=300 * KB))
    nodes.create(GROUP)
    nodes.settle()
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    nodes.streams.break_all()
    write(nodes, 10)
    nodes.pass_time(2)
    write(nodes, 10)
    nodes.pass_time(2)
    assert nodes.leader(GROUP) is nodes[1]
    nodes.cut.clear()
    return nodes


def progress(nodes: Nodes) -> ProgressState:
    return nodes[1].replica(GROUP).raw.raft.tracker.progress[13].state


def wait_for_snapshot(nodes: Nodes, seconds: float) -> bool:
    """Whether node 1 begins to send one; it is lost on the way, and so is what node 3 says from then on."""
    before = nodes.streams.made
    for _ in range(round(seconds * 10)):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.turn()
            host.write()
            host.flush()
        if nodes.streams.made > before:
            nodes.cut.add(3)
            nodes.streams.wire.clear()
            nodes.settle()
            return True
        nodes.deliver()
    return False


def test_a_snapshot_that_outlasts_what_is_held_for_it_begins_again_later_with_more():
    nodes = behind()
    assert wait_for_snapshot(nodes, 2)
    assert progress(nodes) is ProgressState.SNAPSHOT
    write(nodes, 10, 25 * KB)
    nodes.pass_time(0.5)
    assert kept(nodes[1]) >= 10, "it is held, though only five entries are wanted"
    write(nodes, 6, 25 * KB)
    nodes.pass_time(0.5)
    assert kept(nodes[1]) <= 7, "at its cap the hold ends"
    nodes.cut.clear()
    nodes[1].inputs.peers_lost.append(3)
    nodes.streams.break_all()
    nodes.settle()
    assert progress(nodes) is not ProgressState.SNAPSHOT
    assert wait_for_snapshot(nodes, 3), "after a pause"
    write(nodes, 18, 25 * KB)
    nodes.pass_time(0.5)
    assert kept(nodes[1]) >= 18, "what is held has doubled"
    nodes.cut.clear()
    nodes[1].inputs.peers_lost.append(3)
    nodes.streams.break_all()
    nodes.pass_time(4)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_no_snapshot_begins_during_the_pause():
    nodes = behind()
    assert wait_for_snapshot(nodes, 2)
    write(nodes, 16, 25 * KB)
    nodes.pass_time(0.4)
    pause = nodes[1].replica(GROUP).keeping.paused_until
    assert pause > nodes.now
    nodes.cut.clear()
    nodes[1].inputs.peers_lost.append(3)
    nodes.streams.break_all()
    assert not wait_for_snapshot(nodes, pause - nodes.now - 0.15)
    assert wait_for_snapshot(nodes, 2)


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_a_long_log_that_rests_in_the_oldest_batches_is_cut_when_the_store_is_crowded(machine: str):
    """To cut it is cheaper than to write it again with each round; a short one is let be."""
    nodes = Nodes(1, config=replace(CONFIG, state_machine=machine))
    for group in (GROUP, 6, 7):
        nodes.create(group)
    nodes.settle()
    write(nodes, 5, 20 * KB)
    write(nodes, 5, 100, group=6)
    nodes.pass_time(65)
    host = nodes[1]
    assert (kept(host), kept(host, 6)) == (6, 6)
    host.log._collector._policy = CollectionPolicy(factor=0.0, slack=0, batches=0)
    nodes.pass_time(4)
    assert (kept(host), kept(host, 6)) == (0, 6)
    write(nodes, 1)
    reborn = host.crash()
    assert reborn.machine(GROUP).get(b"004") == b"x" * 20 * KB


def test_a_flush_that_is_reported_is_durable_whole(tmp_path: Path):
    """What it covers may leave the log at once: its own commit has to outlast a crash, not the next one.

    With one flush a commit LMDB may lose the newest one; then the report would have to wait for the next.
    """
    medium = LmdbMedium(tmp_path, "sync")
    flags = medium._environment.flags()
    medium.close()
    assert flags["sync"]
    assert flags["metasync"]
    assert not flags["writemap"]


def test_what_was_applied_while_a_flush_was_written_stays_in_the_log():
    """The flush that is reported has none of it: after a crash the log alone would."""
    nodes = Nodes(1, config=replace(CONFIG, log_keep_entries=2))
    nodes.create(GROUP)
    nodes.settle()
    host = nodes[1]
    host.flush = lambda most=None: None  # type: ignore[method-assign] # its state store is slow
    write(nodes, 5)
    nodes.pass_time(0.5)
    write(nodes, 20)
    Host.flush(host, 1)
    nodes.settle()
    durable = host.state.durable_applied(GROUP)
    assert 2 < durable < host.replica(GROUP).applied.index - 10
    assert host.log.group(GROUP).first_index() - 1 <= durable
    assert host.crash().machine(GROUP).get(b"004") == b"x" * 10
