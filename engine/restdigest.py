"""Resting groups of one pair of nodes: which, and a digest by which both sides see whether they agree."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

_MASK: Final = (1 << 64) - 1


class RestPoint(NamedTuple):
    """Where a group rests: its leader's term, and the index at which every log ends."""

    term: int
    commit: int


class RestDigest:
    """Groups and their points, and the sum over all of them, in which no order counts."""

    __slots__ = ("_groups", "_sorted", "total")

    def __init__(self) -> None:
        self._groups: dict[int, RestPoint] = {}
        self._sorted: list[int] | None = []
        self.total = 0
        """Sum of :func:`mixed` over the groups, modulo 2^64."""

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, group: int) -> bool:
        return group in self._groups

    def __iter__(self) -> Iterator[int]:
        """The groups, ascending; they may change meanwhile."""
        return iter(self._ascending())

    def add(self, group: int, point: RestPoint) -> None:
        """A group rests that did not."""
        assert group not in self._groups, f"group {group} rests already"
        self._groups[group] = point
        self._sorted = None
        self.total = (self.total + mixed(group, point)) & _MASK

    def remove(self, group: int) -> None:
        """A group does not rest any more."""
        point = self._groups.pop(group)
        self._sorted = None
        self.total = (self.total - mixed(group, point)) & _MASK

    def between(self, low: int, high: int) -> dict[int, RestPoint]:
        """The groups in [low, high), ascending."""
        ascending = self._ascending()
        first, behind = bisect_left(ascending, low), bisect_left(ascending, high)
        return {group: self._groups[group] for group in ascending[first:behind]}

    def _ascending(self) -> list[int]:
        if self._sorted is None:
            self._sorted = sorted(self._groups)
        return self._sorted


def mixed(group: int, point: RestPoint) -> int:
    """64 bits in which every bit of the three numbers counts (the finalizer of splitmix64, twice)."""
    return _scrambled(_scrambled(group * 0x9E3779B97F4A7C15 + point.term) + point.commit)


def _scrambled(value: int) -> int:
    value &= _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)
