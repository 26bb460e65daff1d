"""The checker of replicas that have lost their disk."""

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.state import Snapshot
from tests.simulation.checkers.base import Violation
from tests.simulation.checkers.lost import Lost
from tests.simulation.traces import CONF, GROUP, Trace, birth, put


@pytest.fixture
def trace() -> Trace:
    """Node 1 has lost its disk and was born anew."""
    trace = Trace(lambda shared: Lost(shared.disks))
    trace.everywhere(put(2))
    trace.suite.stopped(1)
    trace.suite.lost(1)
    trace.commit(1, GroupWrite(GROUP, 1, birth=birth(1)))
    trace.suite.started(1, trace.nodes[1])
    trace.write(1, put(2))
    return trace


def objection(what: str):
    return pytest.raises(Violation, match=f"lost: node 1 has lost its disk.* replica 1 {what}")


def test_the_others_go_on_and_so_does_one_that_was_stopped(trace: Trace):
    trace.lead(2, term=2)
    trace.apply(3, put(2))
    trace.restart(2)
    trace.apply(2, put(2))


def test_a_replica_that_was_lost_leads(trace: Trace):
    with objection("leads"):
        trace.lead(1, term=2)


def test_a_replica_that_was_lost_applies(trace: Trace):
    with objection("applies"):
        trace.apply(1, put(2))


def test_a_replica_that_was_lost_installs_a_snapshot(trace: Trace):
    trace.replicas[1].installing = type("Ready", (), {"snapshot": Snapshot(2, 1, CONF)})
    with objection("installs a snapshot"):
        trace.set_applied(1, 2, 1)


def test_its_successor_under_a_new_id_takes_part(trace: Trace):
    trace.replicas[1].replica_id = 4
    trace.apply(1, put(2))
