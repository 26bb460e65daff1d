"""Behaviour 3: an election can be forced on one replica; where it is redundant, nothing happens."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    ElectionRefusal,
    Entry,
    EntryType,
    HardState,
    Message,
    MsgType,
    Role,
)
from multiraft.raft import role as roles
from multiraft.raft.confchange import encode_v2
from tests.raft.harness import (
    Group,
    answer,
    drain,
    handle,
    lead,
    of_type,
    persist,
    replica,
    replicating,
    storage_of,
    storage_with,
)


@pytest.mark.parametrize("pre_vote", [False, True])
def test_election_can_be_forced_right_after_a_group_was_created(pre_vote: bool):
    group = Group(pre_vote=pre_vote, check_quorum=True)
    assert group.nodes[2].force_election() is None
    group.settle()
    assert [node.raft.lead for node in group.nodes.values()] == [2, 2, 2]
    assert {node.raft.term for node in group.nodes.values()} == {1}


@pytest.mark.parametrize("pre_vote", [False, True])
def test_campaign_of_a_leader_is_a_no_op(pre_vote: bool):
    raw = replicating(replica(pre_vote=pre_vote))
    before = raw.raft.hard_state()
    assert raw.campaign() is None
    assert raw.force_election() is None
    assert not raw.has_ready()
    assert (raw.raft.hard_state(), raw.raft.role) == (before, Role.LEADER)


def test_becoming_a_candidate_from_leader_is_caught_as_a_bug():
    raw = lead(replica())
    with pytest.raises(AssertionError, match="campaign against itself"):
        roles.become_candidate(raw.raft)
    with pytest.raises(AssertionError, match="campaign against itself"):
        roles.become_pre_candidate(raw.raft)


@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize("forced_first", [False, True])
def test_forced_election_racing_the_timer_raises_the_term_once(forced_first: bool, pre_vote: bool):
    raw = replica(pre_vote=pre_vote)
    raw.raft.randomized_election_timeout = 12
    raw.raft.election_elapsed = 11
    for act in (raw.force_election, raw.tick) if forced_first else (raw.tick, raw.force_election):
        act()
    for m in drain(raw):
        raw.step(answer(m))
    drain(raw)
    assert raw.raft.term == 1


def test_forced_election_leaves_a_running_campaign_alone():
    raw = replica()
    raw.force_election()
    assert raw.force_election() is None
    assert raw.raft.term == 1
    assert raw.campaign() is None
    assert raw.raft.term == 2, "a campaign that is asked for by that name begins again"


def test_pre_vote_campaign_asks_with_the_next_term_and_keeps_its_own():
    raw = replica(storage_with([1], hard_state=HardState(4, 3, 1)), pre_vote=True)
    raw.force_election()
    assert raw.raft.hard_state() == HardState(4, 3, 1)
    assert [(m.type, m.term) for m in drain(raw)] == [(MsgType.PRE_VOTE, 5)] * 2


def conf(*voters: int, learners: tuple[int, ...] = ()) -> ConfState:
    return ConfState(voters, learners=learners)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (conf(2, 3), ElectionRefusal.NOT_A_MEMBER),
        (conf(), ElectionRefusal.NOT_A_MEMBER),
        (conf(2, 3, learners=(1,)), ElectionRefusal.LEARNER),
    ],
)
def test_refused_with_a_typed_reason(members: ConfState, reason: ElectionRefusal):
    raw = replica(storage_with(conf=members))
    assert raw.force_election() is reason
    assert raw.campaign() is reason
    for _ in range(40):
        raw.tick()
    assert (raw.raft.role, raw.raft.term) == (Role.FOLLOWER, 0)


def test_refused_while_a_committed_conf_change_is_not_applied():
    change = ConfChange((Change(ChangeType.ADD_VOTER, 4),))
    storage = storage_with([1])
    storage.append([Entry(1, 2, EntryType.CONF_CHANGE_V2, encode_v2(change)), Entry(1, 3)])
    storage.set_hard_state(HardState(1, 0, 3))
    raw = replica(storage, max_committed_size_per_ready=1, async_storage_writes=True)
    assert raw.force_election() is ElectionRefusal.UNAPPLIED_CONF_CHANGE
    for _ in range(3):
        raw.acknowledge_apply(raw.ready().committed_entries)
    assert raw.force_election() is None


def test_single_voter_leads_once_its_vote_is_durable_and_not_before():
    raw = replica(storage_with(conf=conf(1)))
    raw.force_election()
    ready = raw.ready()
    assert raw.raft.role is Role.CANDIDATE
    persist(storage_of(raw), ready)
    raw.advance()
    assert raw.raft.role is Role.LEADER
    assert handle(raw).committed_entries == []
    assert [entry.index for entry in handle(raw).committed_entries] == [1]


def test_single_voter_needs_one_more_round_with_pre_vote():
    raw = replica(storage_with(conf=conf(1)), pre_vote=True)
    raw.force_election()
    handle(raw)
    assert raw.raft.role is Role.CANDIDATE
    handle(raw)
    assert raw.raft.role is Role.LEADER


def test_forced_election_is_not_a_takeover():
    group = Group(check_quorum=True)
    group.elect(1)
    assert group.nodes[2].force_election() is None
    group.settle()
    assert group.nodes[1].raft.role is Role.LEADER
    assert group.nodes[1].raft.term == 1


def test_learner_grants_votes():
    raw = replica(storage_with(conf=conf(1, 2, learners=(3,))), id_=3)
    raw.step(Message(MsgType.VOTE, 3, 1, 1))
    assert [(m.type, m.reject) for m in drain(raw)] == [(MsgType.VOTE_RESP, False)]


def test_crash_between_vote_and_leadership_keeps_term_and_vote():
    raw = replica()
    raw.force_election()
    persist(storage_of(raw), raw.ready())
    again = replica(storage_of(raw))
    assert (again.raft.term, again.raft.vote, again.raft.role) == (1, 1, Role.FOLLOWER)
    again.step(Message(MsgType.VOTE, 1, 2, 1, log_term=9, index=9))
    assert [m.reject for m in drain(again)] == [True]


def test_votes_of_an_election_lost_do_not_count_in_the_next_one():
    """The own vote becomes durable only when the term has moved on."""
    raw = replica(async_storage_writes=True)
    raw.campaign()
    late = [m for m in raw.ready().messages_after_append if m.to == 1]
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    raw.campaign()
    for m in late:
        raw.step(m)
    assert raw.raft.term == 2
    assert raw.raft.tracker.votes == {}


def test_vote_request_leaves_with_what_needs_no_durability_as_the_reference_has_it():
    raw = replica(async_storage_writes=True)
    raw.campaign()
    ready = raw.ready()
    assert {m.to for m in of_type(ready.messages, MsgType.VOTE)} == {2, 3}
    assert [m.to for m in ready.messages_after_append] == [1]
