"""Snapshots on their way from node to node, broken off at every point, and what is left behind: nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from multiraft.engine.snapshots.receiving import Incoming
from multiraft.engine.statemachine.records import PREFIX, Kind, kind_range
from multiraft.engine.statemachine.store import StateView
from multiraft.engine.transport.kinds import FrameKind
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.progress import ProgressState
from multiraft.raft.replication import maybe_send_snapshot

from .harness import CONFIG, Host, Nodes, put
from .settled import GROUP
from .test_snapshots import SHORT_LOG, lagging

SMALL = replace(CONFIG, log_keep_entries=3, snapshot_chunk_bytes=60, election_timeout_ms=1000)


def progress(nodes: Nodes, node: int):
    return nodes[1].replica(GROUP).raw.raft.tracker.progress[10 + node]


def write_some(nodes: Nodes, group: int, keys: range, value: bytes = b"x") -> None:
    leader = nodes.leader(group)
    for number in keys:
        leader.propose(group, put(b"%03d" % number, value), token=(group, number, value))
        nodes.settle()


def behind(config=SMALL, groups: int = 1, keys: int = 12) -> Nodes:
    """Node 3 was away; node 1 leads, and its logs do not reach back to it. Now it is there again."""
    nodes = Nodes(config=config)
    for group in range(GROUP, GROUP + groups):
        nodes.create(group)
    nodes.settle()
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    for group in range(GROUP, GROUP + groups):
        write_some(nodes, group, range(keys))
    nodes.pass_time(1)
    for group in range(GROUP, GROUP + groups):
        write_some(nodes, group, range(keys, keys + 5))
        assert nodes[1].replica(group).raw.raft.log.first_index() > keys // 2
    nodes.cut.clear()
    return nodes


def steps(nodes: Nodes, most: int = 4000):
    """Time goes on in the smallest steps: a turn, a write, a piece of work or a frame at a time.

    Yields after each of those that the snapshot may be at, until all is calm.
    """
    calm = 0
    for number in range(most):
        busy = False
        if number % 40 == 0:
            nodes.now += 0.1
        for host in list(nodes.hosts.values()):
            host.turn()
            if host.unwritten:
                host.write(1)
                busy |= host.node_id == 3
                yield f"a batch of node {host.node_id}"
            if host.unflushed:
                host.flush(1)
                yield f"the state of node {host.node_id}"
            if host.unread:
                host.read_state()
                yield f"a chunk read on node {host.node_id}"
        wire = len(nodes.wire)
        nodes.deliver(streams=False)
        if nodes.streams.wire:
            kind = nodes.streams.wire[0].kind
            nodes.streams.deliver(1)
            yield f"a frame: {'the end' if kind is None else kind.name}"
        done = caught_up(nodes) and not (nodes.streams.wire or wire)
        calm = calm + 1 if done and not busy else 0
        if calm == 5:
            return
    raise AssertionError("it never ends")


def caught_up(nodes: Nodes, group: int = GROUP) -> bool:
    one, other = nodes[3].replica(group), nodes.leader(group).replica(group)
    return one.applied.index == other.applied.index and one.installing is None


def incoming(nodes: Nodes) -> list[Incoming]:
    """What node 3 has granted credits for."""
    return list(nodes[3].node._snapshots._receiving._active.values())


def check_whole(nodes: Nodes, group: int = GROUP) -> None:
    """Everybody agrees, nobody keeps anything, and what lies in the state stores belongs to somebody."""
    nodes.pass_time(2.5)
    leader = nodes.leader(group)
    for host in nodes.hosts.values():
        assert host.machine(group).digest() == leader.machine(group).digest(), host.node_id
        assert not any(host.node.backlog().values()), (host.node_id, host.node.backlog())
        check_store(host)


def check_store(host: Host) -> None:
    """No prefix is dead, and none has data but those of groups."""
    contents = host.state.medium.contents
    low, high = kind_range(Kind.DEAD)
    assert not [key for key in contents if low <= key < high]
    in_use = {host.state.group(group).stored_prefix() for group in host.state.groups()}
    assert {PREFIX.unpack_from(key)[0] for key in contents} <= in_use | {0}


def hear_of_term(nodes: Nodes, more: int) -> None:
    """Node 3 hears of a later term, by the beat of its leader."""
    replica = nodes[3].replica(GROUP)
    replica.raw.step(Message(MsgType.HEARTBEAT, 13, 12, replica.raw.raft.term + more))
    nodes[3].node._activate(replica)


FAULTS: dict[str, Callable[[Nodes], object]] = {
    "every connection breaks": lambda nodes: nodes.streams.break_all(),
    "the receiver crashes": lambda nodes: nodes[3].crash(),
    "the sender crashes": lambda nodes: nodes[1].crash(),
    "the sender steps down": lambda nodes: nodes[2].replica(GROUP).raw.force_election(),
}


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_snapshot_that_is_broken_off_at_any_point_begins_anew(fault: str, machine: str):
    """At every frame, chunk, staged piece, flush and batch of the whole course."""
    config = replace(SMALL, state_machine=machine)
    course = list(steps(behind(config)))
    kinds = {step for step in course if step.startswith("a frame")}
    assert len(kinds) >= 5, kinds
    assert sum("CHUNK" in step for step in course) >= 3 if machine == "lmdb" else 1
    for point in range(0, len(course), 1 if fault == "the receiver crashes" else 2):
        nodes = behind(config)
        for number, _ in enumerate(steps(nodes)):
            if number == point:
                break
        FAULTS[fault](nodes)
        if fault == "the sender steps down":
            nodes[2].node._activate(nodes[2].replica(GROUP))
        check_whole(nodes)


def test_a_receiver_that_hears_of_a_newer_term_gives_up():
    """And takes the snapshot of the leader of that term."""
    nodes = behind()
    for step in steps(nodes):
        if "HEAD" in step:
            break
    hear_of_term(nodes, 5)
    nodes[3].turn()
    assert nodes[3].node.backlog()["snapshots received"] == 0
    assert nodes[3].node.backlog()["abandoned prefixes"] == 1
    check_whole(nodes)


def test_nothing_is_sent_or_looked_at_before_it_is_granted():
    nodes = behind()
    looked: list[int] = []
    view = nodes[1].state.view

    def watched_view(group: int) -> StateView:
        looked.append(group)
        return view(group)

    nodes[1].state.view = watched_view
    for step in steps(nodes):
        if "OFFER" in step:
            break
    assert not looked
    assert [sent.kind for sent in nodes.streams.wire] == []
    for step in steps(nodes):
        if "GRANT" in step:
            break
    nodes[1].turn()
    assert looked == [GROUP]
    check_whole(nodes)


def test_a_sender_never_goes_beyond_its_credits():
    """Whatever the receiver's disk does: so many chunks of its own size, and one more, are under way."""
    nodes = behind(keys=40)
    staged = 0
    for _ in range(300):
        nodes.now += 0.01
        for host in nodes.hosts.values():
            host.turn()
            host.write()
            host.read_state()
            if host.node_id != 3:
                host.flush()
        nodes.deliver()
        staged = max([staged, *(len(one.chunks) + one.writing for one in incoming(nodes))])
    assert staged == 4
    check_whole(nodes)


