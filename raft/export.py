"""A replica's whole volatile state as plain values, to be put away and taken up again.

A host of many groups keeps no objects for those that rest: `RawNode.export_state` gives what has to be kept,
`RawNode.from_state` a replica that goes on from it as if nothing had been. What is not here belongs to the
`Config` that the host keeps: settings, storage (which holds the durable part) and the random source.

Every value is immutable and holds no reference to a live object: numbers, bytes, `None`, enumerations, and
tuples and frozen records of these. Fields are named like those of the objects that they come from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .entry import Entry
from .errors import Misuse
from .inflights import InflightWindow
from .log import RaftLog
from .messages import Message, MsgType
from .progress import Progress, ProgressState
from .raft import Raft
from .readindex import ReadQueue
from .ready import DroppedRead, ReadState, Refusal
from .state import ConfState, HardState, Role, Snapshot, SoftState
from .tracker import Tracker
from .unstable import Unstable


class MessageRecord(NamedTuple):
    """A `Message` that nobody can change any more, field by field."""

    type: MsgType
    to: int
    from_: int
    term: int
    log_term: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    commit: int
    entries: tuple[Entry, ...]
    reject: bool
    reject_hint: int
    context: bytes
    snapshot: Snapshot | None
    vote: int
    responses: "tuple[MessageRecord, ...]"


class MemberRecord(NamedTuple):
    """A `Progress`; `inflights` are (last index, payload bytes) of the appends under way, oldest first."""

    replica: int
    state: ProgressState
    match: int
    next: int
    pending_snapshot: int
    sent_commit: int
    recent_active: bool
    flow_paused: bool
    is_learner: bool
    inflights: tuple[tuple[int, int], ...]


class ReadRecord(NamedTuple):
    """A read that waits for its quorum: the request, its commit index, who has confirmed the leader since."""

    message: MessageRecord
    commit: int
    acknowledged: tuple[int, ...]


class LogRecord(NamedTuple):
    """A `RaftLog` with its `Unstable` part, without what is durable."""

    committed: int
    applying: int
    applied: int
    applying_size: int
    applying_paused: bool
    offset: int
    offset_in_progress: int
    entries: tuple[Entry, ...]
    snapshot: Snapshot | None
    snapshot_in_progress: bool


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """Everything that a `RawNode` knows and its storage and `Config` do not. Indexes, terms and ticks.

    From `reads` to `commits_to_tell`, pairs of (receiver, commit), everything waits to be answered or handed
    out, in order. `shown_hard_state` and `shown_soft_state` are what the host was told of last; `on_advance`
    is what `advance` will step, if a Ready of the synchronous form is still open.
    """

    id: int
    async_storage_writes: bool
    role: Role
    term: int
    vote: int
    lead: int
    lead_transferee: int
    acknowledged: int
    election_elapsed: int
    heartbeat_elapsed: int
    randomized_election_timeout: int
    pending_conf_index: int
    uncommitted_size: int
    log: LogRecord
    conf: ConfState
    members: tuple[MemberRecord, ...]
    votes: tuple[tuple[int, bool], ...]
    reads: tuple[ReadRecord, ...]
    postponed_reads: tuple[MessageRecord, ...]
    read_states: tuple[ReadState, ...]
    dropped_reads: tuple[DroppedRead, ...]
    refusals: tuple[Refusal, ...]
    messages: tuple[MessageRecord, ...]
    after_append: tuple[MessageRecord, ...]
    commits_to_tell: tuple[tuple[int, int], ...]
    shown_hard_state: HardState
    shown_soft_state: SoftState
    on_advance: tuple[MessageRecord, ...]


_PLAIN = (
    "role",
    "term",
    "vote",
    "lead",
    "lead_transferee",
    "acknowledged",
    "election_elapsed",
    "heartbeat_elapsed",
    "randomized_election_timeout",
    "pending_conf_index",
    "uncommitted_size",
)
"""Fields of a `Raft` that are copied as they are."""


def export_state(
    raft: Raft, shown_hard_state: HardState, shown_soft_state: SoftState, on_advance: Iterable[Message]
) -> ReplicaState:
    """What `raft` and the node around it know, copied."""
    return ReplicaState(
        id=raft.id,
        async_storage_writes=raft.config.async_storage_writes,
        log=_log_record(raft.log),
        conf=raft.tracker.conf,
        members=tuple([_member_record(id_, progress) for id_, progress in raft.tracker.progress.items()]),
        votes=tuple(raft.tracker.votes.items()),
        reads=tuple(
            [
                ReadRecord(_message_record(message), commit, acknowledged)
                for message, commit, acknowledged in raft.reads.items()
            ]
        ),
        postponed_reads=_message_records(raft.postponed_reads),
        read_states=tuple(raft.read_states),
        dropped_reads=tuple(raft.dropped_reads),
        refusals=tuple(raft.refusals),
        messages=_message_records(raft.messages),
        after_append=_message_records(raft.after_append),
        commits_to_tell=tuple(raft.commits_to_tell.items()),
        shown_hard_state=shown_hard_state,
        shown_soft_state=shown_soft_state,
        on_advance=_message_records(on_advance),
        **{name: getattr(raft, name) for name in _PLAIN},
    )


def restore_state(raft: Raft, state: ReplicaState) -> None:
    """Make `raft`, which was just created, what `state` was taken of.

    Raises `Misuse` if the settings are not those of the replica that the state was taken of.
    """
    if state.id != raft.id:
        raise Misuse(f"the state is that of replica {state.id}, the settings are those of {raft.id}")
    if state.async_storage_writes != raft.config.async_storage_writes:
        raise Misuse(f"the state was taken with async_storage_writes={state.async_storage_writes}")
    for name in _PLAIN:
        setattr(raft, name, getattr(state, name))
    _restore_log(raft.log, state.log)
    raft.tracker = Tracker(state.conf, {m.replica: _progress(raft, m) for m in state.members})
    raft.tracker.votes = dict(state.votes)
    raft.reads = ReadQueue()
    for read in state.reads:
        raft.reads.restore(message(read.message), read.commit, read.acknowledged)
    raft.postponed_reads = messages(state.postponed_reads)
    raft.read_states = list(state.read_states)
    raft.dropped_reads = list(state.dropped_reads)
    raft.refusals = list(state.refusals)
    raft.messages = messages(state.messages)
    raft.after_append = messages(state.after_append)
    raft.commits_to_tell = dict(state.commits_to_tell)


def message(record: MessageRecord) -> Message:
    """The message that `record` was made of."""
    return Message(*record[:-1], responses=messages(record.responses))


def messages(records: Sequence[MessageRecord]) -> list[Message]:
    """The messages that `records` were made of."""
    return [message(record) for record in records]


def _message_record(m: Message) -> MessageRecord:
    return MessageRecord(
        m.type,
        m.to,
        m.from_,
        m.term,
        m.log_term,
        m.index,
        m.commit,
        tuple(m.entries),
        m.reject,
        m.reject_hint,
        m.context,
        m.snapshot,
        m.vote,
        _message_records(m.responses),
    )


def _message_records(queue: Iterable[Message]) -> tuple[MessageRecord, ...]:
    return tuple([_message_record(m) for m in queue])


def _log_record(log: RaftLog) -> LogRecord:
    unstable = log.unstable
    return LogRecord(
        log.committed,
        log.applying,
        log.applied,
        log.applying_size,
        log.applying_paused,
        unstable.offset,
        unstable.offset_in_progress,
        tuple(unstable.entries),
        unstable.snapshot,
        unstable.snapshot_in_progress,
    )


def _restore_log(log: RaftLog, record: LogRecord) -> None:
    log.committed, log.applying, log.applied, log.applying_size, log.applying_paused = record[:5]
    unstable = log.unstable = Unstable(record.offset)
    unstable.offset_in_progress = record.offset_in_progress
    unstable.entries = list(record.entries)
    unstable.snapshot = record.snapshot
    unstable.snapshot_in_progress = record.snapshot_in_progress


def _member_record(replica: int, progress: Progress) -> MemberRecord:
    return MemberRecord(
        replica,
        progress.state,
        progress.match,
        progress.next,
        progress.pending_snapshot,
        progress.sent_commit,
        progress.recent_active,
        progress.flow_paused,
        progress.is_learner,
        tuple(progress.inflights.items()),
    )


def _progress(raft: Raft, record: MemberRecord) -> Progress:
    progress = Progress(record.next, raft.new_window(), recent_active=record.recent_active)
    progress.state = record.state
    progress.match = record.match
    progress.pending_snapshot = record.pending_snapshot
    progress.sent_commit = record.sent_commit
    progress.flow_paused = record.flow_paused
    progress.is_learner = record.is_learner
    _fill(progress.inflights, record)
    return progress


def _fill(window: InflightWindow, record: MemberRecord) -> None:
    for index, size in record.inflights:
        if window.full():
            raise Misuse(
                f"the window of replica {record.replica} is too small for "
                f"{len(record.inflights)} appends under way"
            )
        window.add(index, size)
