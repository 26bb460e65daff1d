"""What a candidate, and a pre-candidate, does with each message."""

from . import election, follower, replication, role
from .errors import DropReason, ProposalDropped
from .ids import NO_REPLICA
from .messages import Message
from .quorum import VoteResult
from .raft import Raft
from .ready import ReadDropReason
from .state import Role


def drop_proposal(_raft: Raft, _m: Message) -> None:
    """Nobody leads whom a proposal could be given to."""
    raise ProposalDropped(DropReason.CANDIDATE)


def drop_read(raft: Raft, m: Message) -> None:
    """Nobody leads who could confirm a read."""
    raft.drop_read(m, ReadDropReason.NO_LEADER)


def append(raft: Raft, m: Message) -> None:
    """Someone else leads this term: follow, and take what it sends."""
    role.become_follower(raft, m.term, m.from_)
    follower.take_append(raft, m)


def heartbeat(raft: Raft, m: Message) -> None:
    """Someone else leads this term: follow."""
    role.become_follower(raft, m.term, m.from_)
    follower.take_heartbeat(raft, m)


def snapshot(raft: Raft, m: Message) -> None:
    """Someone else leads this term: follow, and take what it sends."""
    role.become_follower(raft, m.term, m.from_)
    follower.take_snapshot(raft, m)


def vote_answer(raft: Raft, m: Message) -> None:
    """Count a vote; win, lose, or wait for more."""
    raft.tracker.record_vote(m.from_, granted=not m.reject)
    result = raft.tracker.tally()
    if result is VoteResult.WON:
        if raft.role is Role.PRE_CANDIDATE:
            election.campaign(raft, election.Campaign.ELECTION)
        else:
            role.become_leader(raft)
            replication.broadcast_append(raft)
    elif result is VoteResult.LOST:
        # The term stays: for a pre-candidate the answers came from the future, but nobody entered it.
        role.become_follower(raft, raft.term, NO_REPLICA)
