"""Quorum arithmetic: what a set of acknowledgements or votes amounts to.

Pure functions over voter sets. A joint configuration decides by the majorities of both its halves; an empty
half never objects, so that a plain configuration is the joint one with an empty second half.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

EVERYTHING: Final = 2**64 - 1
"""What an empty quorum commits: it sets no limit."""


class VoteResult(Enum):
    """Where an election, or any count of yes and no, stands."""

    PENDING = "VotePending"
    LOST = "VoteLost"
    WON = "VoteWon"


def majority_index(indexes: list[int]) -> int:
    """The highest index reached by more than half of `indexes`, one for each voter."""
    if not indexes:
        return EVERYTHING
    indexes.sort()
    return indexes[(len(indexes) - 1) // 2]


def committed_index(voters: Collection[int], acknowledged: Mapping[int, int]) -> int:
    """The highest index that a majority of `voters` has acknowledged; unknown voters count as 0."""
    return majority_index([acknowledged.get(voter, 0) for voter in voters])


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """What the votes given so far amount to; voters without one may still decide. No voters: won."""
    if not voters:
        return VoteResult.WON
    yes = missing = 0
    for voter in voters:
        vote = votes.get(voter)
        if vote is None:
            missing += 1
        elif vote:
            yes += 1
    needed = len(voters) // 2 + 1
    if yes >= needed:
        return VoteResult.WON
    return VoteResult.PENDING if yes + missing >= needed else VoteResult.LOST


def joint_committed_index(
    incoming: Collection[int], outgoing: Collection[int], acknowledged: Mapping[int, int]
) -> int:
    """The highest index that both majorities have acknowledged."""
    committed = committed_index(incoming, acknowledged)
    return min(committed, committed_index(outgoing, acknowledged)) if outgoing else committed


def joint_vote_result(
    incoming: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]
) -> VoteResult:
    """Won if both halves won, lost if either lost, pending otherwise."""
    first, second = vote_result(incoming, votes), vote_result(outgoing, votes)
    if first is second:
        return first
    if VoteResult.LOST in (first, second):
        return VoteResult.LOST
    return VoteResult.PENDING
