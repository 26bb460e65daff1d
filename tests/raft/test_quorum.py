"""Quorum arithmetic, against second implementations that are slow and obvious."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from multiraft.raft.quorum import (
    EVERYTHING,
    VoteResult,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    vote_result,
)

ids = st.integers(1, 9)
voter_sets = st.frozensets(ids, max_size=7)
indexes = st.dictionaries(ids, st.integers(0, 20))
ballots = st.dictionaries(ids, st.booleans())


def obvious_committed(voters: frozenset[int], acknowledged: dict[int, int]) -> int:
    """Try every index, from the highest, until a majority has it."""
    if not voters:
        return EVERYTHING
    for index in sorted(acknowledged.values(), reverse=True):
        if 2 * sum(acknowledged.get(voter, 0) >= index for voter in voters) > len(voters):
            return index
    return 0


def obvious_vote(voters: frozenset[int], votes: dict[int, bool]) -> VoteResult:
    """Look at every majority: one of only yes wins; if each has a no, it is lost."""
    if not voters:
        return VoteResult.WON
    majorities = list(combinations(sorted(voters), len(voters) // 2 + 1))
    if any(all(votes.get(voter) is True for voter in majority) for majority in majorities):
        return VoteResult.WON
    if all(any(votes.get(voter) is False for voter in majority) for majority in majorities):
        return VoteResult.LOST
    return VoteResult.PENDING


@given(voter_sets, indexes)
def test_committed_index_is_the_obvious_one(voters: frozenset[int], acknowledged: dict[int, int]):
    assert committed_index(voters, acknowledged) == obvious_committed(voters, acknowledged)


@given(voter_sets, ballots)
def test_vote_result_is_the_obvious_one(voters: frozenset[int], votes: dict[int, bool]):
    assert vote_result(voters, votes) is obvious_vote(voters, votes)


@given(voter_sets, voter_sets, indexes)
def test_joint_commit_needs_both_halves(first: frozenset[int], second: frozenset[int], acked: dict[int, int]):
    expected = min(obvious_committed(first, acked), obvious_committed(second, acked))
    assert joint_committed_index(first, second, acked) == expected
    assert joint_committed_index(second, first, acked) == expected


@given(voter_sets, voter_sets, ballots)
def test_joint_vote_needs_both_halves(first: frozenset[int], second: frozenset[int], votes: dict[int, bool]):
    halves = {obvious_vote(first, votes), obvious_vote(second, votes)}
    expected = next(r for r in (VoteResult.LOST, VoteResult.PENDING, VoteResult.WON) if r in halves)
    assert joint_vote_result(first, second, votes) is expected


@given(voter_sets, indexes)
def test_joining_with_the_empty_quorum_or_with_itself_changes_nothing(
    voters: frozenset[int], acknowledged: dict[int, int]
):
    alone = committed_index(voters, acknowledged)
    assert joint_committed_index(voters, (), acknowledged) == alone
    assert joint_committed_index(voters, voters, acknowledged) == alone


@given(voter_sets.filter(bool), indexes)
def test_lowering_an_index_that_is_not_decisive_changes_nothing(
    voters: frozenset[int], acknowledged: dict[int, int]
):
    committed = committed_index(voters, acknowledged)
    for voter in voters:
        if acknowledged.get(voter, 0) < committed:
            assert committed_index(voters, acknowledged | {voter: 0}) == committed
