"""What the checker of quarantined replicas objects to, and what it lets pass."""

import pytest

from multiraft.engine.errors import Quarantined
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.quarantine import EVERYWHERE, Quarantine
from tests.simulation.traces import GROUP, Trace, put


@pytest.fixture
def trace() -> Trace:
    return Trace(lambda shared: Quarantine(shared.disks))


def broken(text: str):
    return pytest.raises(Violation, match=text)


def quarantine(trace: Trace, node: int, group: int = GROUP, index: int = 2) -> None:
    trace.replicas[node].quarantine = Quarantined(group, index, "it raised")


@pytest.mark.parametrize("where", [1, EVERYWHERE])
def test_a_machine_that_was_made_to_raise_passes(trace: Trace, where: int):
    trace.suite.poisoned(where, GROUP)
    quarantine(trace, 1)
    trace.turn(1)


def test_a_machine_that_raises_for_no_reason(trace: Trace):
    quarantine(trace, 1)
    with broken("node 1: group 2 is quarantined at index 2: it raised, and nothing is wrong"):
        trace.turn(1)


def test_a_reason_on_another_node_or_in_another_group_is_none(trace: Trace):
    trace.suite.poisoned(2, GROUP)
    trace.suite.poisoned(1, GROUP + 1)
    quarantine(trace, 1)
    with broken("nothing is wrong"):
        trace.turn(1)


def test_one_replicas_reason_ends_with_its_process(trace: Trace):
    trace.suite.poisoned(1, GROUP)
    trace.suite.stopped(1)
    quarantine(trace, 1)
    with broken("nothing is wrong"):
        trace.turn(1)


def test_a_damaged_disk_is_reason_enough(trace: Trace):
    trace.suite.damaged(1)
    quarantine(trace, 1)
    trace.turn(1)


def test_a_quarantined_replica_that_goes_on(trace: Trace):
    trace.suite.poisoned(1, GROUP)
    quarantine(trace, 1, index=2)
    trace.write(1, put(2), term=1, vote=1, commit=2)
    with broken("applies .* and group 2 is quarantined at index 2"):
        trace.apply(1, put(2))


def told(group: int) -> Operation:
    error = f"Quarantined: {Quarantined(group, 2, 'it raised')}"
    return Operation(1, 1, Kind.GET, (b"k",), (), 0.0, 1.0, Outcome.FAILED, None, error)


def test_callers_are_told_of_poisoned_groups_only(trace: Trace):
    trace.suite.poisoned(3, GROUP)
    trace.suite.stopped(3)
    trace.suite.completed(told(GROUP))
    with broken("nothing is wrong with that group"):
        trace.suite.completed(told(GROUP + 1))
