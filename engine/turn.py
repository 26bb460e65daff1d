"""What goes into a turn of a node and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..raft.entry import Entry
from .applying import Applied, ApplyWork
from .errors import Error
from .figures import TurnFigures
from .held import Promise
from .logstore.port import Batch, GroupWrite
from .outbox import Outbox, OutFrame
from .pending import Answer, Proposal, Read
from .replica import Replica
from .runs import Runs
from .snapshots.work import StreamEffects, StreamEvent, Worked
from .statemachine.store import Flush


@dataclass(slots=True)
class Inputs:
    """Everything that has happened since the last turn, each list in order of arrival."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    """(sending node, payload of a MESSAGES frame)."""
    streams: list[StreamEvent] = field(default_factory=list)
    """What came of the connections of snapshots."""
    worked: list[Worked] = field(default_factory=list)
    """What became of the work that snapshots wanted done."""
    proposals: list[Proposal] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    durable: list[Batch] = field(default_factory=list)
    """Batches that the log writer has made durable, oldest first."""
    refused: list[Batch] = field(default_factory=list)
    """Batches that the disk has refused, and those behind them: they are written again after ``resume``."""
    resume: bool = False
    """The log's files are in order again: it may begin a new run. No batch is in flight."""
    trouble: list[Error | None] = field(default_factory=list)
    """Why the disk refuses writes from now on, or None: it does not any more."""
    flushed: list[Flush] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    """What became of the commands that were to be applied outside the turn."""
    peers_lost: list[int] = field(default_factory=list)
    """Nodes whose connection broke."""
    frames_dropped: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    """(node, groups) of frames that the transport could not take."""

    def __bool__(self) -> bool:
        return bool(
            self.frames
            or self.streams
            or self.worked
            or self.proposals
            or self.reads
            or self.durable
            or self.refused
            or self.resume
            or self.trouble
            or self.flushed
            or self.applied
            or self.peers_lost
            or self.frames_dropped
        )


@dataclass(slots=True)
class Effects:
    """What the shell has to do, in this order."""

    batch: Batch | None = None
    """For the log writer."""
    frames: list[OutFrame] = field(default_factory=list)
    """For the peers; all of it may leave now."""
    flush: Flush | None = None
    """For the state store's thread."""
    streams: StreamEffects = field(default_factory=StreamEffects)
    """For snapshots on their way. Work that writes goes to the state store's thread, behind the flush."""
    answers: list[Answer] = field(default_factory=list)
    """For the callers."""
    leaders: list[int] = field(default_factory=list)
    """Groups of which this node has just heard who leads them: for those who wait for that."""
    applies: list[ApplyWork] = field(default_factory=list)
    """Commands that machines apply outside the turn."""
    hang_up: list[tuple[int, Error]] = field(default_factory=list)
    """Peers that sent what no peer may send."""
    again: bool = False
    """Work is left: take another turn as soon as the loop has looked at its sockets."""
    figures: TurnFigures = field(default_factory=TurnFigures)
    """Nothing to do: how long the turn took, and how much it did."""


@dataclass(slots=True)
class Turn:
    """The scratch of one turn, handed from phase to phase."""

    now: float
    runs: Runs
    outbox: Outbox
    effects: Effects
    writes: list[tuple[GroupWrite, Replica]] = field(default_factory=list)
    held: list[Promise] = field(default_factory=list)
    to_apply: list[tuple[Replica, Sequence[Entry]]] = field(default_factory=list)

    @property
    def streams(self) -> StreamEffects:
        """What snapshots want of the shell."""
        return self.effects.streams
