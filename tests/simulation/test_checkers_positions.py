"""The checker of what never goes back."""

import random

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.config import Config
from multiraft.raft.node import RawNode
from multiraft.raft.state import ConfState, HardState
from multiraft.raft.storage import MemoryStorage
from tests.simulation.checkers import positions
from tests.simulation.checkers.base import Violation
from tests.simulation.checkers.positions import Positions
from tests.simulation.traces import GROUP, Trace, put


@pytest.fixture
def trace(monkeypatch) -> Trace:
    for check in ("check_membership", "check_step"):  # these nodes have no core
        monkeypatch.setattr(positions.invariants, check, lambda core: None)
    return Trace(lambda shared: Positions(shared.disks))


def broken(text: str):
    return pytest.raises(Violation, match=text)


def test_a_replica_that_only_goes_on_passes(trace: Trace):
    trace.write(1, put(2), put(3), term=1, vote=2, commit=1)
    trace.set_applied(1, 2, 1)
    trace.write(1, term=2, vote=0, commit=2)
    trace.write(1, term=2, vote=3, commit=2)
    trace.restart(1)
    trace.write(1, term=2, vote=3, commit=3)


@pytest.mark.parametrize("state", [HardState(1, 1, 3), HardState(2, 1, 2)])
def test_a_hard_state_that_goes_back(trace: Trace, state: HardState):
    trace.write(1, put(2), put(3), term=2, vote=1, commit=3)
    with broken("the hard state goes back"):
        trace.commit(1, GroupWrite(GROUP, 1, hard_state=state))


def test_a_vote_given_twice_in_a_term(trace: Trace):
    trace.write(1, term=2, vote=1)
    with broken("two votes in term 2: 1 and 3"):
        trace.commit(1, GroupWrite(GROUP, 1, hard_state=HardState(2, 3, 1)))


def test_two_votes_in_one_batch(trace: Trace):
    writes = [GroupWrite(GROUP, 1, hard_state=HardState(2, vote, 1)) for vote in (1, 3)]
    with broken("two votes in term 2: 1 and 3"):
        trace.commit(1, *writes)


@pytest.mark.parametrize("term", [0, 2])
def test_a_restart_with_another_term_than_is_durable(trace: Trace, term: int):
    trace.write(1, term=1, vote=1)
    trace.replicas[1].raft.term = term
    with broken("after a restart: term and vote are"):
        trace.restart(1)


def test_a_restart_without_the_vote(trace: Trace):
    trace.write(1, term=1, vote=1)
    trace.replicas[1].raft.vote = 0
    with broken("after a restart: term and vote are"):
        trace.restart(1)


def test_a_restart_before_the_durable_commit(trace: Trace):
    trace.write(1, put(2), term=1, vote=1, commit=2)
    with broken("after a restart: commit fell from 2 to 1"):
        trace.restart(1)


def test_a_restart_before_what_the_state_store_had(trace: Trace):
    trace.write(1, put(2), put(3))
    trace.nodes[1].durable[GROUP] = 3
    trace.set_applied(1, 3, 1)
    trace.replicas[1].applied = trace.replicas[1].applied._replace(index=2)
    with broken("after a restart: applied fell from 3 to 2"):
        trace.restart(1)


def test_a_restart_without_a_birth(trace: Trace):
    trace.disks.of(1).logs.clear()
    with broken("it runs without a durable birth"):
        trace.restart(1)


def test_a_lost_or_damaged_disk_is_not_held_against_its_node(trace: Trace):
    trace.write(1, term=3, vote=1)
    trace.suite.stopped(1)
    trace.suite.lost(1)
    trace.replicas[1].raft.term = trace.replicas[1].raft.vote = 0
    trace.suite.started(1, trace.nodes[1])
    trace.suite.damaged(2)
    trace.nodes[2].replicas.lost[GROUP] = "bits are flipped"
    trace.turn(2)


@pytest.mark.parametrize("place", ["term", "commit", "applied"])
def test_what_goes_back_between_two_turns(trace: Trace, place: str):
    trace.write(1, put(2), put(3), term=4)
    trace.set_applied(1, 3, 1)
    replica = trace.replicas[1]
    if place == "term":
        replica.raft.term = 3
    elif place == "commit":
        replica.log.committed = 2
    else:
        replica.applied = replica.applied._replace(index=2)
    with broken("goes back from"):
        trace.checker.turned(1, trace.nodes[1], trace.touched(1))


def test_a_state_lost_at_rest_begins_anew_with_what_is_durable(trace: Trace):
    """It may fall back as at a restart: its applied index, but no further than to its durable commit."""
    trace.write(1, put(2), put(3), term=4, commit=2)
    trace.set_applied(1, 3, 1)
    trace.suite.state_lost(1)
    replica = trace.replicas[1]
    replica.applied = replica.applied._replace(index=2)
    replica.log.committed = 2
    trace.turn(1)
    replica.applied = replica.applied._replace(index=1)
    replica.log.committed = 1
    with broken("commit fell from 2 to 1"):
        trace.turn(1)


def test_a_configuration_in_use_that_is_not_the_applied_one(trace: Trace):
    trace.replicas[1].raft.tracker.conf = ConfState((1, 2))
    with broken("is in use"):
        trace.turn(1)


def test_a_replica_set_aside_without_a_cause(trace: Trace):
    trace.nodes[2].replicas.lost[GROUP] = "an invariant is broken"
    with broken("node 2 set aside .*, and its disk is sound"):
        trace.turn(2)


def with_a_core() -> tuple[Trace, RawNode]:
    trace = Trace(lambda shared: Positions(shared.disks))
    storage = MemoryStorage(ConfState((1,)))
    raw = RawNode(Config(id=1, storage=storage, random=random.Random(1), election_tick=10, heartbeat_tick=1))
    trace.replicas[1].raw = raw
    return trace, raw


def test_a_core_whose_own_invariants_are_broken():
    trace, raw = with_a_core()
    raw.raft.log.committed = 7
    with broken("node 1, group 2: applied .* <= committed 7 <= last 0"):
        trace.turn(1)


def test_a_core_that_has_lost_a_member_in_a_new_term():
    trace, raw = with_a_core()
    raw.raft.tracker.progress.clear()
    raw.raft.term = 1
    with broken("node 1, group 2: progress of exactly the members"):
        trace.turn(1)
