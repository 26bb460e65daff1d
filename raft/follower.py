"""What a follower does with each message."""

from dataclasses import replace

from . import election, role
from .errors import DropReason, ProposalDropped
from .ids import NO_REPLICA
from .membership import restore
from .messages import Message, MsgType
from .raft import Raft
from .ready import DroppedRead, ReadDropReason, ReadState
from .state import Role, Snapshot
from .tracker import Tracker


def forward_proposal(raft: Raft, m: Message) -> None:
    """Pass a proposal on to the leader. Whether it was appended there is not reported back."""
    if raft.lead == NO_REPLICA:
        raise ProposalDropped(DropReason.NO_LEADER)
    if raft.config.disable_proposal_forwarding:
        raise ProposalDropped(DropReason.FORWARDING_DISABLED)
    raft.send(replace(m, to=raft.lead, term=0))


def forward(raft: Raft, m: Message) -> None:
    """Pass a request on to the leader; without one it is lost, and whoever asked asks again."""
    if raft.lead != NO_REPLICA:
        raft.send(replace(m, to=raft.lead, term=0))


def forward_read(raft: Raft, m: Message) -> None:
    """Pass a read request on to the leader."""
    if raft.lead == NO_REPLICA:
        raft.drop_read(m, ReadDropReason.NO_LEADER)
    else:
        forward(raft, m)


def append(raft: Raft, m: Message) -> None:
    """Take entries from the leader of this term."""
    raft.election_elapsed = 0
    raft.lead = m.from_
    take_append(raft, m)


def heartbeat(raft: Raft, m: Message) -> None:
    """Hear from the leader of this term."""
    raft.election_elapsed = 0
    raft.lead = m.from_
    take_heartbeat(raft, m)


def snapshot(raft: Raft, m: Message) -> None:
    """Take a snapshot from the leader of this term, which is its leader even if the snapshot is of no use."""
    raft.election_elapsed = 0
    raft.lead = m.from_
    take_snapshot(raft, m)


def take_append(raft: Raft, m: Message) -> None:
    """Store the entries if they follow what is here, and answer how far the logs agree (§5.3)."""
    log = raft.log
    if m.index < log.committed:
        acknowledge(raft, m.from_, log.committed)
        return
    last_new = log.maybe_append(m.log_term, m.index, m.entries, m.commit)
    if last_new is not None:
        acknowledge(raft, m.from_, last_new)
        return
    # Spare the leader a probe per entry: everything here that is newer than the refused place cannot agree,
    # so the hint is the last place that might.
    hint = log.find_conflict_by_term(min(m.index, log.last_index()), m.log_term)
    raft.send(
        Message(
            MsgType.APP_RESP,
            m.from_,
            index=m.index,
            reject=True,
            reject_hint=hint.index,
            log_term=hint.term,
        )
    )


def acknowledge(raft: Raft, to: int, index: int) -> None:
    """Answer that the logs agree up to `index`; the answer leaves when that is durable."""
    raft.acknowledged = max(raft.acknowledged, index)
    raft.after_append.append(Message(MsgType.APP_RESP, to, raft.id, raft.term, 0, index))


def take_heartbeat(raft: Raft, m: Message) -> None:
    """Learn the commit index and answer, at once: the answer promises nothing about the log."""
    raft.log.commit_to(m.commit)
    raft.messages.append(Message(MsgType.HEARTBEAT_RESP, m.from_, raft.id, raft.term, context=m.context))


def take_commit_notice(raft: Raft, from_: int, term: int, commit: int) -> None:
    """Learn the commit index from a notice: a heartbeat without an answer.

    It counts only in its term, from that term's leader, and only as far as this replica has told that leader
    that the logs agree: beyond, the entries here may be others.
    """
    if term != raft.term or raft.role is not Role.FOLLOWER or raft.lead != from_:
        return
    raft.election_elapsed = 0
    raft.log.commit_to(min(commit, raft.acknowledged))


def take_snapshot(raft: Raft, m: Message) -> None:
    """Install a snapshot if it is of use, and answer how far this replica now is."""
    taken = restore_snapshot(raft, m.snapshot or Snapshot())
    acknowledge(raft, m.from_, raft.log.last_index() if taken else raft.log.committed)


def restore_snapshot(raft: Raft, snapshot: Snapshot) -> bool:
    """Replace log and configuration by `snapshot`; False if it is not needed or not for this replica."""
    log = raft.log
    if snapshot.index <= log.committed:
        return False
    if raft.role is not Role.FOLLOWER:
        # Cannot happen by way of the handlers; stepping aside is safe whatever led here.
        role.become_follower(raft, raft.term + 1, NO_REPLICA)
        return False
    members = snapshot.conf_state
    if raft.id not in (*members.voters, *members.learners, *members.voters_outgoing):
        return False
    if log.match_term(snapshot.term, snapshot.index):
        # The log holds all of it already: only the commit index was behind.
        log.commit_to(snapshot.index)
        return False
    log.restore(snapshot)
    raft.tracker = Tracker(*restore(members, raft.new_progress))
    return True


def forget_leader(raft: Raft) -> None:
    """Stop believing in the leader, so that votes may be granted before the lease ends.

    Not with lease-based reads: the leader relies on the lease.
    """
    if raft.role is Role.FOLLOWER and not raft.lease_based_reads:
        raft.lead = NO_REPLICA


def timeout_now(raft: Raft, _m: Message) -> None:
    """Campaign because the leader asks for it; without a pre-vote, there is nothing to find out."""
    election.hup(raft, election.Campaign.TRANSFER)


def read_index_answer(raft: Raft, m: Message) -> None:
    """A read that this replica passed on is confirmed, or refused: the leader has no room for it."""
    if m.reject:
        raft.dropped_reads.append(DroppedRead(m.context, ReadDropReason.LIMIT))
    else:
        raft.read_states.append(ReadState(m.index, m.context))
