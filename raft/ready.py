"""`Ready`: the work that a replica hands to its host, each part named by when it is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from .entry import Entry
from .ids import LOCAL_APPEND, LOCAL_APPLY
from .messages import Message, MsgType
from .state import HardState, Snapshot, SoftState


class ReadState(NamedTuple):
    """A read request confirmed: serve it once the entry at `index` is applied."""

    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    context: bytes


class ReadDropReason(Enum):
    """Why a read request will not be answered."""

    NO_LEADER = "no leader is known"
    LEADERSHIP_LOST = "the leader that took it stepped down before a quorum had confirmed it"
    LIMIT = "too many reads wait at the leader"


class DroppedRead(NamedTuple):
    """A read request that will not be answered: ask again, under another context."""

    context: bytes
    reason: ReadDropReason


class CommitNotice(NamedTuple):
    """Tells `to` that everything up to `commit` is committed in `term`. Heartbeats repair a loss."""

    to: int
    term: int
    commit: int


class RefusalReason(Enum):
    """Why a leader put an empty entry in the place of a configuration change."""

    PENDING = "an earlier configuration change may not be applied yet"
    JOINT = "a joint configuration must be left first"
    NOT_JOINT = "there is no joint configuration to leave"


class Refusal(NamedTuple):
    """A configuration change that its leader refused; the empty entry stands at (`term`, `index`)."""

    term: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    reason: RefusalReason


@dataclass(slots=True)
class Ready:
    """Work for the host, taken from a replica in one piece.

    The duties, in the asynchronous form: `messages` and `commit_notices` may leave at once, in order.
    `snapshot` first, then `entries`, then `hard_state` go to stable storage as one unit, units in the order
    in which they were handed out; when one is durable, each of its `messages_after_append` is due, in order:
    those to the replica itself are stepped, the others sent. `committed_entries` are to be applied in order
    and then acknowledged.

    In the synchronous form the same holds, with `RawNode.advance` in the place of every message to the
    replica itself, and everything is done before `advance`.

    `entries` replace whatever the storage holds from the first one's index on; `snapshot` replaces the whole
    log, the state machine and the members. `must_sync`: entries, term or vote have to be flushed, not just
    written; a snapshot has to be in any case, also where `must_sync` is False. `soft_state` and `hard_state`
    are `None` unless they changed. `read_states` may be served, each once its index is applied.
    `dropped_reads` were asked for here and will not be answered; `refusals` are configuration changes that
    this leader put an empty entry for.
    """

    soft_state: SoftState | None = None
    """Leader and role, when either changed."""
    hard_state: HardState | None = None
    """To be made durable, when any part changed."""
    entries: list[Entry] = field(default_factory=list)
    """To be made durable; they replace whatever the storage holds from the first one's index on."""
    snapshot: Snapshot | None = None
    """To be made durable, flushed whatever `must_sync` says, and installed; it replaces the whole log."""
    committed_entries: list[Entry] = field(default_factory=list)
    """To be applied now. In the asynchronous form they are durable here already."""
    read_states: list[ReadState] = field(default_factory=list)
    """Reads that may be served, each once its index is applied."""
    dropped_reads: list[DroppedRead] = field(default_factory=list)
    """Reads asked for here that will not be answered. One that was lost on its way is not told of."""
    messages: list[Message] = field(default_factory=list)
    """To be sent; nothing has to be durable for it. (A careful host lets MsgVote wait all the same.)"""
    messages_after_append: list[Message] = field(default_factory=list)
    """To be sent, or stepped if addressed to the replica itself, once the state above is durable."""
    commit_notices: list[CommitNotice] = field(default_factory=list)
    """To be sent after `messages`; only with `Config.commit_notices`."""
    refusals: list[Refusal] = field(default_factory=list)
    """Configuration changes refused since the last Ready."""
    must_sync: bool = False
    """Whether entries, term or vote have to be flushed, rather than just written. Not said of a snapshot."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do at all."""
        return not (
            self.soft_state
            or self.hard_state
            or self.entries
            or self.snapshot
            or self.committed_entries
            or self.read_states
            or self.dropped_reads
            or self.messages
            or self.messages_after_append
            or self.commit_notices
            or self.refusals
        )

    def append_message(self, replica: int) -> Message | None:
        """The storage part of this Ready as the reference words it: a message to the append thread."""
        if not (self.entries or self.hard_state or self.snapshot or self.messages_after_append):
            return None
        message = Message(
            MsgType.STORAGE_APPEND,
            to=LOCAL_APPEND,
            from_=replica,
            entries=self.entries,
            snapshot=self.snapshot,
            responses=self.messages_after_append,
        )
        if self.hard_state is not None:
            message.term, message.vote, message.commit = self.hard_state
        return message

    def apply_message(self, replica: int) -> Message | None:
        """The apply part of this Ready as the reference words it: a message to the apply thread."""
        if not self.committed_entries:
            return None
        return Message(
            MsgType.STORAGE_APPLY,
            to=LOCAL_APPLY,
            from_=replica,
            entries=self.committed_entries,
            responses=(applied_message(replica, self.committed_entries),),
        )


def applied_message(replica: int, entries: Sequence[Entry]) -> Message:
    """The attestation that `entries` have been applied, to be stepped by `replica`."""
    return Message(MsgType.STORAGE_APPLY_RESP, to=replica, from_=LOCAL_APPLY, entries=entries)
