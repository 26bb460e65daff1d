"""The Raft paper, sections 5.4 to 5.6: safety, crashes, and what does not depend on time."""

import pytest

from multiraft.raft import ConfigError, Entry, HardState, Message, MsgType, ProposalDropped, Role
from tests.raft.harness import (
    Group,
    acknowledge,
    drain,
    handle,
    lead,
    persist,
    replica,
    replicating,
    storage_of,
    storage_with,
)


def elected(*logs: list[int]) -> Group:
    """A group with the given logs, all in the same term."""
    group = Group(tuple(range(1, len(logs) + 1)))
    for id_, terms in enumerate(logs, 1):
        storage = storage_with(terms, conf=group.nodes[id_].raft.conf_state(), hard_state=HardState(9, 0, 0))
        group.nodes[id_] = replica(storage, id_=id_)
    return group


def test_5_4_1_a_candidate_without_all_committed_entries_is_not_elected():
    """Two of three hold an entry: the third, which lacks it, gets no vote from either."""
    group = elected([1, 1], [1, 1], [1])
    group.nodes[3].campaign()
    group.settle()
    assert group.nodes[3].raft.role is Role.FOLLOWER
    group.elect(1)


def test_5_4_1_entries_flow_from_leaders_to_followers_only():
    """A leader asks nobody for entries: whatever others have more is replaced."""
    group = elected([1, 1, 3], [1, 1, 2, 2, 2], [1, 1])
    group.elect(1)
    assert [node.raft.log.term(3) for node in group.nodes.values()] == [3, 3, 3]
    assert {node.raft.log.last_index() for node in group.nodes.values()} == {4}


@pytest.mark.parametrize(
    ("theirs", "ours", "granted"),
    [
        ([1, 2], [1, 1, 1, 1], True),  # the later last term
        ([1, 1, 1, 1], [1, 2], False),
        ([1, 2, 2], [1, 2], True),  # the longer log
        ([1, 2], [1, 2, 2], False),
        ([1, 2], [1, 2], True),
    ],
)
def test_5_4_1_up_to_date_is_the_later_term_and_then_the_longer_log(
    theirs: list[int], ours: list[int], granted: bool
):
    raw = replica(storage_with(ours))
    raw.step(Message(MsgType.VOTE, 1, 2, 5, log_term=theirs[-1], index=len(theirs)))
    assert [m.reject for m in drain(raw)] == [not granted]


def test_5_4_2_figure_8_an_old_entry_on_a_majority_may_still_be_replaced():
    """So it is not committed by counting, and whoever replaces it breaks no promise."""
    group = elected([1, 2], [1, 2], [1, 3])
    group.lost = lambda m: m.type is MsgType.APP
    leader = group.elect(1)
    acknowledge(leader, 2, 2)
    assert leader.raft.log.committed == 0, "the entry of term 2 is on two of three"
    group.cut_off(1)
    group.elect(3)
    assert group.nodes[2].raft.log.term(2) == 3


def test_5_4_2_an_entry_of_its_term_commits_what_came_before():
    raw = lead(replica(storage_with([1, 2], hard_state=HardState(3, 0, 0))))
    acknowledge(raw, 2)
    assert raw.raft.log.committed == 0
    acknowledge(raw, 3)
    assert raw.raft.log.committed == 3


def test_5_4_3_applied_entries_are_in_the_logs_of_all_later_leaders():
    group = Group((1, 2, 3, 4, 5))
    group.elect(1).propose(b"kept")
    group.settle()
    for id_ in (2, 3, 4, 5):
        group.elect(id_).propose(b"%d" % id_)
        group.settle()
        assert group.applied[id_][0] == b"kept"
    assert len({tuple(applied) for applied in group.applied.values()}) == 1


def test_5_5_a_follower_that_crashed_goes_on_with_what_it_had_stored():
    group = Group()
    raw = group.elect(1)
    raw.propose(b"x")
    group.settle()
    group.nodes[3] = replica(storage_of(group.nodes[3]), id_=3)
    assert group.nodes[3].raft.log.last_index() == 2
    raw.propose(b"y")
    group.settle()
    assert group.applied[3][-1] == b"y"


def test_5_5_what_was_asked_before_a_crash_may_be_asked_again():
    """It had stored the entries but its answer was lost with it."""
    raw = replica()
    append = Message(MsgType.APP, 1, 2, 1, entries=[Entry(1, 1)])
    raw.step(append)
    persist(storage_of(raw), raw.ready())
    again = replica(storage_of(raw))
    again.step(append)
    assert [(m.index, m.reject) for m in drain(again)] == [(1, False)]
    assert again.raft.log.last_index() == 1


def test_5_5_a_leader_that_crashes_leads_no_more_and_keeps_its_term():
    raw = replicating(replica())
    again = replica(storage_of(raw))
    assert (again.raft.role, again.raft.term, again.raft.lead) == (Role.FOLLOWER, 1, 0)
    with pytest.raises(ProposalDropped):
        again.propose(b"x")


def test_5_6_safety_does_not_depend_on_time():
    """A leader that was cut off for any time commits nothing alone, and gives way when it is back."""
    group = Group()
    old = group.elect(1)
    group.cut_off(1)
    old.propose(b"lost")
    for _ in range(100):
        old.tick()
        group.settle()
    group.elect(2).propose(b"kept")
    group.settle()
    assert old.raft.log.committed == 1
    group.cut_off()
    group.nodes[2].tick()
    group.settle()
    assert group.applied[1] == group.applied[3] == [b"kept"]


@pytest.mark.parametrize("election_tick", [1, 2])
def test_5_6_heartbeats_must_come_more_often_than_elections(election_tick: int):
    with pytest.raises(ConfigError, match="election_tick"):
        replica(election_tick=election_tick, heartbeat_tick=2)


def test_5_6_a_steady_leader_is_not_disturbed():
    group = Group()
    group.elect(1)
    for _ in range(200):
        for node in group.nodes.values():
            node.tick()
        group.settle()
    assert {node.raft.term for node in group.nodes.values()} == {1}
    assert handle(group.nodes[1]).empty
