"""A node with nothing to do sleeps until its next beat: ticks that concern nobody cost no turns."""

from dataclasses import replace

import pytest

from multiraft.engine.ticker import Ticker

from .harness import CONFIG, Nodes, put
from .settled import GROUP

BEAT_TICKS = 5
ELECTION_TICKS = 10
SLOW_BEATS = replace(CONFIG, beat_ms=500, election_timeout_ms=1000)
TICK_S = SLOW_BEATS.tick_ms / 1000


@pytest.fixture
def asleep() -> Nodes:
    """One group, and it rests; every node has just beaten, and looks at its clock between two ticks."""
    nodes = Nodes(config=SLOW_BEATS)
    nodes.create(GROUP)
    nodes.now += TICK_S / 2
    while any(host.node.ticker.quiet < BEAT_TICKS - 1 for host in nodes.hosts.values()):
        nodes.pass_time(TICK_S)
        assert nodes.now < 200, "the nodes do not come to rest"
    return nodes


def test_the_next_turn_is_that_of_the_next_beat(asleep: Nodes):
    host = asleep[1]
    ticks = host.node.replicas.timers.ticks
    asleep.now = host.node.deadline + TICK_S / 2
    host.turn()
    assert host.node.replicas.timers.ticks == host.node.replicas.liveness.ticks == ticks + BEAT_TICKS
    assert asleep.wire, "it has beaten"
    assert host.node.ticker.missed == 0


def test_who_is_woken_meanwhile_is_not_given_the_ticks_that_were_slept_through(asleep: Nodes):
    """They would be half an election timeout to a follower, at once."""
    host = asleep[2]
    before = host.node.replicas.timers.ticks
    asleep[1].propose(GROUP, put(b"k", b"v"))
    asleep[1].turn()
    asleep.deliver()
    asleep.now += (BEAT_TICKS - 1) * TICK_S
    host.turn()
    assert host.node.replicas.timers.ticks == before + BEAT_TICKS - 1
    assert host.replica(GROUP).rests is None
    assert host.replica(GROUP).raw.raft.election_elapsed == 0
    assert host.node.deadline <= asleep.now + TICK_S, "it is awake"


def test_a_node_that_falls_silent_is_noticed_with_the_tick_that_says_so(asleep: Nodes):
    """Sleep ends before a beat is due, if a peer can be missed by then."""
    asleep.now += TICK_S
    asleep[1].node._rest._beat_due = True  # its beats come at other ticks than those of node 2
    asleep.settle()
    asleep.cut.add(1)
    host, heard = asleep[2], asleep.now
    while host.node.replicas.liveness.alive(1):
        asleep.now = min(asleep[2].node.deadline, asleep[3].node.deadline) + TICK_S / 100
        asleep.settle()
    assert asleep.now - heard == pytest.approx((ELECTION_TICKS + 1) * TICK_S, abs=TICK_S)


def test_a_clock_that_sleeps_is_late_only_behind_what_it_has_slept_through():
    ticker = Ticker(0.0, 1.0, 5.0)
    ticker.quiet = 4
    assert ticker.deadline == 5.0
    assert ticker.pass_quiet(2.5) == 2
    assert ticker.deadline == 5.0
    assert ticker.due(2.5) == 0
    assert ticker.pass_quiet(7.2) == 2
    assert ticker.due(7.2) == 2
    assert ticker.missed == 1
    assert ticker.deadline == 8.0
