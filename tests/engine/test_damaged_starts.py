"""A start that meets a damaged batch of its log: the node runs, and each replica as far as it is sound."""

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.lostlogs import UNKNOWN

from .harness import Host, Nodes, birth, put

GROUP, OTHER = 5, 6


@pytest.fixture
def nodes() -> Nodes:
    nodes = Nodes()
    for group in (GROUP, OTHER):
        nodes.create(group)
    nodes.settle()
    return nodes


def write(nodes: Nodes, group: int, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        command = put(b"%d" % number, b"value %d" % number, number + 1)
        nodes.leader(group).propose(group, command, token=number)
        nodes.settle()


def destroyed(host: Host, group: int, entry: int) -> None:
    """The batch that an entry stands in cannot be read any more."""
    span = next(host.log._index.log(group).spans(entry, entry + 1))
    host.log.environment.values[chunk_key(span.carrier, 0)] = b"damaged"


def last(host: Host, group: int) -> int:
    return host.log.group(group).last_index()


def test_what_the_state_has_is_no_loss(nodes: Nodes):
    """Both groups go on where they were, and so after one more start."""
    write(nodes, GROUP, 5)
    nodes.pass_time(2)
    write(nodes, GROUP, 2, first=5)
    host = nodes[3]
    destroyed(host, GROUP, 4)
    for _ in range(2):
        host = host.crash()
        assert not host.node.replicas.lost
        assert not host.node.replicas.silent
        write(nodes, GROUP, 1, first=9)
        nodes.pass_time(2)
        assert host.machine(GROUP).get(b"9") == b"value 9"
        assert host.state.promised(GROUP) is None


def test_a_follower_that_lost_entries_is_silent_until_a_snapshot_comes(nodes: Nodes):
    host = nodes[3]
    host.flush = lambda: None  # type: ignore[method-assign] # its state store takes no flush
    write(nodes, GROUP, 6)
    write(nodes, OTHER, 2)
    destroyed(host, GROUP, last(host, GROUP) - 2)
    again = host.crash()
    assert set(again.node.replicas.silent) == {GROUP}
    assert again.state.promised(GROUP) is not None
    again.crash()
    again = nodes[3]
    assert set(again.node.replicas.silent) == {GROUP}
    write(nodes, GROUP, 1, first=20)
    nodes.pass_time(4)
    assert not again.node.replicas.silent
    for number in (*range(6), 20):
        assert again.machine(GROUP).get(b"%d" % number) == b"value %d" % number
    assert again.machine(OTHER).get(b"1") == b"value 1"


def test_a_replica_of_which_nobody_knows_what_it_promised_stays_out(nodes: Nodes):
    """Its last batch is gone; that of the others behind it speaks for them. No later start forgets it."""
    write(nodes, GROUP, 3)
    write(nodes, OTHER, 1, first=9)
    host = nodes[3]
    nodes.cut = {3}
    end = last(host, GROUP)
    destroyed(host, GROUP, end)
    again = host.crash()
    nodes.cut = set()
    assert GROUP in again.node.replicas.lost
    assert isinstance(again.node.replicas.lost[GROUP], Corruption)
    assert again.state.promised(GROUP) == UNKNOWN
    write(nodes, OTHER, 3)
    nodes.pass_time(2)
    assert nodes[3].machine(OTHER).get(b"2") == b"value 2"
    for key in [key for key, value in again.log.environment.values.items() if value == b"damaged"]:
        del again.log.environment.values[key]
    assert GROUP in again.crash().node.replicas.lost


def test_a_replica_whose_birth_was_lost_is_not_born_again(nodes: Nodes):
    """What it had promised is unknown, whatever the directory orders."""
    host = nodes[3]
    host.state.set_promised(7, UNKNOWN)
    host.node.replicas.create([birth(7, 3)])
    assert not host.node.replicas.expects(7)
    assert isinstance(host.node.replicas.lost[7], Corruption)
