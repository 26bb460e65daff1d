"""Ongaro's thesis, where it says more than the paper: 3.10, 4.1 to 4.3, 6.2, 6.4, 9.6."""

from contextlib import suppress

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    HardState,
    Message,
    MsgType,
    PeerNotFound,
    ProposalDropped,
    ReadOnly,
    RefusalReason,
    Role,
)
from tests.raft.harness import Group, acknowledge, drain, handle, of_type, replica, replicating, storage_with

ADD_4 = ConfChange((Change(ChangeType.ADD_VOTER, 4),))
REMOVE_3 = ConfChange((Change(ChangeType.REMOVE, 3),))


def pass_time(group: Group, ticks: int) -> None:
    for _ in range(ticks):
        for node in group.nodes.values():
            node.tick()
        group.settle()


# -- 3.10 handing leadership over ------------------------------------------------------------------------


def test_3_10_the_old_leader_takes_no_more_requests():
    raw = replicating(replica())
    raw.transfer_leadership(2)
    with pytest.raises(ProposalDropped):
        raw.propose(b"x")


def test_3_10_the_target_is_brought_up_to_date_before_it_is_told():
    raw = replicating(replica())
    raw.propose(b"x")
    drain(raw)
    raw.transfer_leadership(2)
    assert not of_type(drain(raw), MsgType.TIMEOUT_NOW)
    acknowledge(raw, 2, 2)
    assert [m.to for m in of_type(drain(raw), MsgType.TIMEOUT_NOW)] == [2]


def test_3_10_the_target_campaigns_at_once_and_the_lease_does_not_hinder_it():
    group = Group(check_quorum=True, pre_vote=True)
    group.elect(1).transfer_leadership(2)
    group.settle()
    assert (group.nodes[2].raft.role, group.nodes[2].raft.term) == (Role.LEADER, 2)


def test_3_10_a_transfer_that_takes_an_election_timeout_is_given_up():
    group = Group()
    raw = group.elect(1)
    group.cut_off(2)
    raw.transfer_leadership(2)
    pass_time(group, 10)
    assert raw.propose(b"x") is not None


# -- 4 membership ----------------------------------------------------------------------------------------


def test_4_1_one_server_at_a_time_and_the_next_only_when_the_last_is_through():
    raw = replicating(replica())
    raw.propose_conf_change(ADD_4)
    raw.propose_conf_change(REMOVE_3)
    assert [refusal.reason for refusal in handle(raw).refusals] == [RefusalReason.PENDING]


def test_4_1_a_new_leader_changes_nothing_before_it_has_committed_in_its_term():
    """Two changes of two leaders could otherwise be decided by majorities that do not meet."""
    raw = replicating(replica(storage_with([1, 1], hard_state=HardState(1, 0, 2))))
    fresh = replica(storage_with([1, 1], hard_state=HardState(1, 0, 2)))
    fresh.campaign()
    drain(fresh)
    fresh.step(Message(MsgType.VOTE_RESP, 1, 2, 2))
    for leader, refused in ((raw, []), (fresh, [RefusalReason.PENDING])):
        leader.raft.log.applied_to(2 if leader is fresh else leader.raft.log.applied, 0)
        leader.propose_conf_change(ADD_4)
        before = leader.raft.pending_conf_index
        assert [refusal.reason for refusal in handle(leader).refusals] == ([] if before == 4 else refused)


def test_4_2_1_a_learner_neither_campaigns_nor_counts():
    group = Group((1, 2, 3), conf=ConfState((1, 2), learners=(3,)))
    pass_time(group, 40)
    assert group.nodes[3].raft.role is Role.FOLLOWER
    raw = group.elect(1)
    before = raw.raft.log.committed
    group.cut_off(2)
    raw.propose(b"x")
    group.settle()
    assert raw.raft.log.committed == before


def test_4_2_2_a_leader_that_is_removed_leads_until_the_change_is_committed():
    group = Group(step_down_on_removal=True)
    raw = group.elect(1)
    group.lost = lambda m: m.type is MsgType.APP_RESP and m.to == 1 and m.from_ != 1
    raw.propose_conf_change(ConfChange((Change(ChangeType.REMOVE, 1),)))
    group.settle()
    assert raw.raft.role is Role.LEADER
    group.cut_off()
    raw.tick()
    group.settle()
    assert raw.raft.role is Role.FOLLOWER


