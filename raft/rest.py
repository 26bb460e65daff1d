"""Rest: a group with nothing left to do can go without heartbeats until something happens.

Who rests gets no ticks: no beats, no elections, no quorum checks. The host has to know by other means that
the leader's node lives, and must wake the replica before it does anything else to it.
"""

from .ids import NO_REPLICA
from .raft import Raft
from .state import Role


def idle_members(raft: Raft) -> list[int] | None:
    """The other members for which this leader has nothing left to do; None while it has for any.

    Members not heard of since the last quorum check are left out: a dead one keeps nobody awake. The others
    have the whole log, and all of it is committed and applied.
    """
    log = raft.log
    last = log.last_index()
    if raft.role is not Role.LEADER or raft.lead_transferee != NO_REPLICA or raft.tracker.is_joint():
        return None
    if not log.applied == log.committed == last or raft.waiting_reads() or not raft.has_committed_in_term():
        return None
    members = []
    for member, progress in raft.tracker.others(raft.id):
        if progress.recent_active:
            if progress.match != last:
                return None
            members.append(member)
    return members


def may_rest(raft: Raft, leader: int, term: int, commit: int) -> bool:
    """Whether this follower has nothing to do but follow a leader whose log ends, committed, at `commit`."""
    log = raft.log
    return (
        (raft.role, raft.lead, raft.term) == (Role.FOLLOWER, leader, term)
        and log.unstable.snapshot is None
        and not log.unstable.entries
        and log.applied == log.committed == log.last_index() == commit
    )


def wake(raft: Raft) -> None:
    """Go on after a rest, with clocks of which none is about to run out.

    A leader beats at its next tick, and has a whole interval until it checks its quorum; nobody counts as
    heard of yet. A follower has a whole timeout until it campaigns: its leader has to wake, too.
    """
    raft.election_elapsed = 0
    if raft.role is Role.LEADER:
        raft.heartbeat_elapsed = raft.config.heartbeat_tick - 1
        raft.tracker.mark_inactive(except_for=raft.id)


def hasten(raft: Raft) -> None:
    """Let a follower that knows no leader campaign with its next tick: somebody waits for one."""
    if raft.role is Role.FOLLOWER and raft.lead == NO_REPLICA:
        raft.election_elapsed = max(raft.election_elapsed, raft.randomized_election_timeout - 1)


def wake_orphan(raft: Raft) -> None:
    """Go on after a rest whose leader's node has been silent for an election timeout.

    Nobody is refused a vote for this leader's sake; what is left to wait is the random part of the timeout.
    """
    if raft.role is Role.FOLLOWER and not raft.lease_based_reads:
        raft.lead = NO_REPLICA
        raft.election_elapsed = max(raft.election_elapsed, raft.config.election_tick)
