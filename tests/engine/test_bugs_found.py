"""What random faults and reading with faults in mind have found, each as its shortest story.

``docs/bugs-found.md`` is the list.
"""

from dataclasses import replace

import pytest

from multiraft.engine.errors import Quarantined
from multiraft.raft.messages import MsgType
from multiraft.raft.progress import ProgressState

from .harness import CONFIG, Machine, Nodes, put, sent

GROUP = 5
SHORT_LOG = replace(CONFIG, log_keep_entries=10, snapshot_ms=1000)


def settled(config=CONFIG, count: int = 3) -> Nodes:
    nodes = Nodes(count, config)
    nodes.create(GROUP)
    nodes.settle()
    return nodes


def lagging() -> Nodes:
    """Node 3 was away, and what it lacks is gone from the leader's log."""
    nodes = settled(SHORT_LOG)
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    for number in range(40):
        nodes[1].propose(GROUP, put(b"%03d" % number, b"x"), token=number)
        nodes.settle()
    nodes.pass_time(2)
    nodes[1].propose(GROUP, put(b"last", b"x"))
    nodes.settle()
    assert nodes[1].replica(GROUP).raw.raft.log.first_index() > 20
    return nodes


def progress(nodes: Nodes, node: int):
    return nodes[1].replica(GROUP).raw.raft.tracker.progress[10 + node]


# -- a machine that raises -------------------------------------------------------------------------------


def break_half_way(machine: Machine) -> None:
    """The machine carries out one command of those it is given, then raises."""

    def apply(commands):
        Machine.apply(machine, commands[:1])
        raise RuntimeError("the machine is broken")

    machine.apply = apply


def test_what_a_machine_did_before_it_raised_never_reaches_the_disk():
    """No index of the log has that state: after a restart the commands would be applied a second time."""
    nodes = settled()
    nodes[1].propose(GROUP, put(b"a", b"good"), token="good")
    nodes.settle()
    nodes.pass_time(1)
    break_half_way(nodes[1].machine(GROUP))
    nodes[1].propose(GROUP, put(b"a", b"half"), put(b"b", b"rest"), token="bad")
    nodes.settle()
    nodes.pass_time(1)
    assert isinstance(nodes[1].replica(GROUP).quarantine, Quarantined)
    machine = nodes[1].crash().machine(GROUP)
    assert machine.get(b"a") == b"good"
    nodes.pass_time(3)
    assert nodes[1].machine(GROUP).digest() == nodes[2].machine(GROUP).digest()
    assert nodes[1].machine(GROUP).get(b"b") == b"rest"


def test_a_machine_that_raised_serves_no_snapshot():
    """A follower would take half a command for the state of an index."""
    nodes = lagging()
    break_half_way(nodes[1].machine(GROUP))
    nodes[1].propose(GROUP, put(b"a", b"half"), put(b"b", b"rest"), token="bad")
    nodes.settle()
    assert nodes[1].replica(GROUP).leads
    nodes.cut.clear()
    nodes.pass_time(1)
    assert nodes[3].machine(GROUP).get(b"a") is None
    assert progress(nodes, 3).state is ProgressState.PROBE


# -- snapshots on their way ------------------------------------------------------------------------------


def lose_snapshot(nodes: Nodes) -> None:
    """The first snapshot to node 3 gets lost, and nobody says so."""
    nodes.cut.clear()
    for _ in range(40):
        nodes.now += 0.1
        for host in nodes.hosts.values():
            host.turn()
            host.write()
            host.flush()
        if any(one.message.type is MsgType.SNAP for one in sent(nodes, 1)):
            nodes.wire = []
            break
        nodes.deliver()
    assert progress(nodes, 3).state is ProgressState.SNAPSHOT


def test_a_snapshot_lost_without_a_word_is_sent_again():
    nodes = lagging()
    lose_snapshot(nodes)
    nodes.pass_time(2)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_a_snapshot_for_a_group_not_known_yet_is_sent_again():
    """Its receiver lets it wait, gives it up, and says so: the leader need not find out by itself."""
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
    nodes[1].replica(GROUP).raw.raft.tracker.progress[13].recent_active = True
    nodes[1].replica(GROUP).raw.raft.tracker.progress[13].become_snapshot(20)
    nodes.pass_time(1)
    assert progress(nodes, 3).state is ProgressState.PROBE
    nodes.create(GROUP, nodes=[3])
    nodes[3].node.directory_index = 2
    nodes.pass_time(2)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


@pytest.mark.parametrize("node", [1, 2, 3])
def test_nothing_is_remembered_of_snapshots_that_arrived(node: int):
    nodes = lagging()
    nodes.cut.clear()
    nodes.pass_time(3)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()
    assert nodes[node].node._delivery._snapshots_sent == {}
