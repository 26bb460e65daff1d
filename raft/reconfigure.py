"""Putting a configuration into force, and what a leader does about it."""

from . import leader, membership, replication, role
from .confchange import ConfChange
from .ids import NO_REPLICA
from .raft import Raft
from .state import ConfState, Role


def apply_conf_change(raft: Raft, change: ConfChange) -> ConfState:
    """Take up the configuration that follows from a change that was committed and is being applied.

    Raises `ConfChangeError`, with nothing changed, if it cannot follow the present one.
    """
    tracker = raft.tracker
    members = membership.change(tracker.conf, tracker.progress, change, raft.new_progress)
    tracker.conf, tracker.progress = members
    if raft.role is Role.LEADER:
        _lead_on(raft)
    return tracker.conf


def _lead_on(raft: Raft) -> None:
    """Draw a leader's conclusions from a new configuration."""
    tracker = raft.tracker
    own = tracker.progress.get(raft.id)
    if own is None or own.is_learner:
        if raft.config.step_down_on_removal:
            role.become_follower(raft, raft.term, NO_REPLICA)
        return
    # A smaller quorum may hold entries that the larger one did not, and may have confirmed reads.
    if replication.maybe_commit(raft):
        replication.broadcast_commit(raft)
    else:
        for replica, progress in tracker.others(raft.id):
            replication.maybe_send_append(raft, replica, progress, send_if_empty=False)
    leader.release_postponed_reads(raft)
    leader.release_confirmed_reads(raft)
    if raft.lead_transferee != NO_REPLICA and not tracker.is_voter(raft.lead_transferee):
        raft.lead_transferee = NO_REPLICA
