"""Behaviour 2: removing a member lowers the quorum, and the leader notices when the change is applied."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    EntryType,
    Message,
    MsgType,
    ProposalDropped,
    RawNode,
    ReadState,
    Role,
    Transition,
)
from tests.raft.harness import acknowledge, drain, handle, of_type, replica, replicating, storage_with


def leader_of(*voters: int, **settings: object) -> RawNode:
    return replicating(replica(storage_with(conf=ConfState(voters)), **settings))


def singleton(**settings: object) -> RawNode:
    raw = replica(storage_with(conf=ConfState((1,))), **settings)
    raw.campaign()
    drain(raw)
    return raw


def remove(*members: int, transition: Transition = Transition.AUTO) -> ConfChange:
    return ConfChange(tuple(Change(ChangeType.REMOVE, member) for member in members), transition)


def test_pending_entries_commit_when_a_removal_lowers_the_quorum():
    """The case that the behaviour is named for: two voters, one is removed and acknowledges no more."""
    raw = leader_of(1, 2)
    change = raw.propose_conf_change(remove(2))
    hello = raw.propose(b"hello")
    drain(raw)
    acknowledge(raw, change.index, 2)
    assert [entry.type for entry in handle(raw).committed_entries] == [EntryType.CONF_CHANGE_V2]
    assert raw.raft.log.committed == change.index
    raw.apply_conf_change(remove(2))
    assert raw.raft.log.committed == hello.index
    assert [entry.data for entry in handle(raw).committed_entries] == [b"hello"]


def test_commit_index_is_told_to_everyone_who_stays():
    raw = leader_of(1, 2, 3)
    entry = raw.propose(b"x")
    drain(raw)
    raw.apply_conf_change(remove(3))
    acknowledge(raw, entry.index, 2)
    assert raw.raft.log.committed == entry.index
    assert {m.to for m in drain(raw)} == {2}


def test_three_to_two_voters_still_needs_both():
    raw = leader_of(1, 2, 3)
    entry = raw.propose(b"x")
    drain(raw)
    raw.apply_conf_change(remove(3))
    assert raw.raft.log.committed < entry.index
    acknowledge(raw, entry.index, 2)
    assert raw.raft.log.committed == entry.index


def test_last_voter_commits_only_what_is_durable_here():
    raw = leader_of(1, 2)
    durable = raw.propose(b"durable")
    drain(raw)
    raw.propose(b"not yet")
    raw.apply_conf_change(remove(2))
    assert raw.raft.log.committed == durable.index
    drain(raw)
    assert raw.raft.log.committed == durable.index + 1


def test_without_voters_nothing_is_computed():
    """Past versions of the reference crashed here; the change itself is refused, the leader works on."""
    raw = singleton()
    raw.raft.tracker.conf = ConfState()
    assert raw.raft.tracker.committed() == 2**64 - 1
    raw.raft.tracker.conf = ConfState((1,))
    before = raw.raft.log.committed
    raw.propose(b"x")
    drain(raw)
    assert raw.raft.log.committed == before + 1


def test_removed_leader_no_longer_counts_itself():
    raw = leader_of(1, 2, 3)
    entry = raw.propose(b"bar")
    drain(raw)
    raw.apply_conf_change(remove(1))
    acknowledge(raw, entry.index, 2)
    assert raw.raft.log.committed < entry.index
    acknowledge(raw, entry.index, 3)
    assert raw.raft.log.committed == entry.index
    with pytest.raises(ProposalDropped):
        raw.propose(b"baz")


def test_joint_configuration_keeps_the_old_half_binding():
    raw = leader_of(1, 2, 3)
    entry = raw.propose(b"x")
    drain(raw)
    raw.apply_conf_change(remove(2, 3, transition=Transition.JOINT_EXPLICIT))
    assert raw.raft.log.committed < entry.index, "the old majority has not acknowledged"
    raw.apply_conf_change(ConfChange())
    assert raw.raft.log.committed == entry.index


def test_read_that_waits_is_answered_when_the_quorum_shrinks_to_one():
    """In a group of one no heartbeat is answered any more: the removal itself has to release the read."""
    raw = leader_of(1, 2)
    raw.read_index(b"read")
    assert handle(raw).read_states == []
    raw.apply_conf_change(remove(2))
    assert handle(raw).read_states == [ReadState(raw.raft.log.committed, b"read")]


def test_read_that_waits_is_answered_when_those_who_answered_become_a_quorum():
    raw = leader_of(1, 2, 3, 4, 5)
    raw.read_index(b"read")
    beats = of_type(drain(raw), MsgType.HEARTBEAT, to=2)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term, context=beats[0].context))
    assert not raw.has_ready()
    raw.apply_conf_change(remove(4, 5, transition=Transition.JOINT_EXPLICIT))
    assert not raw.raft.read_states
    raw.apply_conf_change(ConfChange())
    assert handle(raw).read_states == [ReadState(raw.raft.log.committed, b"read")]


def test_read_postponed_to_the_first_commit_is_answered_when_the_removal_commits():
    raw = replica(storage_with(conf=ConfState((1, 2))))
    raw.campaign()
    drain(raw)
    raw.step(Message(MsgType.VOTE_RESP, 1, 2, 1))
    drain(raw)
    raw.read_index(b"read")
    raw.apply_conf_change(remove(2))
    assert handle(raw).read_states == [ReadState(1, b"read")]


def test_read_is_answered_where_one_voter_is_both_halves_of_a_joint_configuration():
    """Nobody else has a vote that could confirm it, and perhaps nobody else is there to answer a beat."""
    raw = singleton()
    raw.apply_conf_change(ConfChange((Change(ChangeType.UPDATE, 1),), Transition.JOINT_EXPLICIT))
    assert raw.raft.tracker.conf == ConfState((1,), (1,))
    raw.read_index(b"read")
    assert handle(raw).read_states == [ReadState(raw.raft.log.committed, b"read")]


def test_transfer_to_a_removed_member_is_given_up():
    raw = leader_of(1, 2, 3)
    raw.transfer_leadership(3)
    assert raw.raft.lead_transferee == 3
    raw.apply_conf_change(remove(3))
    assert raw.raft.lead_transferee == 0
    assert raw.propose(b"x") is not None


@pytest.mark.parametrize("step_down", [False, True])
def test_leader_that_is_removed_steps_down_only_if_asked(step_down: bool):
    raw = leader_of(1, 2, 3, step_down_on_removal=step_down)
    raw.apply_conf_change(remove(1))
    assert raw.raft.role is (Role.FOLLOWER if step_down else Role.LEADER)


def test_newcomer_counts_as_active_and_is_probed_at_once():
    raw = singleton(check_quorum=True)
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_VOTER, 2),)))
    progress = raw.raft.tracker.progress[2]
    assert (progress.match, progress.next, progress.recent_active) == (0, raw.raft.log.last_index(), True)
    assert of_type(drain(raw), MsgType.APP, to=2)
    for _ in range(10):
        raw.tick()
    assert raw.raft.role is Role.LEADER, "it must not be deposed before the newcomer could answer"