@pytest.mark.parametrize(("sent", "received", "most"), [(2, 2, 2), (1, 2, 1), (4, 2, 2), (3, 1, 1)])
def test_only_so_many_are_under_way_at_a_time(sent: int, received: int, most: int):
    config = replace(SMALL, snapshots_out=sent, snapshots_in=received)
    nodes = behind(config, groups=5)
    seen, offered = 0, 0
    for _ in range(400):
        nodes.now += 0.01
        for host in nodes.hosts.values():
            host.turn()
            host.write(1)
            host.flush(1)
            host.read_state()
        nodes.deliver()
        seen = max(seen, len(incoming(nodes)))
        offered = max(offered, len(nodes[1].node._snapshots._sending._active))
    assert (seen, offered) == (most, sent)
    for group in range(GROUP, GROUP + 5):
        check_whole(nodes, group)


def test_the_pace_is_kept():
    """As many bytes a second as the settings say, after a burst of a twentieth of a second."""
    nodes = behind(replace(SMALL, snapshot_bytes_per_second=400), keys=40)
    before, sent = nodes.now, 0
    while not caught_up(nodes):
        nodes.now += 0.02
        nodes.settle()
        sent = max(sent, sum(one.size for one in incoming(nodes)))
        assert sent <= 400 * (nodes.now - before + 0.05) + 3 * 60
    assert sent > 300
    check_whole(nodes)


