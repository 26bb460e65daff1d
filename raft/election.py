"""Elections: when a replica campaigns, whom it asks, and whom it gives its vote."""

from enum import Enum

from . import role
from .config import NO_LIMIT
from .entry import EntryType
from .errors import Compacted, CorruptLog
from .ids import NO_REPLICA
from .messages import Message, MsgType
from .raft import Raft
from .state import Role

TRANSFER_CONTEXT = b"CampaignTransfer"
"""Marks the vote requests of a replica that its leader has told to take over: they override the lease."""

_ANSWER = {MsgType.VOTE: MsgType.VOTE_RESP, MsgType.PRE_VOTE: MsgType.PRE_VOTE_RESP}


class ElectionRefusal(Enum):
    """Why a replica does not campaign now."""

    NOT_A_MEMBER = "not in the configuration"
    LEARNER = "a learner has no vote"
    SNAPSHOT_PENDING = "a snapshot is about to replace the state"
    NO_TERM_LEFT = "the next term would not fit into 64 bits"
    UNAPPLIED_CONF_CHANGE = "a committed configuration change is not applied yet"


class Campaign(Enum):
    """What an election starts with."""

    PRE_ELECTION = 1
    ELECTION = 2
    TRANSFER = 3


def postpone(raft: Raft, ticks: int) -> None:
    """Let this replica wait longer before it campaigns: its host has too many elections under way already.

    For whom it may vote, and when it stops believing in its leader, is not changed by that.
    """
    overdue = max(raft.randomized_election_timeout, raft.election_elapsed + 1)
    raft.randomized_election_timeout = overdue + ticks


def refusal(raft: Raft) -> ElectionRefusal | None:
    """Why `raft`, which does not lead, must not campaign; `None` if it may."""
    if raft.id not in raft.tracker.progress:
        return ElectionRefusal.NOT_A_MEMBER
    if raft.is_learner():
        return ElectionRefusal.LEARNER
    if raft.log.unstable.snapshot is not None:
        return ElectionRefusal.SNAPSHOT_PENDING
    if raft.term >= NO_LIMIT:
        return ElectionRefusal.NO_TERM_LEFT
    if has_unapplied_conf_change(raft):
        return ElectionRefusal.UNAPPLIED_CONF_CHANGE
    return None


def has_unapplied_conf_change(raft: Raft) -> bool:
    """Whether this replica might count votes by a configuration that is no longer in force."""
    log = raft.log
    try:
        pages = log.pages(log.applied + 1, log.committed + 1)
        kinds = (EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)
        return any(entry.type in kinds for page in pages for entry in page)
    except Compacted as error:
        raise CorruptLog("entries were compacted before being applied", error.index) from error


def hup(raft: Raft, campaign_kind: Campaign) -> ElectionRefusal | None:
    """Campaign, unless this replica leads already (no refusal: what was wanted is so) or must not."""
    if raft.role is Role.LEADER:
        return None
    reason = refusal(raft)
    if reason is None:
        campaign(raft, campaign_kind)
    return reason


def start(raft: Raft) -> ElectionRefusal | None:
    """Campaign in the way that the settings ask for."""
    return hup(raft, Campaign.PRE_ELECTION if raft.pre_vote else Campaign.ELECTION)


def campaign(raft: Raft, kind: Campaign) -> None:
    """Ask every voter for its vote. The own vote, too, is a response that waits until it is durable."""
    if kind is Campaign.PRE_ELECTION:
        role.become_pre_candidate(raft)
        request, term = MsgType.PRE_VOTE, raft.term + 1
    else:
        role.become_candidate(raft)
        request, term = MsgType.VOTE, raft.term
    context = TRANSFER_CONTEXT if kind is Campaign.TRANSFER else b""
    last = raft.log.last_id()
    for voter in raft.tracker.voters():
        if voter == raft.id:
            raft.send(Message(_ANSWER[request], voter, term=term))
        else:
            raft.send(
                Message(request, voter, term=term, log_term=last.term, index=last.index, context=context)
            )


def in_lease(raft: Raft) -> bool:
    """Whether a leader was heard of so lately that candidates are ignored (thesis §4.2.3)."""
    return raft.check_quorum and raft.lead != NO_REPLICA and raft.election_elapsed < raft.config.election_tick


def answer_vote(raft: Raft, m: Message) -> None:
    """Grant or refuse a vote or a pre-vote. A learner answers too: it may be a voter without knowing it."""
    can_vote = (
        raft.vote == m.from_
        or (raft.vote == NO_REPLICA and raft.lead == NO_REPLICA)
        or (m.type is MsgType.PRE_VOTE and m.term > raft.term)
    )
    if can_vote and raft.log.is_up_to_date(m.log_term, m.index):
        # The term is that of the request, which for a pre-vote is one that nobody has entered.
        raft.send(Message(_ANSWER[m.type], m.from_, term=m.term))
        if m.type is MsgType.VOTE:
            raft.election_elapsed = 0
            raft.vote = m.from_
    else:
        raft.send(Message(_ANSWER[m.type], m.from_, term=raft.term, reject=True))
