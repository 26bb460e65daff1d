"""Votes, leases, and terms: who gets a vote, and which messages of other terms count."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ElectionRefusal,
    Entry,
    EntryType,
    HardState,
    Message,
    MsgType,
    RawNode,
    Role,
)
from multiraft.raft.confchange import encode_v2
from multiraft.raft.election import TRANSFER_CONTEXT
from tests.raft.harness import Group, drain, lead, of_type, replica, replicating, storage_with


def voter(*, term: int = 2, vote: int = 0, lead: int = 0, **settings: object) -> RawNode:
    """A follower whose log ends with (term 2, index 2)."""
    raw = replica(storage_with([1, 2], hard_state=HardState(term, vote, 0)), **settings)
    raw.raft.lead = lead
    return raw


def request(term: int = 3, log: tuple[int, int] = (2, 2), from_: int = 2, **fields: object) -> Message:
    kind = fields.pop("kind", MsgType.VOTE)
    return Message(kind, 1, from_, term, log_term=log[0], index=log[1], **fields)


def verdict(raw: RawNode, m: Message) -> tuple[bool, int] | None:
    """Whether the vote was granted, and the term of the answer; `None` if there was no answer."""
    raw.step(m)
    answers = drain(raw)
    return (not answers[0].reject, answers[0].term) if answers else None


@pytest.mark.parametrize(
    ("log", "granted"),
    [((2, 2), True), ((2, 3), True), ((3, 1), True), ((2, 1), False), ((1, 9), False)],
)
@pytest.mark.parametrize("kind", [MsgType.VOTE, MsgType.PRE_VOTE])
def test_vote_goes_to_logs_at_least_as_up_to_date(kind: MsgType, log: tuple[int, int], granted: bool):
    raw = voter()
    answer = verdict(raw, request(log=log, kind=kind))
    own_term = 3 if kind is MsgType.VOTE else 2
    assert answer == (granted, 3 if granted else own_term)


def test_one_vote_a_term():
    raw = voter()
    assert verdict(raw, request(from_=2)) == (True, 3)
    assert verdict(raw, request(from_=3)) == (False, 3)
    assert verdict(raw, request(from_=2)) == (True, 3), "the same candidate may ask again"
    assert raw.raft.hard_state() == HardState(3, 2, 0)


def test_no_vote_in_a_term_that_has_a_leader():
    assert verdict(voter(lead=3), request(term=2)) == (False, 2)
    assert verdict(voter(lead=3), request(term=2, kind=MsgType.PRE_VOTE)) == (False, 2)
    assert verdict(voter(vote=2, lead=3), request(term=2)) == (True, 2)


def test_vote_resets_the_election_timer_and_a_pre_vote_does_not():
    raw = voter()
    raw.raft.election_elapsed = 7
    verdict(raw, request(kind=MsgType.PRE_VOTE))
    assert (raw.raft.election_elapsed, raw.raft.term, raw.raft.vote) == (7, 2, 0)
    verdict(raw, request())
    assert raw.raft.election_elapsed == 0


def test_pre_vote_of_an_earlier_term_is_refused_aloud():
    assert verdict(voter(term=5), request(term=4, kind=MsgType.PRE_VOTE)) == (False, 5)
    assert verdict(voter(term=5), request(term=4)) is None


@pytest.mark.parametrize("kind", [MsgType.VOTE, MsgType.PRE_VOTE])
def test_vote_refused_while_leader_lease_holds(kind: MsgType):
    raw = voter(lead=3, check_quorum=True)
    assert verdict(raw, request(kind=kind)) is None
    assert raw.raft.term == 2
    raw.raft.election_elapsed = 10
    assert verdict(raw, request(kind=kind)) == (True, 3)


def test_a_transfer_overrides_the_lease():
    raw = voter(lead=3, check_quorum=True)
    assert verdict(raw, request(context=TRANSFER_CONTEXT)) == (True, 3)


def test_without_check_quorum_there_is_no_lease():
    assert verdict(voter(lead=3), request()) == (True, 3)


def test_forgetting_the_leader_ends_the_lease():
    raw = voter(lead=3, check_quorum=True)
    raw.forget_leader()
    assert raw.raft.lead == 0
    assert verdict(raw, request()) == (True, 3)


def test_own_vote_counts_only_when_it_is_durable():
    raw = replica(async_storage_writes=True)
    raw.campaign()
    raw.step(Message(MsgType.VOTE_RESP, 1, 2, 1))
    assert raw.raft.role is Role.CANDIDATE
    for m in raw.ready().messages_after_append:
        raw.step(m)
    assert raw.raft.role is Role.LEADER


def test_majority_against_it_makes_a_candidate_a_follower_of_nobody():
    raw = replica()
    raw.campaign()
    drain(raw)
    for peer in (2, 3):
        raw.step(Message(MsgType.VOTE_RESP, 1, peer, 1, reject=True))
    assert (raw.raft.role, raw.raft.term, raw.raft.lead) == (Role.FOLLOWER, 1, 0)


def test_pre_candidate_that_hears_of_a_later_term_follows_into_it():
    raw = replica(pre_vote=True)
    raw.campaign()
    drain(raw)
    raw.step(Message(MsgType.PRE_VOTE_RESP, 1, 2, 7, reject=True))
    assert (raw.raft.role, raw.raft.term) == (Role.FOLLOWER, 7)


def test_timeouts_are_drawn_from_their_range_and_spread():
    drawn = set()
    raw = replica(election_tick=10)
    for _ in range(400):
        raw.raft.role = Role.FOLLOWER
        raw.campaign()
        drawn.add(raw.raft.randomized_election_timeout)
    assert drawn == set(range(10, 20))


def test_follower_campaigns_after_its_timeout_and_not_before():
    raw = replica()
    for _ in range(raw.raft.randomized_election_timeout - 1):
        raw.tick()
    assert raw.raft.role is Role.FOLLOWER
    raw.tick()
    assert raw.raft.role is Role.CANDIDATE


def test_leader_that_hears_no_quorum_steps_down():
    raw = replicating(replica(check_quorum=True))
    for _ in range(10):
        raw.tick()
    assert raw.raft.role is Role.LEADER, "everyone was heard of in this interval"
    for _ in range(10):
        raw.tick()
    assert (raw.raft.role, raw.raft.lead, raw.raft.term) == (Role.FOLLOWER, 0, 1)


def test_leader_that_hears_one_of_two_followers_stays():
    raw = replicating(replica(check_quorum=True))
    for _ in range(40):
        raw.tick()
        drain(raw)
        raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 1))
    assert raw.raft.role is Role.LEADER


def test_leader_of_an_earlier_term_steps_down_on_any_later_message():
    raw = lead(replica())
    raw.step(Message(MsgType.APP, 1, 2, 5, log_term=0, index=0))
    assert (raw.raft.role, raw.raft.term, raw.raft.lead) == (Role.FOLLOWER, 5, 2)


def test_replica_cut_off_does_not_disturb_with_pre_vote():
    group = Group(pre_vote=True, check_quorum=True)
    group.elect(1)
    group.cut_off(3)
    for _ in range(50):
        for node in group.nodes.values():
            node.tick()
        group.settle()
    group.cut_off()
    for _ in range(3):
        group.nodes[1].tick()
        group.settle()
    assert group.nodes[1].raft.role is Role.LEADER
    assert {node.raft.term for node in group.nodes.values()} == {1}


def test_replica_cut_off_is_brought_back_without_pre_vote():
    """It has raised its term alone; its answers make the leader step down, and all meet in a later term."""
    group = Group(check_quorum=True)
    group.elect(1)
    group.cut_off(3)
    for _ in range(50):
        for node in group.nodes.values():
            node.tick()
        group.settle()
    assert group.nodes[3].raft.term > 1
    group.cut_off()
    for _ in range(80):
        for node in group.nodes.values():
            node.tick()
        group.settle()
    leaders = [node for node in group.nodes.values() if node.raft.role is Role.LEADER]
    assert len(leaders) == 1
    assert {node.raft.lead for node in group.nodes.values()} == {leaders[0].raft.id}


def test_leadership_is_handed_over():
    group = Group(check_quorum=True, pre_vote=True)
    raw = group.elect(1)
    raw.propose(b"x")
    raw.transfer_leadership(3)
    group.settle()
    assert group.nodes[3].raft.role is Role.LEADER
    assert {node.raft.lead for node in group.nodes.values()} == {3}


def test_handing_over_waits_until_the_other_has_the_whole_log():
    group = Group()
    raw = group.elect(1)
    group.cut_off(3)
    raw.propose(b"x")
    group.settle()
    raw.transfer_leadership(3)
    assert not of_type(drain(raw), MsgType.TIMEOUT_NOW)
    group.cut_off()
    raw.tick()
    group.settle()
    assert group.nodes[3].raft.role is Role.LEADER


@pytest.mark.parametrize("to", [1, 9])
def test_handing_over_to_oneself_or_a_stranger_is_ignored(to: int):
    raw = replicating(replica())
    raw.transfer_leadership(to)
    assert raw.raft.lead_transferee == 0
    assert not raw.has_ready()


def test_handing_over_is_given_up_after_an_election_timeout():
    raw = replicating(replica())
    raw.transfer_leadership(3)
    for _ in range(10):
        raw.tick()
    assert raw.raft.lead_transferee == 0


def test_follower_passes_a_transfer_on_under_the_name_of_the_new_leader():
    raw = voter(lead=2)
    raw.transfer_leadership(3)
    [m] = drain(raw)
    assert (m.type, m.from_, m.to, m.term) == (MsgType.TRANSFER_LEADER, 3, 2, 2)


# -- configuration changes --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [1, 2, 3])
def test_change_anywhere_between_applied_and_committed_forbids_to_campaign(place: int):
    change = encode_v2(ConfChange((Change(ChangeType.ADD_LEARNER, 4),)))
    storage = storage_with()
    storage.append(
        [
            Entry(1, index, EntryType.CONF_CHANGE_V2, change) if index == place else Entry(1, index)
            for index in (1, 2, 3, 4)
        ]
    )
    storage.set_hard_state(HardState(1, 0, 3))
    raw = replica(storage)
    assert raw.force_election() is ElectionRefusal.UNAPPLIED_CONF_CHANGE
    assert raw.raft.role is Role.FOLLOWER


def test_change_that_is_not_committed_does_not_forbid_to_campaign():
    storage = storage_with()
    change = encode_v2(ConfChange((Change(ChangeType.ADD_LEARNER, 4),)))
    storage.append([Entry(1, 1), Entry(1, 2, EntryType.CONF_CHANGE_V2, change)])
    storage.set_hard_state(HardState(1, 0, 1))
    raw = replica(storage)
    assert raw.force_election() is None
    assert raw.raft.role is Role.CANDIDATE
