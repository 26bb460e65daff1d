"""Intervals of keys: start inclusive, end exclusive, ``b""`` the lowest key, an end of None unbounded above.

The whole key space is ``KeyRange(b"", None)``. A bound of None compares like a key greater than all others.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

Interval: TypeAlias = tuple[bytes, bytes | None]
"""Start and end: what a :class:`KeyRange` is when nothing is asked of it."""

SHOWN_BYTES = 40


class KeyRange(NamedTuple):
    """The keys of ``[start, end)``. A plain pair of bounds compares equal to it and unpacks alike."""

    start: bytes
    end: bytes | None

    @property
    def empty(self) -> bool:
        """Whether no key lies in it."""
        return self.end is not None and self.end <= self.start

    def covers(self, key: bytes) -> bool:
        """Whether the key lies in it."""
        return self.start <= key and (self.end is None or key < self.end)

    def overlaps(self, other: Interval) -> bool:
        """Whether some key lies in both. An empty interval overlaps nothing."""
        start, end = other
        return not KeyRange(max(self.start, start), lower_end(self.end, end)).empty

    def __str__(self) -> str:
        end = "∞" if self.end is None else shown(self.end)
        return f"[{shown(self.start)}, {end})"


def lower_end(left: bytes | None, right: bytes | None) -> bytes | None:
    """The lower of two ends."""
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


def reaches(end: bytes | None, key: bytes) -> bool:
    """Whether an interval with this end goes on at ``key``, if it has begun before."""
    return end is None or end > key


def uncovered_parts(within: Interval, ranges: Iterable[Interval]) -> Iterator[KeyRange]:
    """What of an interval no range covers, in order.

    ``ranges`` ascend and do not overlap one another; they may reach beyond the interval or lie outside it.
    """
    place, end = within
    for start, stop in ranges:
        if not reaches(end, start):
            break
        if start > place:
            yield KeyRange(place, start)
        if stop is None:
            return
        place = max(place, stop)
    rest = KeyRange(place, end)
    if not rest.empty:
        yield rest


def shown(key: bytes) -> str:
    """A key as errors show it: cut off if it is long."""
    return repr(key) if len(key) <= SHOWN_BYTES else f"{key[:SHOWN_BYTES]!r}…"
