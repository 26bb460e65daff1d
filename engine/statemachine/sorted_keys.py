"""Keys in order, in short sorted lists: no change and no look moves, or sorts, more than a few thousand."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

#: Keys of one list; twice as many are cut in two.
CHUNK: Final = 512

#: Changes that are kept aside until somebody looks, or until there are so many.
PENDING: Final = 1024

#: Up to so many keys are put into one list one by one (a search and a move of pointers each), more by a sort.
FEW: Final = 8


class SortedKeys:
    """A set of keys that can be cut in order.

    Invariants: the set is all of ``_chunks`` without ``_removed``, then with ``_added``; ``_removed`` is part
    of the chunks, and a key of ``_added`` is in them only if it is in ``_removed`` too. Chunks ascend, none
    is empty or longer than ``2 * CHUNK``, and ``_lasts`` holds the last key of each.
    """

    __slots__ = ("_added", "_chunks", "_lasts", "_removed")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._chunks = _cut_up(sorted(keys))
        self._lasts = [chunk[-1] for chunk in self._chunks]
        self._added: set[bytes] = set()
        self._removed: set[bytes] = set()

    def add(self, key: bytes) -> None:
        """Add a key that is not in the set."""
        self._added.add(key)
        if len(self._added) > PENDING:
            self._settle()

    def remove(self, key: bytes) -> None:
        """Remove a key that is in the set."""
        if key in self._added:
            self._added.discard(key)
            return
        self._removed.add(key)
        if len(self._removed) > PENDING:
            self._settle()

    def cut(
        self, start: bytes, stop: bytes | None, limit: int, *, reverse: bool
    ) -> tuple[list[bytes], bytes | None]:
        """At most ``limit`` keys of ``[start, stop)`` from the low end, or from the high end if ``reverse``.

        Returns the keys in the direction of the cut, and the last of them if the range holds more, else None.
        """
        self._settle()
        found = self._upper(start, stop, limit + 1) if reverse else self._lower(start, stop, limit + 1)
        if len(found) <= limit:
            return found, None
        return found[:limit], found[limit - 1]

    def _lower(self, start: bytes, stop: bytes | None, limit: int) -> list[bytes]:
        found: list[bytes] = []
        for at in range(bisect_left(self._lasts, start), len(self._chunks)):
            chunk = self._chunks[at]
            low = 0 if found else bisect_left(chunk, start)
            high = len(chunk) if stop is None else bisect_left(chunk, stop)
            found += chunk[low : min(high, low + limit - len(found))]
            if high < len(chunk) or len(found) >= limit:
                break
        return found

    def _upper(self, start: bytes, stop: bytes | None, limit: int) -> list[bytes]:
        found: list[bytes] = []
        last = len(self._chunks) if stop is None else bisect_left(self._lasts, stop)
        for at in range(min(last, len(self._chunks) - 1), -1, -1):
            chunk = self._chunks[at]
            high = len(chunk) if stop is None else bisect_left(chunk, stop)
            low = bisect_left(chunk, start)
            found += reversed(chunk[max(low, high - limit + len(found)) : high])
            if low > 0 or len(found) >= limit:
                break
        return found

    def _settle(self) -> None:
        if self._removed:
            self._drop_removed()
        if self._added:
            self._merge_added()

    def _drop_removed(self) -> None:
        for key in self._removed:
            at = bisect_left(self._lasts, key)
            chunk = self._chunks[at]
            del chunk[bisect_left(chunk, key)]
            if chunk:
                self._lasts[at] = chunk[-1]
            else:
                del self._chunks[at], self._lasts[at]
        self._removed.clear()

    def _merge_added(self) -> None:
        keys, first = sorted(self._added), 0
        self._added.clear()
        if not self._chunks:
            self._chunks = _cut_up(keys)
            self._lasts = [chunk[-1] for chunk in self._chunks]
            return
        while first < len(keys):
            at = min(bisect_left(self._lasts, keys[first]), len(self._lasts) - 1)
            is_last = at == len(self._lasts) - 1
            stop = len(keys) if is_last else bisect_right(keys, self._lasts[at], lo=first)
            self._merge_into(at, keys[first:stop])
            first = stop

    def _merge_into(self, at: int, keys: list[bytes]) -> None:
        chunk = self._chunks[at]
        if len(keys) <= FEW:
            for key in keys:
                insort(chunk, key)
        else:
            chunk += keys
            chunk.sort()  # two sorted runs: the sort notices and merges them in linear time
        parts = [chunk] if len(chunk) <= 2 * CHUNK else _cut_up(chunk)
        self._chunks[at : at + 1] = parts
        self._lasts[at : at + 1] = [part[-1] for part in parts]


def _cut_up(keys: list[bytes]) -> list[list[bytes]]:
    """Sorted keys as chunks."""
    bounds = [*range(0, len(keys), CHUNK), len(keys)]
    return [keys[low:high] for low, high in pairwise(bounds) if low < high]
