"""Behaviour 1: a follower sets its leader from a snapshot message too."""

import pytest

from multiraft.raft import ConfState, HardState, Message, MsgType, ProposalDropped, RawNode, Role, Snapshot
from multiraft.raft.election import ElectionRefusal
from multiraft.raft.errors import DropReason
from tests.raft.harness import drain, of_type, replica, storage_of, storage_with

MEMBERS = ConfState((1, 2, 3))


def snapshot_from(leader: int, *, to: int = 2, term: int = 2, index: int = 11) -> Message:
    return Message(MsgType.SNAP, to, leader, term, snapshot=Snapshot(index, 1, MEMBERS, b"state"))


def follower(**settings: object) -> RawNode:
    return replica(storage_with([1, 1], hard_state=HardState(2, 0, 2)), id_=2, **settings)


def test_follower_sets_its_leader_from_a_snapshot_message():
    raw = follower()
    with pytest.raises(ProposalDropped) as dropped:
        raw.propose(b"too early")
    assert dropped.value.reason is DropReason.NO_LEADER
    raw.raft.election_elapsed = 5
    raw.step(snapshot_from(1))
    assert raw.raft.lead == 1
    assert raw.raft.election_elapsed == 0
    assert raw.propose(b"forwarded") is None
    assert of_type(drain(raw), MsgType.PROP, to=1)


def test_leader_is_set_even_if_the_snapshot_is_of_no_use():
    raw = follower()
    raw.step(snapshot_from(1, index=2))
    assert raw.raft.lead == 1
    [answer] = drain(raw)
    assert (answer.type, answer.index, answer.reject) == (MsgType.APP_RESP, 2, False)
    assert raw.raft.log.last_index() == 2


def test_a_snapshot_of_what_is_committed_and_not_applied_yet_is_of_no_use():
    raw = follower()
    assert (raw.raft.log.applied, raw.raft.log.committed) == (0, 2)
    raw.step(Message(MsgType.SNAP, 2, 1, 2, snapshot=Snapshot(1, 2, MEMBERS, b"of another history")))
    assert raw.raft.log.unstable.snapshot is None
    assert [m.index for m in drain(raw)] == [2]


def test_leader_is_set_even_if_the_snapshot_is_for_others():
    raw = follower()
    raw.step(Message(MsgType.SNAP, 2, 1, 2, snapshot=Snapshot(11, 1, ConfState((1, 3)), b"")))
    assert (raw.raft.lead, raw.raft.log.last_index()) == (1, 2)


def test_snapshot_that_the_log_holds_already_only_moves_the_commit_index():
    raw = replica(storage_with([1, 1, 1], hard_state=HardState(2, 0, 1)), id_=2)
    raw.step(snapshot_from(1, index=3))
    assert raw.raft.log.committed == 3
    assert raw.raft.log.unstable.snapshot is None
    assert [m.index for m in drain(raw)] == [3]


def test_snapshot_of_a_later_term_is_followed_into_that_term():
    raw = replica(storage_with([1, 1], hard_state=HardState(2, 3, 2)), id_=2)
    raw.step(snapshot_from(1, term=3))
    assert (raw.raft.term, raw.raft.role, raw.raft.lead, raw.raft.vote) == (3, Role.FOLLOWER, 1, 0)


@pytest.mark.parametrize("pre_vote", [False, True])
def test_candidate_follows_the_sender_of_a_snapshot(pre_vote: bool):
    raw = follower(pre_vote=pre_vote)
    raw.campaign()
    assert raw.raft.role is (Role.PRE_CANDIDATE if pre_vote else Role.CANDIDATE)
    raw.step(snapshot_from(1, term=raw.raft.term))
    assert (raw.raft.role, raw.raft.lead) == (Role.FOLLOWER, 1)


def test_snapshot_of_an_earlier_term_is_ignored_silently():
    raw = follower(check_quorum=True)
    raw.step(snapshot_from(1, term=1))
    assert raw.raft.lead == 0
    assert drain(raw) == []


def test_snapshot_renews_the_lease():
    raw = follower(check_quorum=True)
    raw.step(snapshot_from(1))
    raw.step(Message(MsgType.VOTE, 2, 3, 9, log_term=8, index=90))
    assert raw.raft.term == 2


def test_answer_waits_until_the_snapshot_is_durable():
    raw = follower(async_storage_writes=True)
    raw.step(snapshot_from(1))
    ready = raw.ready()
    assert ready.snapshot is not None
    assert ready.messages == []
    first, attestation = ready.messages_after_append
    assert (first.type, first.to, first.index) == (MsgType.APP_RESP, 1, 11)
    assert (attestation.type, attestation.to) == (MsgType.STORAGE_APPEND_RESP, 2)
    # A crash here: what starts again knows neither the snapshot nor the answer.
    again = replica(storage_of(raw), id_=2)
    assert drain(again) == []
    assert again.raft.log.last_index() == 2


@pytest.mark.parametrize("pre_vote", [False, True])
def test_no_campaign_while_a_snapshot_is_pending(pre_vote: bool):
    raw = follower(async_storage_writes=True, pre_vote=pre_vote)
    raw.step(snapshot_from(1))
    raw.ready()
    assert raw.force_election() is ElectionRefusal.SNAPSHOT_PENDING
    for _ in range(40):
        raw.tick()
    assert (raw.raft.role, raw.raft.term) == (Role.FOLLOWER, 2)
    assert raw.raft.election_elapsed == 40, "it campaigns as soon as it may"


def test_no_entries_are_handed_out_while_a_snapshot_is_pending():
    raw = follower(async_storage_writes=True)
    raw.step(snapshot_from(1))
    assert raw.ready().committed_entries == []


def test_snapshot_of_unknown_origin_restores_but_names_no_leader():
    raw = follower()
    raw.step(snapshot_from(0))
    assert raw.raft.lead == 0
    assert raw.raft.log.last_index() == 11
