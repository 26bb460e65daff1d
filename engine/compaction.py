"""How much log a group has, how old it is, and where to cut it."""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from .config import EngineConfig

_MARK_BYTES: Final = 64 * 1024
_SLACK: Final = 1.25
"""A log is cut when it has outgrown its limit by a quarter, so that a cut is worth its write."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept behind the applied index, for followers that lag: whichever limit is met first."""

    bytes: int
    entries: int
    seconds: float

    @classmethod
    def of(cls, config: EngineConfig) -> "Retention":
        """As a node is told to."""
        return cls(config.log_keep_bytes, config.log_keep_entries, config.log_keep_ms / 1000)


class _Mark(NamedTuple):
    """Consecutive entries, up to `last`."""

    last: int
    size: int
    began: float
    grew: float
    """When its newest entry came."""


class LogSize:
    """The bytes of a log's entries and when they came, by marks of about 64 KiB: a cut finds its index.

    A mark that is being written takes nothing more in after a sixteenth of the time that entries are kept.
    """

    __slots__ = ("_marks", "_span", "total")

    def __init__(self, keep_s: float = float("inf")) -> None:
        self._marks: deque[_Mark] = deque()
        self._span = keep_s / 16
        self.total = 0

    @property
    def grew_at(self) -> float:
        """When entries came last; long ago if there are none."""
        return self._marks[-1].grew if self._marks else float("-inf")

    def found(self, first_index: int, last_index: int, size: int, now: float) -> None:
        """The log has entries of ``size`` bytes, of which nothing more is known: they count as new."""
        marks = min(max(1, size // _MARK_BYTES), last_index - first_index + 1)
        entries = last_index - first_index + 1
        for number in range(1, marks + 1):
            share = size * number // marks - size * (number - 1) // marks
            self._marks.append(_Mark(first_index - 1 + entries * number // marks, share, now, now))
        self.total += size

    def grew(self, first_index: int, last_index: int, size: int, now: float) -> None:
        """``size`` bytes of entries took the place of everything from ``first_index`` on.

        A mark that ends there or later is forgotten whole, with what of it lies before: an estimate.
        """
        marks = self._marks
        while marks and marks[-1].last >= first_index:
            self.total -= marks.pop().size
        self.total += size
        newest = marks[-1] if marks else None
        if newest is not None and newest.size + size <= _MARK_BYTES and now - newest.began <= self._span:
            marks[-1] = _Mark(last_index, newest.size + size, newest.began, now)
        else:
            marks.append(_Mark(last_index, size, now, now))

    def cut(self, index: int) -> None:
        """Everything at and below ``index`` is gone."""
        while self._marks and self._marks[0].last <= index:
            self.total -= self._marks.popleft().size

    def clear(self) -> None:
        """The log is empty."""
        self._marks.clear()
        self.total = 0

    def index_to_keep(self, limit: int) -> int:
        """Cutting at this index leaves at most ``limit`` bytes; 0 if it is not worth a cut."""
        if self.total <= limit * _SLACK:
            return 0
        excess, index = self.total - limit, 0
        for mark in self._marks:
            if excess <= 0:
                break
            excess -= mark.size
            index = mark.last
        return index

    def index_older_than(self, moment: float) -> int:
        """Entries up to this index came before a moment; 0 if none did."""
        index = 0
        for mark in self._marks:
            if mark.grew >= moment:
                break
            index = mark.last
        return index

    def bytes_behind(self, index: int) -> int:
        """Bytes of the entries that follow ``index``, and of a few before it."""
        size = 0
        for mark in reversed(self._marks):
            if mark.last <= index:
                break
            size += mark.size
        return size


def cut_index(
    size: LogSize, *, first: int, applied: int, keep_to: int, keep: Retention, now: float
) -> int | None:
    """Where to cut a log whose first index is ``first``; ``None`` if it is not worth a write.

    Never beyond ``keep_to``: what is applied *and* durable in the state store, as only the log could bring it
    back, nor beyond what a snapshot under way will need.
    """
    by_entries = applied - keep.entries if applied - first > keep.entries * _SLACK else 0
    wanted = max(by_entries, size.index_to_keep(keep.bytes), size.index_older_than(now - keep.seconds))
    index = min(wanted, keep_to, applied)
    return index if index >= first else None
