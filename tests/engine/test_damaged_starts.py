"""A start that meets a damaged batch of its log: the node runs, and each replica as far as it is sound."""

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.lostlogs import UNKNOWN
from multiraft.engine.outbox import Outbox
from multiraft.engine.runs import Runs
from multiraft.raft.messages import Message, MsgType

from .harness import Host, Nodes, birth, put, sent

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


def newest_destroyed(host: Host) -> None:
    """The newest batch cannot be read any more, and nothing behind it says of whom it was."""
    values = host.log.environment.values
    values[max(values)] = b"damaged"


def asked_for_vote(nodes: Nodes, candidate: int, term: int) -> list[bool]:
    """Whether node 2 refused each of the candidates that it has answered by now, with its disk's consent."""
    outbox = Outbox(Runs())
    ask = Message(MsgType.VOTE, to=12, from_=10 + candidate, term=term, log_term=1, index=1)
    outbox.add(2, GROUP, ask)
    nodes.wire = [(candidate, frame) for frame in outbox.frames(1)]
    nodes.deliver()
    for _ in range(3):
        nodes[2].turn()
        nodes[2].write()
    answers = [one.message for one in sent(nodes, 2) if one.message.type is MsgType.VOTE_RESP]
    assert all(answer.term == term for answer in answers)
    return [answer.reject for answer in answers]


def test_a_vote_in_a_damaged_newest_batch_is_not_given_twice():
    """Two leaders in one term would be the end of it."""
    nodes = Nodes()
    nodes.create(GROUP)
    for _ in range(3):
        nodes[2].turn()
        nodes[2].write()
    assert asked_for_vote(nodes, 1, term=5) == [False]
    newest_destroyed(nodes[2])
    again = nodes[2].crash()
    assert asked_for_vote(nodes, 3, term=5) == []
    assert isinstance(again.node.replicas.lost[GROUP], Corruption)


def test_an_acknowledgement_in_a_damaged_newest_batch_still_counts(nodes: Nodes):
    """The other one that is alive was not told of the write: no majority is made without it."""
    write(nodes, GROUP, 2)
    nodes.cut = {2}
    write(nodes, GROUP, 1, first=2)
    assert nodes[1].answer(2) == [None]
    newest_destroyed(nodes[3])
    nodes[3].crash()
    nodes.cut = {1}
    nodes.pass_time(6)
    assert not nodes[2].replica(GROUP).leads
    assert GROUP not in nodes[3].node.replicas.running
    nodes.cut = set()
    nodes.pass_time(6)
    assert nodes[2].machine(GROUP).get(b"2") == b"value 2"


def test_a_doubt_is_durable_before_the_log_may_forget_the_damage(nodes: Nodes):
    """A crash right behind the start, before any flush of the state: the damage is collected by then."""
    newest_destroyed(nodes[3])
    again = nodes[3].crash()
    assert GROUP in again.node.replicas.lost
    again.log._collector._policy = CollectionPolicy(0.0, 0)
    for _ in range(8):
        batch = again.log.stage([])
        again.log.commit(batch)
        again.log.finish(batch)
    assert b"damaged" not in again.log.environment.values.values()
    later = again.crash()
    assert not later.log.has_gaps
    assert GROUP in later.node.replicas.lost
