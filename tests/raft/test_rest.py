"""When a group has nothing to do, as its leader and its followers see it; and how they go on."""

import pytest

from multiraft.raft import Entry, HardState, Message, MsgType, RawNode, Role
from multiraft.raft.confchange import Change, ChangeType, ConfChange, Transition
from multiraft.raft.election import postpone
from multiraft.raft.rest import idle_members, may_rest, wake, wake_orphan
from tests.raft.harness import Group, acknowledge, drain, lead, of_type, replica, storage_with

ELECTION_TICK = 10


def idle_leader() -> RawNode:
    """Of term 1, with one entry that all three have; its config checks the quorum."""
    raw = lead(replica(check_quorum=True))
    acknowledge(raw, raw.raft.log.last_index(), 2, 3)
    drain(raw)
    return raw


def follower() -> RawNode:
    """Of leader 2 in term 1, with two entries, both committed and applied."""
    raw = replica(storage_with((1, 1), hard_state=HardState(1, 0, 2)), check_quorum=True)
    drain(raw)
    raw.step(Message(MsgType.HEARTBEAT, to=1, from_=2, term=1, commit=2))
    drain(raw)
    return raw


def test_a_leader_whose_members_have_everything_may_rest_with_them():
    assert idle_members(idle_leader().raft) == [2, 3]


def test_a_member_not_heard_of_is_left_out():
    raw = idle_leader()
    raw.raft.tracker.progress[3].recent_active = False
    assert idle_members(raw.raft) == [2]


def test_a_member_that_lacks_something_keeps_the_leader_busy():
    raw = lead(replica())
    acknowledge(raw, raw.raft.log.last_index(), 2)
    drain(raw)
    raw.raft.tracker.progress[3].recent_active = True
    assert idle_members(raw.raft) is None


@pytest.mark.parametrize("busy", ["proposal", "read", "transfer", "joint", "unapplied", "follower"])
def test_a_leader_with_something_to_do_may_not(busy: str):
    raw = idle_leader()
    if busy == "proposal":
        raw.propose(b"x")
    elif busy == "read":
        raw.read_index(b"context")
    elif busy == "transfer":
        raw.transfer_leadership(2)
    elif busy == "joint":
        raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_VOTER, 4),), Transition.JOINT_EXPLICIT))
    elif busy == "unapplied":
        raw.propose(b"x")
        ready = raw.ready()
        raw.raft.log.committed = ready.entries[-1].index
    else:
        raw.step(Message(MsgType.HEARTBEAT, to=1, from_=2, term=9))
    assert idle_members(raw.raft) is None


def test_a_new_leader_may_not_before_it_has_committed_in_its_term():
    raw = replica(storage_with((1, 1), hard_state=HardState(1, 0, 2)))
    drain(raw)
    lead(raw)
    raw.raft.log.committed = raw.raft.log.applied  # nothing but what earlier leaders have committed
    assert idle_members(raw.raft) is None


def test_a_follower_with_all_that_its_leader_has_may_rest():
    assert may_rest(follower().raft, 2, 1, 2)


@pytest.mark.parametrize(("leader", "term", "commit"), [(3, 1, 2), (2, 2, 2), (2, 1, 1), (2, 1, 3)])
def test_a_follower_of_another_leader_term_or_log_may_not(leader: int, term: int, commit: int):
    assert not may_rest(follower().raft, leader, term, commit)


def test_a_follower_with_entries_that_are_not_durable_may_not():
    raw = follower()
    entry = Entry(1, 3, data=b"x")
    raw.step(Message(MsgType.APP, to=1, from_=2, term=1, log_term=1, index=2, entries=[entry], commit=2))
    assert not may_rest(raw.raft, 2, 1, 2)
    assert not may_rest(raw.raft, 2, 1, 3)


def test_a_leader_that_wakes_beats_at_once_and_has_a_whole_interval_to_find_its_quorum():
    raw = idle_leader()
    for _ in range(ELECTION_TICK - 1):
        raw.tick()
        drain(raw)
    wake(raw.raft)
    assert raw.raft.tracker.quorum_active() is False, "nobody has been heard of while it rested"
    raw.tick()
    assert len(of_type(drain(raw), MsgType.HEARTBEAT)) == 2
    for _ in range(ELECTION_TICK - 2):
        raw.tick()
    assert raw.raft.role is Role.LEADER
    raw.tick()
    assert raw.raft.role is Role.FOLLOWER


def test_a_follower_that_wakes_has_a_whole_timeout_until_it_campaigns():
    raw = follower()
    raw.pass_ticks(3)
    wake(raw.raft)
    assert (raw.raft.election_elapsed, raw.raft.lead) == (0, 2)


def test_an_orphan_votes_for_others_and_waits_for_the_random_part_of_its_timeout_only():
    raw = follower()
    wake_orphan(raw.raft)
    assert raw.raft.lead == 0
    assert raw.quiet_ticks() == raw.raft.randomized_election_timeout - ELECTION_TICK - 1
    raw.step(Message(MsgType.PRE_VOTE, to=1, from_=3, term=2, log_term=1, index=2))
    (answer,) = of_type(drain(raw), MsgType.PRE_VOTE_RESP)
    assert not answer.reject


def test_a_leader_is_no_orphan():
    raw = idle_leader()
    wake_orphan(raw.raft)
    assert raw.raft.lead == raw.raft.id


def test_a_group_that_rested_elects_another_leader_and_loses_nothing():
    group = Group(check_quorum=True, pre_vote=True)
    group.elect(1).propose(b"kept")
    group.settle()
    group.cut_off(1)
    for id_ in (2, 3):
        wake_orphan(group.nodes[id_].raft)
    for _ in range(2 * ELECTION_TICK):
        for id_ in (2, 3):
            group.nodes[id_].tick()
        group.settle()
    leader = next(one for one in group.nodes.values() if one.raft.id != 1 and one.raft.role is Role.LEADER)
    assert leader.raft.log.committed >= 2


def test_an_overdue_election_can_be_postponed_by_one_tick():
    raw = follower()
    wake_orphan(raw.raft)
    raw.raft.election_elapsed = raw.raft.randomized_election_timeout
    assert raw.quiet_ticks() == 0
    postpone(raw.raft, 1)
    assert raw.quiet_ticks() == 1
    assert raw.raft.lead == 0, "nobody is believed in for longer"
