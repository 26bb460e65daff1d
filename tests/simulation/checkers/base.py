"""What every checker is made of: what it is told, and how it objects.

A checker knows nothing of the faults that a run injects. It is told what happened, in the order in which it
happened, and raises a :class:`Violation` at the first thing that must not be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message

Touched = Mapping[int, Replica | None]
"""By group the replicas that a turn may have changed."""


class Violation(AssertionError):
    """A promise that was broken: which checker says so, and what it saw."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker
        self.text = text


class Kind(StrEnum):
    """What a client may ask for. ``Kind("get")`` and plain strings compare equal."""

    PUT = "put"
    GET = "get"
    DELETE = "delete"
    CAS = "cas"
    BATCH = "batch"
    SCAN = "scan"
    STALE_GET = "stale_get"
    CREATE_RANGES = "create_ranges"
    DELETE_RANGES = "delete_ranges"


class Outcome(StrEnum):
    """What the caller was told."""

    PENDING = "pending"
    """Nothing yet."""
    OK = "ok"
    """Done, with a result."""
    REFUSED = "refused"
    """A write that was not and will not be applied: a Retryable or Fatal error, or an InvalidArgument."""
    UNKNOWN = "unknown"
    """A write that may or may not take effect, now or later: OutcomeUnknown, or its caller is gone."""
    FAILED = "failed"
    """A read without an answer."""


@dataclass(slots=True, eq=False)
class Operation:
    """Something that a client asked for. No value is written by two operations of a history.

    ===============  ====================  ===============================  ===============================
    kind             keys                  arguments                        result if OK
    ===============  ====================  ===============================  ===============================
    put              (key,)                (value,)                         None
    get, stale_get   (key,)                ()                               value or None
    delete           (key,)                ()                               whether it was there
    cas              (key,)                (expected or None, new or None)  whether it swapped
    batch            the keys, in order    a value or None for each key     None
    scan             ()                    (start, stop, reverse, limit)    tuple of (key, value)
    create_ranges    ()                    (start, end) of each range       (created, existing)
    delete_ranges    all keys that are     (start, end) of the interval     how many were deleted
                     used in it
    ===============  ====================  ===============================  ===============================

    ``stop``, ``end`` and ``limit`` may be None: no bound.
    """

    id: int
    client: int
    kind: Kind
    keys: tuple[bytes, ...] = ()
    arguments: tuple[Any, ...] = ()
    invoked: float = 0.0
    returned: float | None = None
    """When the caller was told; None while it waits. An unknown outcome may take effect later still."""
    outcome: Outcome = Outcome.PENDING
    result: Any = None
    error: str = ""
    """What else but OK the caller was told."""

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.kind not in {Kind.GET, Kind.STALE_GET, Kind.SCAN}

    def __repr__(self) -> str:
        what = " ".join(map(repr, (*self.keys, *self.arguments)))
        told = self.error or repr(self.result) if self.outcome is not Outcome.PENDING else ""
        until = "..." if self.returned is None else f"{self.returned:.3f}"
        return (
            f"#{self.id} client {self.client}: {self.kind} {what} -> {self.outcome} {told} "
            f"[{self.invoked:.3f}, {until}]"
        )


class Cluster(Protocol):
    """What a run shows of itself at its end."""

    @property
    def nodes(self) -> Mapping[int, Node]:
        """The nodes that run, by id."""
        ...

    @property
    def excused(self) -> Collection[int]:
        """Nodes that lost their disk, or hold flipped bits in their log: they need not catch up."""
        ...


class Checker:
    """The hooks, in the order in which one turn calls them; each does nothing unless overridden.

    A turn of a node at time ``now``: ``passed(now)``, then `Node.turn`, then ``staged`` if it staged a batch
    (also for what `Node.start` and the bootstrap stage), ``sent`` for each message of the frames that it put
    out, ``turned``, and ``completed`` for what its answers complete. ``committed`` comes the moment a batch
    is durable, whether or not its node lives to hear of it.
    """

    @property
    def name(self) -> str:
        """How its violations are signed."""
        return type(self).__module__.rpartition(".")[2]

    def violation(self, text: str) -> Violation:
        """An objection, to be raised."""
        return Violation(self.name, text)

    # -- nodes ---------------------------------------------------------------------------------------------

    def started(self, node_id: int, node: Node) -> None:
        """`Node.start` has returned; no turn was taken yet."""

    def begun(self, node_id: int, replica: Replica) -> None:
        """A replica that had not been started with its node has been now."""

    def stopped(self, node_id: int) -> None:
        """The process is gone, crashed or closed: what was staged and not committed will never commit."""

    def lost(self, node_id: int) -> None:
        """The node, which does not run, has lost its disk: if it starts again, then on an empty one."""

    def damaged(self, node_id: int) -> None:
        """Bits on the node's disk were flipped: what it reads may fail, and replicas may be set aside."""

    def state_lost(self, node_id: int) -> None:
        """The node's state store is gone, old or damaged, and its log is whole: it must catch up."""

    def poisoned(self, node_id: int, group: int) -> None:
        """The group's machine on this node may raise from now on, until the node stops; 0: on every node."""

    # -- the log store -------------------------------------------------------------------------------------

    def staged(self, node_id: int, seq: int, writes: Sequence[GroupWrite]) -> None:
        """A batch was handed to the log store."""

    def committed(self, node_id: int, seq: int) -> None:
        """That batch is durable."""

    def rolled_back(self, node_id: int, seq: int) -> None:
        """That batch will never commit; what it said may be staged again in another one."""

    # -- turns ---------------------------------------------------------------------------------------------

    def passed(self, now: float) -> None:
        """Time has moved to `now`."""

    def sent(self, node_id: int, to: int, group: int, message: Message) -> None:
        """A Raft message leaves for node `to`; commit notices and "unknown group" are none."""

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        """A turn is over; nothing has changed in other replicas than these. None: the group does not run."""

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        """The replica has applied these entries, in order. Derived from ``turned``, and called before it."""

    def installed(self, node_id: int, replica: Replica) -> None:
        """The replica's state is a snapshot's now. Derived from ``turned``, and called before it."""

    # -- clients -------------------------------------------------------------------------------------------

    def invoked(self, op: Operation) -> None:
        """A client asks."""

    def completed(self, op: Operation) -> None:
        """`op.outcome` and `op.returned` are set."""

    def queued(self, node_id: int, size: int, waiting: int, most: int) -> None:
        """After a turn: bytes and number of the node's unanswered requests, and its limit of bytes."""

    # -- the end -------------------------------------------------------------------------------------------

    def healed(self, now: float) -> None:
        """All faults are over: nodes that can run do, the network delivers, disks write."""

    def finished(self, cluster: Cluster) -> None:
        """The run is over, and the cluster has come to rest."""
