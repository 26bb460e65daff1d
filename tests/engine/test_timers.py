"""Ticks reach the replicas that have something to do, and clocks are right whenever anything happens."""

import pytest

from multiraft.engine.replica import Replica
from multiraft.engine.timers import Timers
from multiraft.native.grouptable import GroupTable
from multiraft.raft.errors import Misuse
from multiraft.raft.messages import Message, MsgType

from .harness import CONFIG, Nodes, put
from .settled import GROUP, settled

LEADER = 1


def written() -> Nodes:
    """Nodes with a group that has just been written to, so that it beats for a while before it rests."""
    nodes = settled()
    nodes[LEADER].propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    return nodes


def follower(timers: Timers) -> Replica:
    """Node 2's replica, which hears of nobody but this test, with timers of its own."""
    replica = settled()[2].replica(GROUP)
    timers.add(replica)
    hear(timers, replica)
    return replica


def hear(timers: Timers, replica: Replica) -> None:
    """A beat of the leader comes."""
    timers.touch(replica)
    replica.raw.step(Message(MsgType.HEARTBEAT, to=replica.replica_id, from_=replica.raw.raft.lead, term=1))


def ticks_to_election(timers: Timers, replica: Replica) -> int:
    """How many ticks there are until the replica campaigns; it is looked at in the last one only."""
    for ticks in range(1, 10 * CONFIG.election_ticks):
        due = timers.tick()
        if due:
            assert due == [GROUP]
            if timers.give(replica):
                return ticks
    raise AssertionError("no election")


def test_an_election_comes_due_after_a_whole_timeout():
    timers = Timers(GroupTable())
    replica = follower(timers)
    timeout = replica.raw.raft.randomized_election_timeout
    assert ticks_to_election(timers, replica) == timeout


@pytest.mark.parametrize("heard_after", [1, 3, 4])
def test_who_hears_a_leader_begins_to_wait_anew(heard_after: int):
    """The ticks before the beat are the past: they must neither be given later nor be forgotten."""
    timers = Timers(GroupTable())
    replica = follower(timers)
    for _ in range(heard_after):
        assert timers.tick() == []
    hear(timers, replica)
    assert ticks_to_election(timers, replica) == replica.raw.raft.randomized_election_timeout


def test_ticks_that_have_passed_count_for_whoever_is_asked():
    """A lease is judged by them: a vote is refused as long as a leader was heard of lately."""
    timers = Timers(GroupTable())
    replica = follower(timers)
    for _ in range(3):
        timers.tick()
    assert replica.raw.raft.election_elapsed == 0
    timers.touch(replica)
    assert replica.raw.raft.election_elapsed == 3
    timers.touch(replica)
    assert replica.raw.raft.election_elapsed == 3


def test_a_replica_that_was_removed_gets_no_ticks():
    timers = Timers(GroupTable())
    replica = follower(timers)
    timers.remove(replica.group)
    assert all(timers.tick() == [] for _ in range(100))


def test_a_tick_that_comes_too_late_is_our_bug():
    """Whoever changes a replica's clocks without a touch would have it sleep through its election."""
    timers = Timers(GroupTable())
    replica = follower(timers)
    timers.tick()
    replica.raw.raft.randomized_election_timeout = 2
    timers.tick()
    timers.tick()
    with pytest.raises(Misuse):
        timers.give(replica)


def test_ticks_of_a_quiet_node_look_at_leaders_only(monkeypatch):
    """Followers that hear beats have quiet ticks only; a leader's come due for its beats."""
    nodes: Nodes = written()
    given: list[Replica] = []
    give = Timers.give

    def give_and_note(timers: Timers, replica: Replica) -> bool:
        given.append(replica)
        return give(timers, replica)

    monkeypatch.setattr(Timers, "give", give_and_note)
    ticks = 10
    nodes.pass_time(ticks * CONFIG.tick_ms / 1000)
    leader = nodes[LEADER].replica(GROUP)
    assert given.count(leader) >= ticks // CONFIG.beat_ticks - 1
    looked_in_vain = len(given) - given.count(leader)
    assert looked_in_vain < ticks, "a follower's row may come due in vain once in an election timeout"


def test_whatever_comes_finds_the_clocks_as_they_are():
    """Ticks given after a beat instead of before would count against the leader that has just been heard."""
    nodes = written()
    elapsed = []
    for _ in range(2 * CONFIG.beat_ticks):
        nodes.pass_time(CONFIG.tick_ms / 1000)
        elapsed.append(nodes[2].replica(GROUP).raw.raft.election_elapsed)
    assert elapsed == [0] * len(elapsed), "until it is looked at again, no tick has passed for it"
