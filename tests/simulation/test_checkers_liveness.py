"""The checker of what has to happen once the faults are over."""

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Corruption
from multiraft.engine.rebuilding import Rebuilding
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.liveness import CATCH_UP_S, Liveness
from tests.simulation.traces import NODES, Trace, put

CONFIG = EngineConfig(beat_ms=100, election_timeout_ms=500)
SECONDS = 3.0
"""Three of the longest election timeouts."""


@pytest.fixture
def trace() -> Trace:
    made = Trace(lambda shared: Liveness())
    for node in NODES:
        made.nodes[node].config = CONFIG
    return made


def broken(text: str):
    return pytest.raises(Violation, match=f"liveness: .*{text}")


def asked() -> Operation:
    return Operation(1, 1, Kind.GET, (b"k",))


def test_a_cluster_that_comes_together_passes(trace: Trace):
    op = asked()
    trace.suite.invoked(op)
    trace.suite.healed(10.0)
    trace.suite.passed(12.0)
    trace.lead(1, term=4)
    trace.suite.passed(12.5)
    trace.lead(2, term=5)
    trace.suite.passed(13.0)
    trace.everywhere(put(2))
    for node in NODES:
        trace.set_applied(node, 2, 1)
    op.outcome, op.returned = Outcome.FAILED, 14.0
    trace.suite.completed(op)
    trace.suite.passed(10.0 + CATCH_UP_S)
    trace.finish()


# -- leaders --------------------------------------------------------------------------------------


def test_no_leader_after_three_election_timeouts(trace: Trace):
    trace.suite.healed(10.0)
    trace.suite.passed(10.0 + SECONDS - 0.1)
    with broken("group 2 has no leader 3.00 s after the last fault"):
        trace.suite.passed(10.0 + SECONDS)


def test_no_leader_in_the_end(trace: Trace):
    trace.suite.healed(10.0)
    trace.finish()  # too early to say
    with broken("group 2 has no leader"):
        trace.suite.passed(20.0)


def test_a_leader_that_the_others_have_left_behind_is_none(trace: Trace):
    trace.lead(1, term=3)
    trace.follow(2, term=4)
    trace.suite.healed(10.0)
    with broken("has no leader"):
        trace.suite.passed(14.0)


def test_a_leader_that_was_there_before_counts(trace: Trace):
    trace.lead(1, term=3)
    trace.suite.healed(10.0)
    trace.suite.passed(14.0)


@pytest.mark.parametrize("how", ["gone", "lost", "damaged"])
def test_without_a_quorum_nothing_is_asked(trace: Trace, how: str):
    for node in (2, 3):
        if how == "gone":
            trace.suite.stopped(node)
        elif how == "lost":
            trace.suite.lost(node)
        else:
            trace.suite.damaged(node)
    trace.suite.healed(10.0)
    trace.suite.passed(50.0)
    trace.finish()


def test_a_node_that_starts_later_moves_the_deadline(trace: Trace):
    trace.suite.stopped(3)
    trace.suite.healed(10.0)
    trace.suite.passed(12.0)
    trace.suite.started(3, trace.nodes[3])
    trace.suite.passed(14.9)
    with broken("has no leader"):
        trace.suite.passed(15.0)


def test_leaders_that_change_without_a_reason(trace: Trace):
    trace.suite.healed(10.0)
    for now, node, term in ((11.0, 1, 2), (12.0, 2, 3), (12.5, 3, 4), (20.0, 1, 5)):
        trace.suite.passed(now)
        trace.lead(node, term)
    trace.suite.passed(85.0)
    trace.lead(2, term=6)  # one a minute may be
    trace.suite.passed(100.0)
    with broken(r"group 2 changes its leader at \[85.0, 100.0\]"):
        trace.lead(3, term=7)


# -- replicas and clients -------------------------------------------------------------------------


def behind(trace: Trace) -> None:
    trace.everywhere(put(2))
    for node in (1, 2):
        trace.set_applied(node, 2, 1)
    trace.lead(1, term=1)
    trace.suite.healed(10.0)


def test_a_replica_that_does_not_catch_up(trace: Trace):
    behind(trace)
    trace.suite.passed(10.0 + CATCH_UP_S - 1)
    with broken("group 2, replica 3: applied is 1, 2 was committed 30.0 s ago"):
        trace.suite.passed(10.0 + CATCH_UP_S)


def test_a_replica_that_is_behind_in_the_end(trace: Trace):
    behind(trace)
    with broken("group 2 has applied {1: 2, 2: 2, 3: 1} in the end"):
        trace.finish()


def test_an_excused_replica_may_stay_behind(trace: Trace):
    behind(trace)
    trace.suite.damaged(3)
    trace.suite.passed(10.0 + CATCH_UP_S)
    trace.finish()


def test_a_state_that_was_lost_and_never_came(trace: Trace):
    behind(trace)
    trace.suite.state_lost(3)
    trace.set_applied(3, 2, 1)
    trace.replicas[3].rebuilding = Rebuilding(Corruption("its state is gone", 2))
    with broken("its state is gone, and nothing came"):
        trace.suite.passed(10.0 + CATCH_UP_S)


def test_an_operation_that_nobody_answered(trace: Trace):
    trace.suite.invoked(asked())
    with broken("was never answered"):
        trace.finish()


def test_an_operation_answered_twice(trace: Trace):
    op = asked()
    trace.suite.invoked(op)
    op.outcome, op.returned = Outcome.OK, 1.0
    trace.suite.completed(op)
    with broken("is answered twice"):
        trace.suite.completed(op)


def test_an_answer_that_says_nothing(trace: Trace):
    op = asked()
    trace.suite.invoked(op)
    with broken("nobody says how"):
        trace.suite.completed(op)
