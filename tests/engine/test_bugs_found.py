"""What random faults and reading with faults in mind have found, each as its shortest story.

``docs/bugs-found.md`` is the list.
"""

from dataclasses import replace

from multiraft.engine.errors import Quarantined
from multiraft.raft.progress import ProgressState

from .harness import CONFIG, Machine, Nodes, put

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
