"""A group's key space in memory only: a dictionary, and its keys in order once somebody scans."""

from collections.abc import Iterable, Iterator

from .paging import Page, Pair, scan_pages
from .sorted_keys import SortedKeys


class MemoryGroup:
    """An :class:`~multiraft.engine.statemachine.store.OrderedStore` that nothing brings to the disk."""

    __slots__ = ("_entries", "_keys")

    def __init__(self) -> None:
        self._entries: dict[bytes, bytes] = {}
        self._keys: SortedKeys | None = None  # until the first scan, writes pay nothing for the order

    @property
    def durable(self) -> bool:
        """A restart begins with a checkpoint or with nothing."""
        return False

    def get(self, key: bytes) -> bytes | None:
        """The value or None."""
        return self._entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        keys = self._keys
        if keys is not None and key not in self._entries:
            keys.add(key)
        self._entries[key] = value

    def delete(self, key: bytes) -> bool:
        """Remove a key. Returns whether it was there."""
        if self._entries.pop(key, None) is None:
            return False
        if self._keys is not None:
            self._keys.remove(key)
        return True

    def scan(self, start: bytes, stop: bytes | None, reverse: bool = False) -> Iterator[Pair]:
        """The pairs of ``[start, stop)`` in order; what ``paging`` promises under concurrent writes."""
        return scan_pages(self._read_page, start, stop, reverse=reverse)

    def clear(self) -> None:
        """Remove everything."""
        self.load(())

    def load(self, items: Iterable[Pair]) -> None:
        """Replace everything at once. If ``items`` raises, nothing has changed."""
        self._entries = dict(items)
        self._keys = None

    def _read_page(self, start: bytes, stop: bytes | None, limit: int, reverse: bool) -> Page:
        keys = self._keys
        if keys is None:
            keys = self._keys = SortedKeys(self._entries)
        cut, bound = keys.cut(start, stop, limit, reverse=reverse)
        entries = self._entries
        return Page([(key, entries[key]) for key in cut], bound)
