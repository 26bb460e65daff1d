"""The checker of queues and of what is kept."""

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.pending import BYTES_PER_TURN
from multiraft.engine.statemachine.commands import MAX_COMMAND
from tests.simulation.checkers.base import Violation
from tests.simulation.checkers.bounds import GRACE_S, SAMPLE_S, Bounds
from tests.simulation.traces import NODES, Trace

SMALL = EngineConfig(batches_in_flight=2, parked_bytes=1000, uncommitted_bytes=10 << 20)


@pytest.fixture
def trace() -> Trace:
    made = Trace(lambda shared: Bounds())
    for node in NODES:
        made.nodes[node].config = SMALL
    return made


def broken(text: str):
    return pytest.raises(Violation, match=f"bounds: .*{text}")


def test_what_lies_within_its_bounds_passes(trace: Trace):
    node = trace.nodes[1]
    node.batches_in_flight, node.parking.bytes = 2, 1000
    trace.replicas[1].raft.uncommitted_size = 10 << 20
    trace.turn(1)
    trace.replicas[1].raft.uncommitted_size = 0
    trace.suite.healed(1.0)
    trace.finish()


def test_too_many_batches_in_flight(trace: Trace):
    trace.nodes[1].batches_in_flight = 3
    with broken("node 1 has 3 batches in flight"):
        trace.turn(1)


def test_too_much_parked(trace: Trace):
    trace.nodes[1].parking.bytes = 1001
    with broken("node 1 has parked 1001 bytes"):
        trace.turn(1)


def test_too_much_uncommitted(trace: Trace):
    trace.replicas[1].raft.uncommitted_size = (10 << 20) + 1
    with broken("group 2: 10485761 bytes are uncommitted"):
        trace.turn(1)


def test_one_turns_proposals_may_exceed_a_small_limit(trace: Trace):
    trace.nodes[1].config = EngineConfig(uncommitted_bytes=1)
    trace.replicas[1].raft.uncommitted_size = BYTES_PER_TURN + MAX_COMMAND
    trace.turn(1)
    trace.replicas[1].raft.uncommitted_size += 1
    with broken("are uncommitted"):
        trace.turn(1)


@pytest.mark.parametrize("name", ["proposals", "uncommitted bytes", "unstable entries"])
def test_what_cannot_be_there_once_everything_is_applied(trace: Trace, name: str):
    """Bug 18: bytes that are counted as uncommitted for ever, until every proposal is refused."""
    trace.suite.healed(1.0)
    trace.nodes[2].kept = {name: 5}
    with broken(f"node 2 keeps 5 {name}"):
        trace.finish()
    trace.excused.add(2)
    trace.finish()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("batches in flight", GRACE_S), ("parked bytes", GRACE_S + 5), ("snapshots sent", GRACE_S + 30)],
)
def test_what_goes_by_itself_has_its_time(trace: Trace, name: str, seconds: float):
    trace.suite.healed(100.0)
    trace.nodes[1].kept = {name: 1}
    trace.suite.passed(99.9 + seconds)
    trace.finish()
    trace.suite.passed(100.0 + seconds)
    with broken(f"node 1 keeps 1 {name}, and has for"):
        trace.finish()


def test_what_was_gone_in_between_begins_anew(trace: Trace):
    trace.suite.healed(0.0)
    node = trace.nodes[1]
    for now in (5.0, 5.0 + SAMPLE_S / 2, 20.0):
        trace.suite.passed(now)
        node.kept = {"reads": 0}
        trace.turn(1)
    node.kept = {"reads": 3}
    trace.suite.passed(20.0 + GRACE_S - 1)
    trace.finish()
    trace.suite.passed(20.0 + GRACE_S)
    with broken("node 1 keeps 3 reads"):
        trace.finish()


def test_requests_within_the_limit_pass(trace: Trace):
    trace.suite.queued(1, 0, 0, 500)
    trace.suite.queued(1, 0, 3, 500)
    trace.suite.queued(1, 500, 1, 500)


@pytest.mark.parametrize(("size", "waiting"), [(-1, 1), (500 + MAX_COMMAND + 1, 1), (7, 0)])
def test_requests_that_are_counted_wrongly_or_without_bound(trace: Trace, size: int, waiting: int):
    with broken("node 1 counts"):
        trace.suite.queued(1, size, waiting, 500)
