"""The Raft paper, sections 5.1 and 5.2: one test per statement about terms and elections."""

import pytest

from multiraft.raft import ConfState, Entry, HardState, Message, MsgType, Role
from tests.raft.harness import Group, answer, drain, lead, of_type, replica, replicating, storage_with

# -- 5.1 terms -------------------------------------------------------------------------------------------


def test_5_1_servers_start_as_followers():
    assert replica().raft.role is Role.FOLLOWER


def test_5_1_a_term_has_at_most_one_leader():
    """Two replicas ask in the same term: whoever comes second to the third one gets nothing."""
    group = Group()
    group.nodes[1].campaign()
    group.nodes[2].campaign()
    group.settle()
    leaders = [node.raft.id for node in group.nodes.values() if node.raft.role is Role.LEADER]
    assert len(leaders) == 1
    assert {node.raft.term for node in group.nodes.values()} == {1}


def test_5_1_a_term_may_end_without_a_leader():
    group = Group((1, 2, 3, 4))
    group.nodes[1].campaign()
    group.nodes[2].campaign()
    group.lost = lambda m: m.type is MsgType.VOTE and (m.from_, m.to) in {(1, 4), (2, 3)}
    group.settle()
    assert Role.LEADER not in {node.raft.role for node in group.nodes.values()}
    assert {node.raft.term for node in group.nodes.values()} == {1}


@pytest.mark.parametrize("term", [5, 6])
def test_5_1_a_smaller_term_is_updated_to_the_larger_one(term: int):
    raw = replica(storage_with([1], hard_state=HardState(2, 2, 1)))
    raw.step(Message(MsgType.VOTE, 1, 3, term))
    assert raw.raft.term == term
    assert {m.term for m in drain(raw)} == {term}


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.LEADER])
def test_5_1_a_candidate_or_leader_that_is_out_of_date_becomes_a_follower(role: Role):
    raw = replica()
    if role is Role.LEADER:
        lead(raw)
    else:
        raw.campaign()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 9))
    assert (raw.raft.role, raw.raft.term) == (Role.FOLLOWER, 9)


def test_5_1_a_request_of_a_stale_term_is_rejected():
    """Neither stored nor voted for; that nothing is said to a stale leader is the reference's choice."""
    raw = replica(storage_with([1], hard_state=HardState(5, 0, 1)))
    raw.step(Message(MsgType.APP, 1, 2, 4, log_term=1, index=1, entries=[Entry(4, 2)]))
    raw.step(Message(MsgType.VOTE, 1, 3, 4, log_term=4, index=9))
    assert (raw.raft.log.last_index(), raw.raft.vote, raw.raft.term) == (1, 0, 5)


def test_5_1_requests_may_be_repeated():
    """Both answers say the same, and nothing happens twice."""
    raw = replica()
    append = Message(MsgType.APP, 1, 2, 1, entries=[Entry(1, 1), Entry(1, 2)])
    answers = []
    for _ in range(2):
        raw.step(append)
        answers.append([(m.index, m.reject) for m in drain(raw)])
    assert answers == [[(2, False)], [(2, False)]]
    assert raw.raft.log.last_index() == 2


# -- 5.2 elections ---------------------------------------------------------------------------------------


def test_5_2_a_follower_stays_one_as_long_as_it_hears_from_a_leader():
    raw = replica()
    for _ in range(60):
        raw.tick()
        raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    assert (raw.raft.role, raw.raft.term) == (Role.FOLLOWER, 1)


def test_5_2_a_follower_that_votes_starts_its_timeout_again():
    raw = replica()
    for _ in range(9):
        raw.tick()
    raw.step(Message(MsgType.VOTE, 1, 2, 1))
    for _ in range(9):
        raw.tick()
    assert raw.raft.role is Role.FOLLOWER


def test_5_2_leaders_send_heartbeats_to_everyone_without_being_asked():
    raw = replicating(replica(heartbeat_tick=3, election_tick=10))
    beats = []
    for _ in range(9):
        raw.tick()
        beats.append(sorted(m.to for m in of_type(drain(raw), MsgType.HEARTBEAT)))
    assert beats == [[], [], [2, 3]] * 3


def test_5_2_an_election_raises_the_term_and_asks_all_others_at_once():
    raw = replica(storage_with([1, 1], hard_state=HardState(4, 3, 2)))
    raw.campaign()
    assert raw.raft.hard_state() == HardState(5, 1, 2), "it votes for itself"
    requests = of_type(drain(raw), MsgType.VOTE)
    assert [(m.to, m.term, m.log_term, m.index) for m in requests] == [(2, 5, 1, 2), (3, 5, 1, 2)]


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_5_2_a_majority_of_the_full_cluster_elects(voters: int, needed: int):
    raw = replica(storage_with(conf=ConfState(tuple(range(1, voters + 1)))))
    raw.campaign()
    drain(raw)
    votes = 1
    for voter in range(2, voters + 1):
        assert raw.raft.role is (Role.LEADER if votes >= needed else Role.CANDIDATE)
        raw.step(Message(MsgType.VOTE_RESP, 1, voter, 1))
        votes += 1
    assert raw.raft.role is Role.LEADER


def test_5_2_a_vote_goes_to_whoever_asks_first_and_stays_there():
    raw = replica()
    verdicts = []
    for candidate in (3, 2, 3):
        raw.step(Message(MsgType.VOTE, 1, candidate, 1))
        verdicts += [(m.to, m.reject) for m in drain(raw)]
    assert verdicts == [(3, False), (2, True), (3, False)]


def test_5_2_a_winner_announces_itself_to_everyone():
    raw = replica()
    raw.campaign()
    for m in drain(raw):
        raw.step(answer(m))
        break
    assert raw.raft.role is Role.LEADER
    assert [m.to for m in of_type(drain(raw), MsgType.APP)] == [2, 3]


@pytest.mark.parametrize(("term", "role"), [(0, Role.CANDIDATE), (1, Role.FOLLOWER), (2, Role.FOLLOWER)])
def test_5_2_a_candidate_recognizes_a_leader_of_at_least_its_term(term: int, role: Role):
    raw = replica(storage_with([], hard_state=HardState(1, 0, 0)))
    raw.campaign()
    drain(raw)
    raw.step(Message(MsgType.APP, 1, 2, 1 + term))
    assert raw.raft.role is role
    assert raw.raft.lead == (0 if role is Role.CANDIDATE else 2)


def test_5_2_a_split_vote_is_ended_by_a_new_election_in_a_new_term():
    raw = replica(storage_with(conf=ConfState((1, 2, 3, 4))))
    raw.campaign()
    drain(raw)
    raw.step(Message(MsgType.VOTE_RESP, 1, 2, 1))
    for _ in range(raw.raft.randomized_election_timeout):
        raw.tick()
    assert (raw.raft.role, raw.raft.term) == (Role.CANDIDATE, 2)
    assert [m.term for m in of_type(drain(raw), MsgType.VOTE)] == [2, 2, 2]


def test_5_2_timeouts_differ_so_that_split_votes_are_rare():
    """Each replica draws its own, from [T, 2T), at the start and for every new election."""
    drawn = {replica(id_=id_, election_tick=50).raft.randomized_election_timeout for id_ in range(1, 40)}
    assert len(drawn) > 20
    assert all(50 <= timeout < 100 for timeout in drawn)
