"""What snapshots want of the shell around a node and hear of it: connections, and work off the loop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import Error
from ..transport.kinds import FrameKind

Stream = object
"""A snapshot's connection. What the sender dials is known by the sender's own token, what comes in by the
shell's; both are compared by identity."""


class StreamEvent(NamedTuple):
    """A frame of a connection; ``kind`` None: it is gone, or never came about."""

    stream: Stream
    node: int
    kind: FrameKind | None
    payload: bytes = b""


class Work(NamedTuple):
    """A call that may take longer than the loop may wait.

    Calls that write are made one after the other, in order with the flushes of the state store; those that
    read, one after the other, beside them.
    """

    call: Callable[[], object]
    token: object
    writes: bool


class Worked(NamedTuple):
    """What became of it."""

    token: object
    value: object
    error: BaseException | None = None


class Dial(NamedTuple):
    """Connect to a node, and send it this frame as soon as it has agreed to talk."""

    stream: Stream
    node: int
    first: bytes


@dataclass(slots=True)
class StreamEffects:
    """What one turn wants, each list in order."""

    dials: list[Dial] = field(default_factory=list)
    frames: list[tuple[Stream, bytes]] = field(default_factory=list)
    """A connection that cannot take one is broken: chunks that must not be missing follow each other."""
    closes: list[tuple[Stream, Error | None]] = field(default_factory=list)
    """After what is queued; the other side is told the error."""
    work: list[Work] = field(default_factory=list)
