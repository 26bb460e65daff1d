"""The entries written last, as objects: what is applied right after its commit never touches the disk.

They are many objects, and nobody reads those of a group that rests: so they leave after a while, too.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ...raft.entry import Entry

ENTRY_COST: Final = 200
"""Bytes that an entry takes in memory beside its data, about."""


class BatchEntries:
    """What one batch appended, to look up by group.

    The table for it is made by the first look, while the disk is busy with the batch, and not when the batch
    is handed over.
    """

    __slots__ = ("_appended", "_by_group", "_groups", "cost")

    def __init__(self, groups: Sequence[int], appended: Sequence[Sequence[Entry]], cost: int) -> None:
        """Entries for each write, and its group; of several appends of one group the last one is kept."""
        self._groups = groups
        self._appended = appended
        self._by_group: dict[int, Sequence[Entry]] | None = None
        self.cost = cost
        """Bytes that they take, about."""

    def get(self, group: int) -> Sequence[Entry] | None:
        """The entries appended to a group, if there are any."""
        if self._by_group is None:
            pairs = zip(self._groups, self._appended, strict=True)
            self._by_group = {group: entries for group, entries in pairs if entries}
            self._groups = self._appended = ()
        return self._by_group.get(group)


class EntryCache:
    """Entries by batch and group; whole batches leave, the oldest first."""

    def __init__(self, budget: int) -> None:
        """Keep about `budget` bytes."""
        self._budget = budget
        self._bytes = 0
        self._batches: OrderedDict[int, BatchEntries] = OrderedDict()
        self._aged: int | None = None
        """The newest batch at the last `age`."""

    def add(self, seq: int, entries: BatchEntries) -> None:
        """Keep a batch's entries."""
        self._batches[seq] = entries
        self._bytes += entries.cost
        while self._bytes > self._budget:
            self._drop_oldest()

    def age(self) -> None:
        """Some time has passed: forget the batches that were here the last time already."""
        while self._aged is not None and self._batches and next(iter(self._batches)) <= self._aged:
            self._drop_oldest()
        self._aged = next(reversed(self._batches), None)

    def drop(self, seq: int) -> None:
        """Forget a batch, if it is there."""
        found = self._batches.pop(seq, None)
        if found is not None:
            self._bytes -= found.cost

    def get(self, seq: int, group: int, first: int) -> Sequence[Entry] | None:
        """The entries that a batch appended to a group, if they are kept and begin with `first`."""
        found = self._batches.get(seq)
        entries = None if found is None else found.get(group)
        return entries if entries is not None and entries[0].index == first else None

    def _drop_oldest(self) -> None:
        _, left = self._batches.popitem(last=False)
        self._bytes -= left.cost
