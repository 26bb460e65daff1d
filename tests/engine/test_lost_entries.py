"""What a node does about entries that collection could not read."""

from multiraft.engine.logstore.collection import CollectionPolicy

from .harness import Host, Nodes, put
from .settled import GROUP

EAGER = CollectionPolicy(factor=0.0, slack=0)


def filled(count: int = 3) -> Nodes:
    nodes = Nodes(count)
    nodes.create(GROUP)
    nodes.settle()
    for number in range(10):
        write(nodes, number)
    return nodes


def write(nodes: Nodes, number: int) -> None:
    leader = nodes.leader(GROUP)
    leader.propose(GROUP, put(b"%03d" % number, b"value of %03d" % number), token=number)
    nodes.settle()
    assert leader.answer(number) == [None]


def damage(host: Host, wanted: bytes) -> int:
    """Flip a bit of the entry that has these bytes; returns its index."""
    values = host.log.environment.values
    (key,) = [key for key, value in values.items() if wanted in value]
    at = values[key].index(wanted)
    values[key] = values[key][:at] + b"X" + values[key][at + 1 :]
    log = host.log.group(GROUP)
    (index,) = [one.index for one in log.entries(2, log.last_index() + 1, None) if wanted in one.data]
    host.log._collector._policy = EAGER
    return index


def test_lost_entries_whose_effects_are_durable_are_cut_off():
    nodes = filled()
    nodes.pass_time(1)
    follower = next(host for host in nodes.hosts.values() if host is not nodes.leader(GROUP))
    index = damage(follower, b"value of 005")
    assert follower.state.durable_applied(GROUP) > index
    for number in range(10, 25):
        write(nodes, number)
    assert follower.log.group(GROUP).first_index() > index
    assert follower.machine(GROUP).digest() == nodes.leader(GROUP).machine(GROUP).digest()
    reborn = follower.crash()
    nodes.pass_time(2)
    write(nodes, 30)
    assert reborn.machine(GROUP).digest() == nodes.leader(GROUP).machine(GROUP).digest()


def test_a_replica_that_lost_entries_which_only_its_log_had_is_silent():
    """Others lead the group on, until it has a snapshot."""
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    leader = nodes.leader(GROUP)
    leader.flush = lambda: None  # its state store is slow
    for number in range(10):
        write(nodes, number)
    index = damage(leader, b"value of 005")
    assert leader.state.durable_applied(GROUP) < index
    for number in range(10, 13):
        leader.propose(GROUP, put(b"%03d" % number, b"one more"), token=number)
        nodes.settle()
    assert leader.replica(GROUP).silence is not None
    nodes.pass_time(3)
    write(nodes, 40)
    assert nodes.leader(GROUP) is not leader
    assert leader.replica(GROUP).silence is not None, "its state store has not taken the snapshot"
    del leader.flush
    nodes.pass_time(3)
    assert leader.replica(GROUP).silence is None
    assert leader.machine(GROUP).get(b"040") == nodes.leader(GROUP).machine(GROUP).get(b"040")
