"""The sliding window of appends that are on their way to one follower."""

from collections.abc import Sequence
from typing import Protocol

from .errors import Misuse


class InflightWindow(Protocol):
    """What a `Progress` needs of its window; `Inflights` is the default, a host may bring its own."""

    @property
    def count(self) -> int:
        """Appends in the window."""
        ...

    @property
    def bytes(self) -> int:
        """Payload bytes of the appends in the window."""
        ...

    def add(self, index: int, size: int) -> None:
        """Note an append whose last entry is at `index`, of `size` payload bytes. `Misuse` if full."""
        ...

    def free_le(self, index: int) -> None:
        """Forget every append whose last entry is at or before `index`."""
        ...

    def free_first_one(self) -> None:
        """Forget the oldest append."""
        ...

    def full(self) -> bool:
        """Whether no further append may be added."""
        ...

    def reset(self) -> None:
        """Forget every append."""
        ...

    def items(self) -> Sequence[tuple[int, int]]:
        """The appends in the window as (last index, payload bytes), oldest first: adding them restores it."""
        ...


class Inflights:
    """A ring of (last index, payload bytes), bounded by count and, softly, by bytes.

    The buffer grows by doubling, because nearly all windows of a node with many groups stay nearly empty.

    Invariants: ``0 <= count <= size``; ``count <= len(buffer) <= max(size, 1)``; indexes ascend from `start`;
    ``bytes`` is the sum over the window.
    """

    __slots__ = ("_buffer", "_start", "bytes", "count", "max_bytes", "size")

    def __init__(self, size: int, max_bytes: int = 0) -> None:
        """Hold at most `size` appends, and accept none once `max_bytes` (0: no limit) are reached."""
        self.size = size
        self.max_bytes = max_bytes
        self.count = 0
        self.bytes = 0
        self._start = 0
        self._buffer: list[tuple[int, int]] = []

    def add(self, index: int, size: int) -> None:
        """Note an append whose last entry is at `index`, of `size` payload bytes. `Misuse` if full."""
        if self.full():
            raise Misuse(
                f"append up to {index} added to a full window ({self.count} appends, {self.bytes} bytes)"
            )
        if self.count == len(self._buffer):
            self._grow()
        buffer = self._buffer
        buffer[(self._start + self.count) % len(buffer)] = (index, size)
        self.count += 1
        self.bytes += size

    def _grow(self) -> None:
        """Double the buffer, up to `size`, unrolling the ring to its front."""
        buffer, start = self._buffer, self._start
        capacity = min(self.size, max(1, 2 * len(buffer)))
        self._buffer = buffer[start:] + buffer[:start] + [(0, 0)] * (capacity - len(buffer))
        self._start = 0

    def free_le(self, index: int) -> None:
        """Forget every append whose last entry is at or before `index`."""
        while self.count and self._buffer[self._start][0] <= index:
            self.free_first_one()

    def free_first_one(self) -> None:
        """Forget the oldest append; does nothing on an empty window."""
        if not self.count:
            return
        self.bytes -= self._buffer[self._start][1]
        self.count -= 1
        # An empty window starts again at the front, so that it is not grown without need.
        self._start = (self._start + 1) % len(self._buffer) if self.count else 0

    def full(self) -> bool:
        """Whether no further append may be added."""
        return self.count >= self.size or 0 < self.max_bytes <= self.bytes

    def reset(self) -> None:
        """Forget every append, keeping the buffer."""
        self.count = 0
        self.bytes = 0
        self._start = 0

    def items(self) -> Sequence[tuple[int, int]]:
        """The appends in the window as (last index, payload bytes), oldest first: adding them restores it."""
        buffer, start = self._buffer, self._start
        return [buffer[(start + offset) % len(buffer)] for offset in range(self.count)]
