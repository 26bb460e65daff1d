"""Which handler a message meets: first the rules about terms, then a table of (role, message)."""

from collections.abc import Callable
from typing import Final

from . import candidate, durability, election, follower, leader, role
from .ids import NO_REPLICA
from .messages import Message, MsgType
from .raft import Raft
from .state import Role

Handler = Callable[[Raft, Message], None]

HANDLERS: Final[dict[tuple[Role, MsgType], Handler]] = {
    (Role.FOLLOWER, MsgType.PROP): follower.forward_proposal,
    (Role.FOLLOWER, MsgType.APP): follower.append,
    (Role.FOLLOWER, MsgType.HEARTBEAT): follower.heartbeat,
    (Role.FOLLOWER, MsgType.SNAP): follower.snapshot,
    (Role.FOLLOWER, MsgType.TRANSFER_LEADER): follower.forward,
    (Role.FOLLOWER, MsgType.TIMEOUT_NOW): follower.timeout_now,
    (Role.FOLLOWER, MsgType.READ_INDEX): follower.forward_read,
    (Role.FOLLOWER, MsgType.READ_INDEX_RESP): follower.read_index_answer,
    (Role.PRE_CANDIDATE, MsgType.PROP): candidate.drop_proposal,
    (Role.PRE_CANDIDATE, MsgType.READ_INDEX): candidate.drop_read,
    (Role.PRE_CANDIDATE, MsgType.APP): candidate.append,
    (Role.PRE_CANDIDATE, MsgType.HEARTBEAT): candidate.heartbeat,
    (Role.PRE_CANDIDATE, MsgType.SNAP): candidate.snapshot,
    (Role.PRE_CANDIDATE, MsgType.PRE_VOTE_RESP): candidate.vote_answer,
    (Role.CANDIDATE, MsgType.PROP): candidate.drop_proposal,
    (Role.CANDIDATE, MsgType.READ_INDEX): candidate.drop_read,
    (Role.CANDIDATE, MsgType.APP): candidate.append,
    (Role.CANDIDATE, MsgType.HEARTBEAT): candidate.heartbeat,
    (Role.CANDIDATE, MsgType.SNAP): candidate.snapshot,
    (Role.CANDIDATE, MsgType.VOTE_RESP): candidate.vote_answer,
    (Role.LEADER, MsgType.PROP): leader.proposal,
    (Role.LEADER, MsgType.APP_RESP): leader.append_answer,
    (Role.LEADER, MsgType.HEARTBEAT_RESP): leader.heartbeat_answer,
    (Role.LEADER, MsgType.READ_INDEX): leader.read_index,
    (Role.LEADER, MsgType.TRANSFER_LEADER): leader.transfer,
}
"""What each role does with each message. A pair that is not here is ignored."""

IN_EVERY_ROLE: Final[dict[MsgType, Handler]] = {
    MsgType.VOTE: election.answer_vote,
    MsgType.PRE_VOTE: election.answer_vote,
    MsgType.STORAGE_APPEND_RESP: durability.appended,
    MsgType.STORAGE_APPLY_RESP: durability.applied,
}
"""What every role does alike."""

_TABLE: Final[list[list[Handler | None]]] = [
    [HANDLERS.get((at, kind)) or IN_EVERY_ROLE.get(kind) for kind in MsgType] for at in sorted(Role)
]
"""The same by position, because this is looked up for every message."""


def step(raft: Raft, m: Message) -> None:
    """Take in one message. Raises `ProposalDropped` or `CorruptLog`."""
    if m.term != raft.term and m.term and not _settle_terms(raft, m):
        return
    assert m.term in (0, raft.term) or m.type in (MsgType.PRE_VOTE, MsgType.PRE_VOTE_RESP)
    handler = _TABLE[raft.role][m.type]
    if handler is not None:
        handler(raft, m)


def _settle_terms(raft: Raft, m: Message) -> bool:
    """Apply the rules for a message of another term than this replica's; False if it ends there (§5.1)."""
    if m.term < raft.term:
        _answer_from_later_term(raft, m)
        return False
    if m.type in (MsgType.VOTE, MsgType.PRE_VOTE):
        # A replica that was cut off, or removed, must not depose a leader that is at work (thesis §4.2.3).
        forced = m.context == election.TRANSFER_CONTEXT
        if not forced and election.in_lease(raft):
            return False
    if m.type is MsgType.PRE_VOTE:
        return True  # nobody has entered that term
    if m.type is MsgType.PRE_VOTE_RESP and not m.reject:
        return True  # granted for the term that this replica would enter
    leads = m.type in (MsgType.APP, MsgType.HEARTBEAT, MsgType.SNAP)
    role.become_follower(raft, m.term, m.from_ if leads else NO_REPLICA)
    return True


def _answer_from_later_term(raft: Raft, m: Message) -> None:
    """A message of an earlier term: mostly ignored, but its sender may be stuck there."""
    if m.type in (MsgType.APP, MsgType.HEARTBEAT):
        if raft.check_quorum or raft.pre_vote:
            # A replica that campaigned alone is in a later term than the leader, which it would not obey and
            # could not depose. The answer's term makes that leader step down, and both meet again.
            raft.send(Message(MsgType.APP_RESP, m.from_))
    elif m.type is MsgType.PRE_VOTE:
        # Before pre-vote was switched on everywhere, replicas may be stuck in terms of their own.
        raft.send(Message(MsgType.PRE_VOTE_RESP, m.from_, term=raft.term, reject=True))
    elif m.type is MsgType.STORAGE_APPEND_RESP:
        durability.appended_in_earlier_term(raft, m)
