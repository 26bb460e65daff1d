"""A resting replica in a few numbers, and the replica that goes on from them.

A host of many groups keeps no objects for those that rest. Of a replica that lacks nothing its term, its
vote, its leader and the end of its log say everything that its storage does not: `settle` brings it into the
form in which that is so, as it goes to rest; `dormant` says the numbers, and `state_of` makes of them what
`RawNode.from_state` goes on from. The host writes asynchronously.
"""

from collections.abc import Collection
from typing import NamedTuple

from .export import LogRecord, MemberRecord, ReplicaState, export_state
from .ids import NO_REPLICA
from .progress import ProgressState
from .raft import Raft
from .state import ConfState, HardState, Role, SoftState


class Dormant(NamedTuple):
    """A replica at rest: its log ends at `index`, and all of it is committed, durable and applied."""

    leads: bool
    term: int
    vote: int
    lead: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    timeout: int
    """Ticks of silence after which it campaigns, once it is awake."""


def settle(raft: Raft) -> None:
    """Forget, as a replica goes to rest, what it will not miss: clocks start anew when it wakes.

    A leader goes on streaming to the members that have its whole log; the others stay as they are. A follower
    counts all that is committed as agreed on, which it is.
    """
    last = raft.log.last_index()
    leads = raft.role is Role.LEADER
    raft.election_elapsed = raft.heartbeat_elapsed = 0
    raft.pending_conf_index = raft.uncommitted_size = 0
    raft.acknowledged = 0 if leads else last
    for replica, progress in raft.tracker.progress.items():
        if not leads:
            progress.reset(last + 1, 0)
            continue
        progress.recent_active = replica == raft.id
        if progress.match == last:
            progress.become_replicate()
            progress.sent_commit = last


def dormant(raft: Raft) -> Dormant | None:
    """The numbers of a replica that has settled; None if they do not say everything that it knows."""
    numbers = Dormant(
        raft.role is Role.LEADER,
        raft.term,
        raft.vote,
        raft.lead,
        raft.log.last_index(),
        raft.randomized_election_timeout,
    )
    now = export_state(raft, raft.hard_state(), SoftState(raft.lead, raft.role), ())
    return numbers if now == state_of(numbers, raft.id, raft.tracker.conf) else None


def state_of(numbers: Dormant, replica: int, conf: ConfState, lagging: Collection[int] = ()) -> ReplicaState:
    """What replica `replica` of a group with these members knows if the numbers are its own.

    `lagging`: members of which it knows, as their leader, nothing but what they need: the last entry.
    """
    leads, term, vote, lead, index, timeout = numbers
    role = Role.LEADER if leads else Role.FOLLOWER
    members = sorted({*conf.voters, *conf.voters_outgoing, *conf.learners})
    return ReplicaState(
        id=replica,
        async_storage_writes=True,
        role=role,
        term=term,
        vote=vote,
        lead=lead,
        lead_transferee=NO_REPLICA,
        acknowledged=0 if leads else index,
        election_elapsed=0,
        heartbeat_elapsed=0,
        randomized_election_timeout=timeout,
        pending_conf_index=0,
        uncommitted_size=0,
        log=LogRecord(index, index, index, 0, False, index + 1, index + 1, (), None, False),
        conf=conf,
        members=tuple([_member(one, numbers, replica, conf, lagging) for one in members]),
        votes=(),
        reads=(),
        postponed_reads=(),
        read_states=(),
        dropped_reads=(),
        refusals=(),
        messages=(),
        after_append=(),
        commits_to_tell=(),
        shown_hard_state=HardState(term, vote, index),
        shown_soft_state=SoftState(lead, role),
        on_advance=(),
    )


def _member(
    member: int, numbers: Dormant, replica: int, conf: ConfState, lagging: Collection[int]
) -> MemberRecord:
    index, learns = numbers.index, member in conf.learners
    if numbers.leads and member not in lagging:
        state, is_self = ProgressState.REPLICATE, member == replica
        return MemberRecord(member, state, index, index + 1, 0, index, is_self, False, learns, ())
    behind = index if numbers.leads else index + 1
    return MemberRecord(member, ProgressState.PROBE, 0, behind, 0, 0, False, False, learns, ())
