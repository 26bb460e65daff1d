"""The checker of Raft's safety: each property, broken by hand."""

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.entry import Entry
from multiraft.raft.messages import MsgType
from multiraft.raft.state import ConfState, HardState, Snapshot
from tests.simulation.checkers.base import Violation
from tests.simulation.checkers.raft_safety import RaftSafety
from tests.simulation.traces import CONF, GROUP, Trace, put


@pytest.fixture
def trace() -> Trace:
    return Trace(lambda shared: RaftSafety(shared.disks, shared.chosen))


def broken(text: str):
    return pytest.raises(Violation, match=text)


def test_a_cluster_that_elects_commits_and_changes_its_leader_passes(trace: Trace):
    trace.write(1, term=1, vote=1)
    trace.write(2, term=1, vote=1)
    trace.lead(1, term=1)
    trace.everywhere(put(2), put(3), vote=1)
    for node in (1, 2, 3):
        trace.apply(node, put(2), put(3))
    trace.write(3, Entry(1, 4), vote=1)  # on one disk only: it may go
    trace.follow(1, term=2)
    trace.write(2, Entry(2, 4), term=2, vote=2)
    trace.lead(2, term=2)
    trace.write(3, Entry(2, 4), term=2, vote=2)
    trace.apply(2, Entry(2, 4))
    trace.write(3, term=2, vote=2, commit=4, truncate=(3, 1))
    trace.restart(3)
    trace.write(1, term=2, snapshot_point=(4, 2, CONF))
    trace.replicas[1].installing = SnapshotOf(4, 2)
    trace.set_applied(1, 4, 2)
    trace.say(2, MsgType.APP, 1, term=2)


class SnapshotOf:
    """What a replica shows while it puts a snapshot in place."""

    def __init__(self, index: int, term: int) -> None:
        self.snapshot = Snapshot(index, term, CONF)


def test_two_leaders_in_one_term(trace: Trace):
    trace.lead(1, term=3)
    with broken("replicas 1 and 2 both lead term 3"):
        trace.lead(2, term=3)


@pytest.mark.parametrize("kind", [MsgType.APP, MsgType.HEARTBEAT, MsgType.SNAP])
def test_who_speaks_as_leader_is_one(trace: Trace, kind: MsgType):
    trace.lead(1, term=3)
    trace.say(1, kind, 3, term=3)
    with broken("replicas 1 and 2 both lead term 3"):
        trace.say(2, kind, 3, term=3)


def test_two_votes_in_one_term_as_said(trace: Trace):
    trace.say(3, MsgType.VOTE_RESP, 1, term=2)
    trace.say(3, MsgType.VOTE_RESP, 1, term=2)
    trace.say(3, MsgType.VOTE_RESP, 2, term=2, reject=True)
    with broken("replica 3 votes for 1 and for 2 in term 2"):
        trace.say(3, MsgType.VOTE_RESP, 2, term=2)


def test_who_asks_for_votes_has_voted_for_itself(trace: Trace):
    trace.say(3, MsgType.VOTE, 1, term=2)
    with broken("replica 3 votes for 3 and for 1 in term 2"):
        trace.say(3, MsgType.VOTE_RESP, 1, term=2)


def test_a_vote_that_a_lost_disk_has_forgotten(trace: Trace):
    trace.write(3, term=2, vote=1)
    trace.suite.stopped(3)
    trace.suite.lost(3)
    with broken("replica 3 votes for 1 and for 2 in term 2"):
        trace.say(3, MsgType.VOTE_RESP, 2, term=2)


def test_one_index_and_term_with_two_contents(trace: Trace):
    trace.write(1, put(2))
    with broken("index 2 of term 1 is .*, and was "):
        trace.write(2, put(2, value=b"another"))


def test_one_index_and_term_behind_different_terms(trace: Trace):
    trace.write(1, Entry(1, 2), Entry(3, 3), term=3)
    with broken("behind term 2, and was .* behind term 1"):
        trace.write(2, Entry(2, 2), Entry(3, 3), term=3)


def test_a_hole_in_a_log(trace: Trace):
    trace.write(1, put(2))
    with broken("entries from 4 do not follow a log of 1..2"):
        trace.write(1, put(4))


def test_a_hole_behind_a_snapshot(trace: Trace):
    trace.everywhere(*map(put, range(2, 6)))
    trace.apply(1, *map(put, range(2, 6)))
    with broken("entries from 7 do not follow a log of 5..5"):
        trace.write(3, put(7), snapshot_point=(5, 1, CONF))


def test_a_hole_within_what_is_written(trace: Trace):
    with broken("at 3, behind term 1"):
        trace.write(1, put(2), put(4))


