"""What a replica tells about itself: copies, so that they can be kept and shown."""

from dataclasses import dataclass

from .progress import Progress, ProgressState
from .raft import Raft
from .state import ConfState, HardState, Role, SoftState


@dataclass(frozen=True, slots=True)
class BasicStatus:
    """What is cheap to tell: no member is looked at.

    `hard_state` is the newest, not the durable one. `applied`: the last index reported as applied.
    `lead_transferee`: to whom this leader hands over, or 0.
    """

    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    lead_transferee: int


@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """What a leader knows of one member.

    `match`: the last index at which the logs are known to agree. `next`: the first one to be sent.
    `paused`: nothing may be sent before an answer. `pending_snapshot`: index of the one on its way, or 0.
    `recent_active`: heard of since the last quorum check. `inflight`: appends on the way.
    """

    state: ProgressState
    match: int
    next: int
    is_learner: bool
    paused: bool
    pending_snapshot: int
    recent_active: bool
    inflight: int
    inflight_full: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Everything: the basic part, the configuration, and on a leader the progress of each member by its id.

    `progress` is empty on any other replica.
    """

    basic: BasicStatus
    conf_state: ConfState
    progress: dict[int, ProgressStatus]


def basic_status(raft: Raft) -> BasicStatus:
    """The cheap part of the status."""
    soft_state = SoftState(raft.lead, raft.role)
    return BasicStatus(raft.id, raft.hard_state(), soft_state, raft.log.applied, raft.lead_transferee)


def progress_status(progress: Progress) -> ProgressStatus:
    """A copy of what `progress` says."""
    return ProgressStatus(
        progress.state,
        progress.match,
        progress.next,
        progress.is_learner,
        progress.paused,
        progress.pending_snapshot,
        progress.recent_active,
        progress.inflights.count,
        progress.inflights.full(),
    )


def status(raft: Raft) -> Status:
    """The whole status."""
    members = raft.tracker.progress.items() if raft.role is Role.LEADER else ()
    return Status(
        basic_status(raft), raft.conf_state(), {replica: progress_status(p) for replica, p in members}
    )
