"""The sliding window of append messages in flight to one follower."""

from ._native import ffi, lib
from .errors import GROW, refusal

_new = ffi.new
_add = lib.mr_inflights_add
_free_le = lib.mr_inflights_free_le
_free_first_one = lib.mr_inflights_free_first_one
_full = lib.mr_inflights_full
_grow = lib.mr_inflights_grow
_next_capacity = lib.mr_inflights_next_capacity


class Inflights:
    """At most ``size`` messages in flight, of together about ``max_bytes`` payload bytes (0: no limit).

    The byte limit is soft: the message that crosses it is still taken. A window of size 0 is always full.
    Memory is taken by doubling as it fills and given back by ``reset``.
    Invariants: ``count <= size``; indexes increase; ``bytes`` is the sum over the messages.
    """

    __slots__ = ("_records", "_window")

    def __init__(self, size: int, max_bytes: int = 0) -> None:
        self._window = _new("struct mr_inflights *")
        self._records: object = None  # keeps the ring's memory alive
        lib.mr_inflights_init(self._window, size, max_bytes)

    def add(self, index: int, size: int) -> None:
        """Note a message whose last entry is ``index``, of ``size`` payload bytes.

        Raises Full, or OutOfOrder if the index is not above the newest one; the window is unchanged then.
        """
        status = _add(self._window, index, size)
        if status == GROW:
            self._double()
            status = _add(self._window, index, size)
        if status:
            raise refusal(status, f"message {index}")

    def free_le(self, index: int) -> None:
        """Forget all messages up to ``index``; an index left of the window frees nothing."""
        status = _free_le(self._window, index)
        if status:
            raise refusal(status, f"message {index}")

    def free_first_one(self) -> None:
        """Forget the oldest message, if there is one."""
        status = _free_first_one(self._window)
        if status:
            raise refusal(status, "the oldest message")

    def full(self) -> bool:
        """Whether no further message may be sent."""
        return _full(self._window) != 0

    def reset(self) -> None:
        """Forget everything and give the memory back."""
        lib.mr_inflights_reset(self._window)
        self._records = None

    def items(self) -> list[tuple[int, int]]:
        """The messages in flight as (last index, payload bytes), oldest first."""
        window = self._window
        records, start, capacity = window.records, window.start, window.capacity
        ring = [records[(start + offset) % capacity] for offset in range(window.count)]
        return [(record.index, record.bytes) for record in ring]

    @property
    def count(self) -> int:
        """Messages in flight."""
        count: int = self._window.count
        return count

    @property
    def bytes(self) -> int:
        """Payload bytes in flight."""
        total: int = self._window.bytes
        return total

    @property
    def capacity(self) -> int:
        """Messages that the memory held at present has room for."""
        room: int = self._window.capacity
        return room

    def _double(self) -> None:
        capacity = _next_capacity(self._window)
        records = _new("struct mr_inflight[]", capacity)
        status = _grow(self._window, records, capacity)
        if status:
            raise refusal(status, "the window")
        self._records = records
