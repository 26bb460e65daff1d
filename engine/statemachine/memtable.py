"""What was written to one group since the last flush: values, and tombstones that hide older ones."""

from enum import Enum
from typing import Final

from .paging import Layer
from .sorted_keys import SortedKeys


class Missing(Enum):
    """What stands for a key that a table does not list (an enum, so that type checkers follow ``is``)."""

    MISSING = 0


MISSING: Final = Missing.MISSING

#: Up to so many keys, their order is made when somebody scans: in a millisecond.
UNORDERED: Final = 4096


class Memtable:
    """An ordered overlay. ``entries`` maps a key to its value, or to None if it was deleted here.

    A frozen table is read by the loop's thread and by the thread that flushes it: that one reads ``entries``
    only, which nobody changes any more; the order of keys belongs to the loop's thread.
    """

    __slots__ = ("_keys", "entries")

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes | None] = {}
        self._keys: SortedKeys | None = None

    def write(self, key: bytes, value: bytes | None) -> None:
        """Set a value, or a tombstone with None."""
        keys, entries = self._keys, self.entries
        if keys is not None and key not in entries:
            keys.add(key)
        entries[key] = value
        if keys is None and len(entries) > UNORDERED:
            self._keys = SortedKeys(entries)

    def discard(self) -> None:
        """Forget every entry."""
        self.entries = {}
        self._keys = None

    def layer(self, start: bytes, stop: bytes | None, limit: int, *, reverse: bool) -> Layer:
        """At most ``limit`` entries of ``[start, stop)`` in the direction asked for, tombstones included."""
        keys = self._keys
        if keys is None:
            keys = self._keys = SortedKeys(self.entries)
        cut, bound = keys.cut(start, stop, limit, reverse=reverse)
        entries = self.entries
        return Layer([(key, entries[key]) for key in cut], bound)
