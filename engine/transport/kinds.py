"""Frame kinds, and how large a payload of each kind may be in which phase of a connection."""

from collections.abc import Mapping
from enum import IntEnum

from ...native.frames import MAX_PAYLOAD

KIB = 1024
MIB = 1024 * KIB


class FrameKind(IntEnum):
    """What the payload of a frame is. The numbers are on the wire: never reuse one."""

    HELLO = 1
    """Who is speaking; the first frame in both directions."""
    MESSAGES = 2
    """Raft messages of many groups, cut by the sender at 1 MiB (a larger entry goes alone)."""
    REQUEST = 3
    """What a client asks of a node, or one node of another (forwarding)."""
    REPLY = 4
    """The answer to a request."""
    SNAPSHOT = 5
    """One snapshot message, at most 64 MiB of data."""
    REFUSED = 6
    """Why the sender closes the connection: a typed error."""
    PING = 7
    """Nothing but a sign of life; the payload is empty."""


HELLO_LIMIT = 4 * KIB
COMMAND_LIMIT = 5 * MIB  # a command or entry of 4 MiB and what is wrapped around it
SNAPSHOT_LIMIT = MAX_PAYLOAD  # 64 MiB of data and what is wrapped around it

Limits = Mapping[int, int]
"""Frame kind → largest payload in bytes; a kind that is not in the mapping is refused."""

GREETING_LIMITS: Limits = {FrameKind.HELLO: HELLO_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""Before the hello of the other side has been accepted."""

PEER_LIMITS: Limits = {
    FrameKind.MESSAGES: COMMAND_LIMIT,
    FrameKind.REQUEST: COMMAND_LIMIT,
    FrameKind.REPLY: COMMAND_LIMIT,
    FrameKind.SNAPSHOT: SNAPSHOT_LIMIT,
    FrameKind.REFUSED: HELLO_LIMIT,
    FrameKind.PING: 0,
}
"""What a node takes from a node."""

REQUEST_LIMITS: Limits = {FrameKind.REQUEST: COMMAND_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""What a node takes from a client."""

REPLY_LIMITS: Limits = {FrameKind.REPLY: COMMAND_LIMIT, FrameKind.REFUSED: HELLO_LIMIT}
"""What a client takes from a node."""
