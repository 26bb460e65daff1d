"""Frame kinds, and how large a payload of each kind may be in which phase of a connection."""

from collections.abc import Mapping
from enum import IntEnum

KIB = 1024
MIB = 1024 * KIB


class FrameKind(IntEnum):
    """What the payload of a frame is. The numbers are on the wire: never reuse one (5 is used up)."""

    HELLO = 1
    """Who is speaking; the first frame in both directions."""
    MESSAGES = 2
    """Raft messages of many groups, cut by the sender at 1 MiB (a larger entry goes alone)."""
    REQUEST = 3
    """What a client asks of a node, or one node of another (forwarding)."""
    REPLY = 4
    """The answer to a request."""
    REFUSED = 6
    """Why the sender closes the connection: a typed error."""
    PING = 7
    """Nothing but a sign of life; the payload is empty."""
    OFFER = 8
    """On a snapshot's own connection, as all that follow: which replica would get one, and from whom."""
    GRANT = 9
    """How many bytes more the receiver takes."""
    HEAD = 10
    """Which point of the log the snapshot stands at."""
    CHUNK = 11
    """A piece of its data."""
    DONE = 12
    """The receiver has installed it, or has no use for it."""


HELLO_LIMIT = 4 * KIB
COMMAND_LIMIT = 5 * MIB  # a command or entry of 4 MiB and what is wrapped around it
CHUNK_LIMIT = 2 * MIB + 4 * KIB  # senders cut at 1 MiB at most; one value of 1 MiB may go beyond

Limits = Mapping[int, int]
"""Frame kind → largest payload in bytes; a kind that is not in the mapping is refused."""

GREETING_LIMITS: Limits = {FrameKind.HELLO: HELLO_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""Before the hello of the other side has been accepted."""

PEER_LIMITS: Limits = {
    FrameKind.MESSAGES: COMMAND_LIMIT,
    FrameKind.REQUEST: COMMAND_LIMIT,
    FrameKind.REPLY: COMMAND_LIMIT,
    FrameKind.REFUSED: HELLO_LIMIT,
    FrameKind.PING: 0,
}
"""What a node takes from a node."""

REQUEST_LIMITS: Limits = {FrameKind.REQUEST: COMMAND_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""What a node takes from a client."""

REPLY_LIMITS: Limits = {FrameKind.REPLY: COMMAND_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""What a client takes from a node."""

SENDER_LIMITS: Limits = {
    FrameKind.OFFER: 64,
    FrameKind.HEAD: 192 * KIB,  # members and metadata of at most 64 KiB each
    FrameKind.CHUNK: CHUNK_LIMIT,
    FrameKind.REFUSED: HELLO_LIMIT,
}
"""What a node takes from a node that sends it a snapshot."""

RECEIVER_LIMITS: Limits = {
    FrameKind.GRANT: 8,
    FrameKind.DONE: 0,
    FrameKind.REFUSED: HELLO_LIMIT,
}
"""What a node takes from a node that it sends a snapshot to."""
