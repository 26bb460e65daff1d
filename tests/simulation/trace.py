"""What happened, for people and for comparison: the last part of it readable, all of it in one hash."""

import hashlib
from collections import deque

from multiraft.engine.outbox import OutFrame
from multiraft.engine.wire import COMMIT_NOTICE, STATE_REQUEST, UNKNOWN_GROUP, Received, read_frame
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft import describe

KEPT = 20_000
"""Events that can be read afterwards."""


class Trace:
    """Takes note of events. The hash covers all of them; texts are only made when somebody reads."""

    def __init__(self, kept: int = KEPT) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._events: deque[tuple[float, int, str | OutFrame]] = deque(maxlen=kept)

    def note(self, now: float, node: int, kind: str, text: str) -> None:
        """Something that is easily said; node 0 is the world."""
        self._hash.update(f"{now:.9f} {node} {kind} {text}\n".encode())
        self._events.append((now, node, f"{kind} {text}"))

    def frame(self, now: float, node: int, frame: OutFrame) -> None:
        """A node puts a frame on the wire."""
        self._hash.update(b"%.9f %d %d " % (now, node, frame.node))
        self._hash.update(frame.data)
        self._events.append((now, node, frame))

    def digest(self) -> str:
        """The hash of everything so far."""
        return self._hash.hexdigest()

    def lines(self, last: int = KEPT) -> list[str]:
        """The last events."""
        events = list(self._events)[-last:]
        return [f"{now:10.6f} {_who(node)} {_text(event)}" for now, node, event in events]


def _text(event: str | OutFrame) -> str:
    return event if isinstance(event, str) else describe_frame(event)


def _who(node: int) -> str:
    return f"node {node}" if node else "world "


def describe_frame(frame: OutFrame) -> str:
    """The messages of a frame, one a line."""
    messages = "\n".join(f"{'':20}{describe_row(row)}" for row in rows_of(frame))
    return f"sends node {frame.node}\n{messages}"


def rows_of(frame: OutFrame) -> list[Received]:
    """The messages of a frame."""
    return list(read_frame(frame.data[HEADER_SIZE:])[1])


def describe_row(row: Received) -> str:
    """One message."""
    message = row.message
    if row.kind == COMMIT_NOTICE:
        what = f"{message.from_}->{message.to} CommitNotice Term:{message.term} Commit:{message.commit}"
    elif row.kind == UNKNOWN_GROUP:
        what = f"->{message.to} UnknownGroup"
    elif row.kind == STATE_REQUEST:
        what = f"{message.from_}->{message.to} StateRequest"
    else:
        what = describe.describe_message(message)
    return f"group {row.group}: {what}"
