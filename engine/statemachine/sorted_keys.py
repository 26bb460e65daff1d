"""The keys of a dictionary in order, kept up lazily: changes cost a set operation until someone looks."""

from bisect import bisect_left, insort
from collections.abc import Iterable

#: Up to so many changes are worked in one by one (a search and a move of pointers each); more, in one sort.
FEW = 24


class SortedKeys:
    """A set of keys that can be cut in order.

    Invariant: the set is ``_ordered`` without ``_removed``, then with ``_added``; ``_removed`` is part of
    ``_ordered``, and a key of ``_added`` is in ``_ordered`` only if it is in ``_removed`` too.
    """

    __slots__ = ("_added", "_ordered", "_removed")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._ordered = sorted(keys)
        self._added: set[bytes] = set()
        self._removed: set[bytes] = set()

    def add(self, key: bytes) -> None:
        """Add a key that is not in the set."""
        self._added.add(key)

    def remove(self, key: bytes) -> None:
        """Remove a key that is in the set."""
        if key in self._added:
            self._added.discard(key)
        else:
            self._removed.add(key)

    def cut(
        self, start: bytes, stop: bytes | None, limit: int, *, reverse: bool
    ) -> tuple[list[bytes], bytes | None]:
        """At most ``limit`` keys of ``[start, stop)`` from the low end, or from the high end if ``reverse``.

        Returns the keys in the direction of the cut, and the last of them if the range holds more, else None.
        """
        ordered = self._settled()
        low = bisect_left(ordered, start)
        high = len(ordered) if stop is None else bisect_left(ordered, stop, lo=low)
        if reverse:
            first = max(low, high - limit)
            keys = ordered[first:high]
            keys.reverse()
            return keys, (keys[-1] if first > low else None)
        last = min(high, low + limit)
        keys = ordered[low:last]
        return keys, (keys[-1] if last < high else None)

    def _settled(self) -> list[bytes]:
        if self._removed:
            self._drop_removed()
        if self._added:
            self._merge_added()
        return self._ordered

    def _drop_removed(self) -> None:
        ordered, removed = self._ordered, self._removed
        if len(removed) <= FEW:
            for key in removed:
                del ordered[bisect_left(ordered, key)]
        else:
            self._ordered = [key for key in ordered if key not in removed]
        removed.clear()

    def _merge_added(self) -> None:
        ordered, added = self._ordered, self._added
        if len(added) <= FEW:
            for key in added:
                insort(ordered, key)
        else:
            ordered.extend(sorted(added))
            ordered.sort()  # two sorted runs: the sort notices and merges them in linear time
        added.clear()
