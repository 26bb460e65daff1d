"""How much log a group has, and where to cut it."""

from collections import deque
from typing import Final

_MARK_BYTES: Final = 64 * 1024
_SLACK: Final = 1.25
"""A log is cut when it has outgrown its limit by a quarter, so that a cut is worth its write."""


class LogSize:
    """The bytes of a log's entries, by marks of about 64 KiB, so that a cut finds its index."""

    __slots__ = ("_marks", "total")

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque()
        self.total = 0

    def grew(self, first_index: int, last_index: int, size: int) -> None:
        """``size`` bytes of entries took the place of everything from ``first_index`` on.

        A mark that ends there or later is forgotten whole, with what of it lies before: an estimate.
        """
        marks = self._marks
        while marks and marks[-1][0] >= first_index:
            self.total -= marks.pop()[1]
        self.total += size
        if marks and marks[-1][1] + size <= _MARK_BYTES:
            marks[-1] = (last_index, marks[-1][1] + size)
        else:
            marks.append((last_index, size))

    def cut(self, index: int) -> None:
        """Everything at and below ``index`` is gone."""
        while self._marks and self._marks[0][0] <= index:
            self.total -= self._marks.popleft()[1]

    def clear(self) -> None:
        """The log is empty."""
        self._marks.clear()
        self.total = 0

    def index_to_keep(self, limit: int) -> int:
        """Cutting at this index leaves at most ``limit`` bytes; 0 if it is not worth a cut."""
        if self.total <= limit * _SLACK:
            return 0
        excess, index = self.total - limit, 0
        for last, size in self._marks:
            if excess <= 0:
                break
            excess -= size
            index = last
        return index


def cut_index(
    size: LogSize, *, first: int, applied: int, durable: int, keep_bytes: int, keep_entries: int
) -> int | None:
    """Where to cut a log whose first index is ``first``; ``None`` if it is not worth a write.

    Never beyond what is applied *and* durable in the state store: only the log could bring it back.
    """
    by_entries = applied - keep_entries if applied - first > keep_entries * _SLACK else 0
    index = min(max(by_entries, size.index_to_keep(keep_bytes)), durable, applied)
    return index if index >= first else None
