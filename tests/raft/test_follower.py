"""What followers do with snapshots they do not need, with proposals, and with what is not meant for them."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    MsgType,
    Role,
    Snapshot,
)
from multiraft.raft.follower import restore_snapshot
from multiraft.raft.role import become_leader
from tests.raft.harness import drain, handle, lead, replica, storage_with

MEMBERS = ConfState((1, 2, 3))


def test_snapshot_of_what_the_log_holds_is_answered_by_its_index():
    raw = replica(storage_with([1, 1, 1, 1]))
    raw.step(Message(MsgType.SNAP, 1, 2, 1, snapshot=Snapshot(3, 1, MEMBERS)))
    ready = handle(raw)
    [answer] = ready.messages_after_append
    assert (answer.index, raw.raft.log.committed, raw.raft.log.last_index()) == (3, 3, 4)
    assert ready.snapshot is None


def test_snapshot_that_the_log_contradicts_replaces_it():
    raw = replica(storage_with([1, 1, 1, 1]))
    raw.step(Message(MsgType.SNAP, 1, 2, 2, snapshot=Snapshot(3, 2, MEMBERS)))
    ready = raw.ready()
    assert (raw.raft.log.committed, raw.raft.log.last_index()) == (3, 3)
    assert ready.messages_after_append[0].index == 3
    assert ready.snapshot == Snapshot(3, 2, MEMBERS)


def test_whoever_does_not_follow_steps_aside_for_a_snapshot():
    """No handler leads there; called all the same, nothing is replaced that may have been promised."""
    raw = lead(replica())
    term, last = raw.raft.term, raw.raft.log.last_index()
    assert not restore_snapshot(raw.raft, Snapshot(9, term, MEMBERS))
    assert (raw.raft.role, raw.raft.term, raw.raft.lead) == (Role.FOLLOWER, term + 1, 0)
    assert (raw.raft.log.last_index(), raw.raft.log.unstable.snapshot) == (last, None)


@pytest.mark.parametrize("v1", [False, True])
def test_change_that_is_passed_on_has_no_place_in_the_log_yet(v1: bool):
    raw = replica()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    drain(raw)
    raw.propose_conf_change(ConfChange((Change(ChangeType.ADD_LEARNER, 4),)), v1=v1)
    [passed_on] = drain(raw)
    assert (passed_on.type, passed_on.to, passed_on.term) == (MsgType.PROP, 2, 0)
    [entry] = passed_on.entries
    assert (entry.term, entry.index) == (0, 0)


@pytest.mark.parametrize("pre_vote", [False, True])
def test_whoever_does_not_lead_sends_nothing_to_a_new_member(pre_vote: bool):
    raw = replica(pre_vote=pre_vote)
    raw.campaign()
    drain(raw)
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_LEARNER, 4),)))
    assert raw.raft.role is not Role.LEADER
    assert drain(raw) == []


def test_whoever_does_not_lead_leaves_no_joint_configuration():
    """Applying goes on during a pre-election, and may reach what a leader would take as its sign."""
    joint = ConfState((1, 2), voters_outgoing=(1,), auto_leave=True)
    storage = storage_with([1, 1], conf=joint, hard_state=HardState(1, 0, 2))
    raw = replica(storage, pre_vote=True)
    raw.campaign()
    handle(raw)
    assert (raw.raft.role, raw.raft.log.applied) == (Role.PRE_CANDIDATE, 2)
    assert raw.raft.log.last_index() == 2


def test_nobody_leads_without_an_election():
    raw = replica()
    with pytest.raises(AssertionError, match="without election"):
        become_leader(raw.raft)


def test_append_that_begins_before_the_commit_index_is_answered_by_that():
    """Whatever it holds there: it is late, and nothing of it is needed."""
    raw = replica(storage_with([1, 1, 1], hard_state=HardState(2, 0, 2)))
    raw.step(Message(MsgType.APP, 1, 2, 2, index=3, log_term=1, commit=2))
    raw.step(Message(MsgType.APP, 1, 2, 2, index=1, log_term=1, commit=2, entries=[Entry(2, 2)]))
    assert [m.index for m in drain(raw)] == [3, 2]
    assert raw.raft.log.term(2) == 1


def test_log_goes_on_behind_a_snapshot_that_is_still_being_written():
    """From the very first index on; the commit index may pass the snapshot before that is installed."""
    raw = replica(storage_with(), async_storage_writes=True)
    raw.step(Message(MsgType.SNAP, 1, 2, 1, snapshot=Snapshot(1, 1, MEMBERS)))
    raw.step(Message(MsgType.APP, 1, 2, 1, index=1, log_term=1, commit=2, entries=[Entry(1, 2)]))
    assert (raw.raft.log.committed, raw.raft.log.last_index()) == (2, 2)
    ready = raw.ready()
    assert (ready.snapshot, ready.entries) == (Snapshot(1, 1, MEMBERS), [Entry(1, 2)])
    assert ready.committed_entries == []