def test_a_follower_that_nobody_leads_any_more_costs_no_slot():
    """A snapshot that its core has given up is given up, also while it waits for its turn."""
    nodes = behind(replace(SMALL, snapshots_out=1), groups=3)
    for _ in steps(nodes):
        if nodes[1].node.backlog()["snapshots sent"] == 3:
            break
    assert nodes[1].node.backlog()["snapshots sent"] == 3
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    nodes.streams.break_all()
    nodes[1].turn()
    assert nodes[1].node.backlog()["snapshots sent"] == 0
    nodes.cut.clear()
    for group in range(GROUP, GROUP + 3):
        check_whole(nodes, group)


# -- bugs that were found ---------------------------------------------------------------------------------


def lose_snapshot(nodes: Nodes) -> None:
    """Something of the first snapshot to node 3 gets lost, and nobody says so."""
    nodes.cut.clear()
    for _ in range(40):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.turn()
            host.write()
            host.flush()
            host.read_state()
        if any(one.kind is FrameKind.CHUNK for one in nodes.streams.wire):
            nodes.streams.wire.clear()
            break
        nodes.deliver()
    assert progress(nodes, 3).state is ProgressState.SNAPSHOT


def test_a_snapshot_lost_without_a_word_is_sent_again():
    nodes = lagging(replace(SHORT_LOG, snapshot_ms=2000))
    lose_snapshot(nodes)
    nodes.pass_time(6)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_a_snapshot_for_a_group_not_known_yet_is_sent_again():
    """Its receiver says so: the leader need not find out by itself."""
    config = replace(SHORT_LOG, snapshot_ms=10**6, parked_ms=500)
    nodes = Nodes(config=config)
    nodes.create(GROUP, nodes=[1, 2])
    for host in (nodes[1], nodes[2]):
        host.node.directory_index = 2
    nodes.settle()
    for number in range(40):
        nodes[1].propose(GROUP, put(b"%03d" % number, b"x"), token=number)
        nodes.settle()
    nodes.pass_time(2)
    nodes[1].propose(GROUP, put(b"last", b"x"))
    nodes.settle()
    raft = nodes[1].replica(GROUP).raw.raft
    raft.tracker.progress[13].recent_active = True
    assert maybe_send_snapshot(raft, 13, raft.tracker.progress[13])
    nodes.pass_time(1)
    assert nodes.streams.made == 1
    assert progress(nodes, 3).state is ProgressState.PROBE
    nodes.create(GROUP, nodes=[3])
    nodes[3].node.directory_index = 2
    nodes.pass_time(2)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_the_log_behind_a_snapshot_under_way_is_kept():
    """Were it cut, the follower would need the next snapshot as soon as it has installed this one."""
    nodes = lagging()
    nodes.cut.clear()
    snapshots, written = 0, 40
    for _ in range(60):
        nodes.now += 0.1
        for node, host in nodes.hosts.items():
            host.turn()
            host.write()
            host.read_state()
            if node != 3 or written > 100:
                host.flush()
        if snapshots and written <= 100:  # node 3 has it and cannot flush: the leader writes on, and cuts
            nodes[1].propose(
                GROUP, *(put(b"%03d" % (written + more), b"x") for more in range(5)), token=written
            )
            written += 5
        snapshots = nodes.streams.made
        nodes.deliver()
    nodes.pass_time(0.5)
    assert written > 100
    assert snapshots == 1
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()
    nodes.pass_time(1)
    nodes[1].propose(GROUP, *(put(b"%03d" % number, b"y") for number in range(30)), token="more")
    nodes.pass_time(1)
    assert nodes[1].replica(GROUP).raw.raft.log.first_index() > 80, "once it has arrived, the log is cut"


@pytest.mark.parametrize("node", [1, 2, 3])
def test_nothing_is_remembered_of_snapshots_that_arrived(node: int):
    nodes = lagging()
    nodes.cut.clear()
    nodes.pass_time(6)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()
    assert not any(nodes[node].node.backlog().values())
