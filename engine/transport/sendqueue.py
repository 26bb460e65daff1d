"""What waits to be written to one connection: bounded by bytes, urgent frames first."""

from collections import deque

CHUNK_BYTES = 256 * 1024


class SendQueue:
    """Whole frames, in order within each of two classes. ``0 <= waiting <= limit``, or one single frame."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._urgent: deque[bytes] = deque()
        self._normal: deque[bytes] = deque()
        self.waiting = 0

    def offer(self, frame: bytes, urgent: bool, unsent: int) -> bool:
        """Take a frame unless that would exceed the limit; ``unsent`` bytes wait further down already.

        A frame that is larger than the limit by itself (a snapshot) is taken when nothing else waits.
        """
        backlog = self.waiting + unsent
        if backlog and backlog + len(frame) > self.limit:
            return False
        (self._urgent if urgent else self._normal).append(frame)
        self.waiting += len(frame)
        return True

    def take(self) -> bytes:
        """The next frames as one piece of about ``CHUNK_BYTES``, one frame at least; empty if none waits."""
        pieces: list[bytes] = []
        size = 0
        for frames in (self._urgent, self._normal):
            while frames and (not pieces or size + len(frames[0]) <= CHUNK_BYTES):
                pieces.append(frames.popleft())
                size += len(pieces[-1])
        self.waiting -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def clear(self) -> None:
        """Drop everything: the connection is gone."""
        self._urgent.clear()
        self._normal.clear()
        self.waiting = 0