def test_terms_that_fall_along_a_log(trace: Trace):
    with broken("at 3, behind term 2"):
        trace.write(1, Entry(2, 2), Entry(1, 3), term=2)


def test_committed_entries_replaced(trace: Trace):
    trace.write(1, put(2), put(3), commit=3)
    with broken("entries from 3 replace committed ones up to 3"):
        trace.write(1, Entry(2, 3), term=2, commit=3)


def test_a_snapshot_in_the_place_of_more_than_it_holds(trace: Trace):
    trace.everywhere(put(2), put(3), commit=3)
    trace.apply(1, put(2), put(3))
    with broken("a snapshot of 2 replaces 3 committed entries"):
        trace.write(2, commit=3, snapshot_point=(2, 1, CONF))


def test_a_snapshot_of_what_was_never_committed(trace: Trace):
    with broken("state of index 5, term 1; committed is 1"):
        trace.write(2, commit=5, snapshot_point=(5, 1, CONF))


def test_several_writes_of_one_batch_follow_each_other(trace: Trace):
    first = GroupWrite(GROUP, 1, hard_state=HardState(1, 0, 1), entries=[put(2), put(3)])
    trace.commit(1, first, GroupWrite(GROUP, 1, entries=[put(4)]))
    with broken("entries from 7 do not follow a log of 1..5"):
        trace.commit(1, GroupWrite(GROUP, 1, entries=[put(5)]), GroupWrite(GROUP, 1, entries=[put(7)]))


def test_a_leader_whose_log_shrinks(trace: Trace):
    trace.everywhere(put(2), put(3))
    trace.lead(1, term=1)
    trace.replicas[1].log.entries.pop()
    with broken("leader of term 1: its log lost the entry 3 of term 1"):
        trace.turn(1)


def test_a_leader_that_commits_an_entry_of_an_earlier_term(trace: Trace):
    """Figure 8 of the Raft paper: a later leader may still replace it."""
    trace.everywhere(put(2), term=2)
    trace.lead(1, term=2)
    trace.replicas[1].log.committed = 2
    with broken("leader of term 2: it commits 2, an entry of term 1"):
        trace.turn(1)


def test_a_leader_without_what_was_committed(trace: Trace):
    for node in (1, 2):
        trace.write(node, put(2))
    trace.apply(1, put(2))
    with broken("replica 3 leads term 2 without"):
        trace.lead(3, term=2)


def test_a_leader_of_an_old_term_owes_nothing_to_later_ones(trace: Trace):
    for node in (1, 2):
        trace.write(node, put(2, term=5), term=5)
    trace.apply(1, put(2, term=5))
    trace.lead(3, term=4)


def test_a_leader_elected_before_the_commit_was_seen(trace: Trace):
    for node in (1, 2):
        trace.write(node, put(2))
    trace.lead(3, term=2)
    with broken("replica 3 leads term 2 without"):
        trace.apply(1, put(2))


def test_two_entries_applied_at_one_index(trace: Trace):
    for node in (1, 2):
        trace.write(node, put(2))
    trace.apply(1, put(2))
    trace.write(3, Entry(2, 2), term=2)
    with broken("node 3 applies .*, applied was "):
        trace.apply(3, Entry(2, 2))


def test_an_entry_applied_that_no_quorum_holds(trace: Trace):
    trace.write(1, put(2))
    with broken(r"is applied, durable on replicas \[1\] of \(1, 2, 3\)"):
        trace.apply(1, put(2))


def test_both_halves_of_a_joint_configuration_must_hold_what_is_applied(trace: Trace):
    for node in (1, 2):
        trace.write(node, put(2))
    trace.replicas[1].raft.tracker.conf = ConfState((1, 2), voters_outgoing=(1, 2, 3))
    trace.apply(1, put(2))
    for node in (1, 2):
        trace.write(node, put(3))
    trace.replicas[1].raft.tracker.conf = ConfState((1, 2), voters_outgoing=(3,))
    with broken(r"durable on replicas \[\] of \(3,\)"):
        trace.apply(1, put(3))


def test_a_lost_disk_may_have_held_what_is_applied(trace: Trace):
    trace.write(1, put(2))
    trace.suite.lost(2)
    trace.apply(1, put(2))


def test_a_state_beyond_what_was_committed(trace: Trace):
    trace.replicas[1].applied = trace.replicas[1].applied._replace(index=4)
    with broken("state of index 4, term 1; committed is 1"):
        trace.restart(1)


def test_a_state_of_another_term_than_was_committed(trace: Trace):
    trace.everywhere(put(2))
    trace.apply(1, put(2))
    trace.replicas[2].installing = SnapshotOf(2, 3)
    with broken("state of index 2, term 3; committed is 2, there of term 1"):
        trace.set_applied(2, 2, 3)
