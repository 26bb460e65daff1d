"""A bounded memory of numbers by group, for what the disk can say again."""

from collections.abc import Mapping
from typing import Final

KEPT: Final = 8192
"""Groups of a generation. A node that works on more of them at once reads the disk for some."""


class Recent:
    """The numbers that were set or asked for last: those of one generation of groups, and of the one before.

    When the newer generation is full, the older one goes: at any time both together hold at most twice
    ``kept`` groups, and each of the last ``kept`` that were touched.
    """

    __slots__ = ("_kept", "_newer", "_older")

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def get(self, group: int) -> int | None:
        """The number of a group, None if it is not remembered."""
        number = self._newer.get(group)
        if number is None and (number := self._older.get(group)) is not None:
            self.set(group, number)
        return number

    def set(self, group: int, number: int) -> None:
        """Remember a group's number."""
        self._newer[group] = number
        if len(self._newer) >= self._kept:
            self._older, self._newer = self._newer, {}

    def update(self, numbers: Mapping[int, int]) -> None:
        """Remember those of many groups."""
        if len(self._newer) + len(numbers) < self._kept:
            self._newer.update(numbers)
            return
        for group, number in numbers.items():
            self.set(group, number)