def test_4_2_3_a_server_that_was_removed_does_not_disturb_the_others():
    group = Group(check_quorum=True, pre_vote=True)
    raw = group.elect(1)
    group.lost = lambda m: m.to == 3 and m.type is not MsgType.PRE_VOTE_RESP
    raw.propose_conf_change(REMOVE_3)
    group.settle()
    pass_time(group, 60)
    assert (raw.raft.role, raw.raft.term) == (Role.LEADER, 1)


def test_4_3_a_change_of_several_servers_goes_through_a_joint_configuration():
    group = Group((1, 2, 3, 4, 5), conf=ConfState((1, 2, 3)))
    raw = group.elect(1)
    seen = set()
    swap = ConfChange(
        tuple(Change(kind, id_) for kind, id_ in ((ChangeType.ADD_VOTER, 4), (ChangeType.REMOVE, 3)))
    )
    raw.propose_conf_change(swap)
    while raw.has_ready() or any(node.has_ready() for node in group.nodes.values()) or group.queue:
        for id_, node in group.nodes.items():
            if node.has_ready():
                group.handle(id_)
        queue, group.queue = group.queue, []
        for m in queue:
            with suppress(PeerNotFound):  # the answer of a member removed meanwhile
                group.nodes[m.to].step(m)
        seen.add(raw.raft.conf_state())
    assert seen == {
        ConfState((1, 2, 3)),
        ConfState((1, 2, 4), (1, 2, 3), auto_leave=True),
        ConfState((1, 2, 4)),
    }


# -- 6 clients -------------------------------------------------------------------------------------------


def test_6_2_a_leader_cut_off_from_the_majority_steps_down():
    group = Group(check_quorum=True)
    raw = group.elect(1)
    group.cut_off(1)
    for _ in range(20):
        raw.tick()
        group.settle()
    assert (raw.raft.role, raw.raft.lead) == (Role.FOLLOWER, 0)


def test_6_4_one_round_of_heartbeats_confirms_many_reads():
    raw = replicating(replica())
    for n in range(5):
        raw.read_index(b"%d" % n)
    drain(raw)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 1, context=b"4"))
    assert [state.context for state in handle(raw).read_states] == [b"0", b"1", b"2", b"3", b"4"]


def test_6_4_a_heartbeat_before_the_request_confirms_nothing():
    raw = replicating(replica())
    raw.tick()
    raw.read_index(b"read")
    drain(raw)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 1))
    assert not raw.raft.read_states


def test_6_4_1_with_a_lease_no_round_is_needed():
    raw = replicating(replica(check_quorum=True, read_only=ReadOnly.LEASE_BASED))
    raw.read_index(b"read")
    ready = handle(raw)
    assert (len(ready.read_states), ready.messages) == (1, [])


# -- 9.6 pre-vote ----------------------------------------------------------------------------------------


def test_9_6_the_term_rises_only_for_an_election_that_could_be_won():
    raw = replica(pre_vote=True)
    raw.campaign()
    requests = of_type(drain(raw), MsgType.PRE_VOTE)
    assert (raw.raft.term, [m.term for m in requests]) == (0, [1, 1])
    raw.step(Message(MsgType.PRE_VOTE_RESP, 1, 2, 1))
    assert (raw.raft.term, raw.raft.role) == (1, Role.CANDIDATE)


def test_9_6_a_pre_vote_promises_nothing():
    """Whoever grants one may grant another, and has its vote still."""
    raw = replica()
    for candidate in (2, 3):
        raw.step(Message(MsgType.PRE_VOTE, 1, candidate, 1))
        assert [m.reject for m in drain(raw)] == [False]
    assert raw.raft.hard_state() == HardState()


def test_9_6_a_pre_vote_needs_a_log_that_is_up_to_date():
    raw = replica(storage_with([1, 2]))
    raw.step(Message(MsgType.PRE_VOTE, 1, 2, 3, log_term=1, index=9))
    assert [m.reject for m in drain(raw)] == [True]


def test_9_6_a_server_that_comes_back_does_not_depose_the_leader():
    group = Group(pre_vote=True)
    raw = group.elect(1)
    group.cut_off(3)
    pass_time(group, 50)
    group.cut_off()
    raw.tick()
    group.settle()
    assert (raw.raft.role, raw.raft.term, group.nodes[3].raft.lead) == (Role.LEADER, 1, 1)
