"""The entries written last, as objects: what is applied right after its commit never touches the disk."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ...raft.entry import Entry

ENTRY_COST: Final = 200
"""Bytes that an entry takes in memory beside its data, about."""


class EntryCache:
    """Entries by batch and group; whole batches leave, the oldest first."""

    def __init__(self, budget: int) -> None:
        """Keep about `budget` bytes."""
        self._budget = budget
        self._bytes = 0
        self._batches: OrderedDict[int, tuple[dict[int, Sequence[Entry]], int]] = OrderedDict()

    def add(self, seq: int, entries: dict[int, Sequence[Entry]], cost: int) -> None:
        """Keep a batch's entries, by group."""
        self._batches[seq] = (entries, cost)
        self._bytes += cost
        while self._bytes > self._budget:
            _, (_, freed) = self._batches.popitem(last=False)
            self._bytes -= freed

    def drop(self, seq: int) -> None:
        """Forget a batch, if it is there."""
        found = self._batches.pop(seq, None)
        if found is not None:
            self._bytes -= found[1]

    def get(self, seq: int, group: int, first: int) -> Sequence[Entry] | None:
        """The entries that a batch appended to a group, if they are kept and begin with `first`."""
        found = self._batches.get(seq)
        entries = None if found is None else found[0].get(group)
        return entries if entries is not None and entries[0].index == first else None
