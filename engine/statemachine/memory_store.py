"""The state store in memory: the same layers and records over a dictionary, with crashes to order."""

from collections.abc import Callable
from itertools import islice

from ..errors import Closed
from .medium import Writer
from .memtable import MISSING, Memtable
from .overlay import OverlayStore
from .paging import PAGE_BYTES, Layer, Page, Pair, merge, scan_pages
from .sorted_keys import SortedKeys


class MemoryMedium:
    """An ordered file that is a dictionary. ``fault`` is called before every commit and may raise."""

    def __init__(self, contents: dict[bytes, bytes] | None = None) -> None:
        self.contents = {} if contents is None else contents
        self.fault: Callable[[], None] | None = None
        self._keys = SortedKeys(self.contents)
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        """The value or None."""
        self._check_open()
        return self.contents.get(key)

    def page(self, start: bytes, stop: bytes, limit: int, *, reverse: bool = False) -> Page:
        """At most ``limit`` pairs of ``[start, stop)``."""
        self._check_open()
        cut, bound = self._keys.cut(start, stop, limit, reverse=reverse)
        pairs: list[Pair] = []
        total = 0
        for key in cut:
            pairs.append((key, self.contents[key]))
            total += len(self.contents[key])
            if total >= PAGE_BYTES:
                return Page(pairs, key)
        return Page(pairs, bound)

    def around(self, start: bytes, stop: bytes) -> list[Pair]:
        """The pairs next to ``[start, stop)``."""
        self._check_open()
        below, _ = self._keys.cut(b"", start, 1, reverse=True)
        above, _ = self._keys.cut(stop, None, 1, reverse=False)
        return [(key, self.contents[key]) for key in (*below, *above)]

    def moment(self) -> "MemoryMedium":
        """A copy of everything."""
        self._check_open()
        return MemoryMedium(dict(self.contents))

    def commit(self, work: Callable[[Writer], None]) -> None:
        """Collect the changes that ``work`` makes, then make them visible together."""
        self._check_open()
        changes = Memtable()
        work(MemoryWriter(self, changes))
        if self.fault is not None:
            self.fault()
        for key, value in changes.entries.items():
            self._change(key, value)

    def reopen(self) -> None:
        """Nothing to do: what was committed is there."""
        self._check_open()

    def copy(self) -> None:
        """A copy is refused if a commit is."""
        self._check_open()
        if self.fault is not None:
            self.fault()

    def adopt(self) -> None:
        """The copy would be the same."""
        self._check_open()

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def _change(self, key: bytes, value: bytes | None) -> None:
        if value is not None:
            if key not in self.contents:
                self._keys.add(key)
            self.contents[key] = value
        elif self.contents.pop(key, None) is not None:
            self._keys.remove(key)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the state store is closed")


class MemoryWriter:
    """A transaction: changes kept aside, seen by nobody else."""

    def __init__(self, medium: MemoryMedium, changes: Memtable) -> None:
        self._medium = medium
        self._changes = changes

    def get(self, key: bytes) -> bytes | None:
        """The value as of now in this transaction, or None."""
        value = self._changes.entries.get(key, MISSING)
        return self._medium.get(key) if value is MISSING else value

    def get_many(self, keys: list[bytes]) -> list[Pair]:
        """The pairs of those keys that are there."""
        return [(key, value) for key in keys if (value := self.get(key)) is not None]

    def put_many(self, pairs: list[Pair]) -> None:
        """Set every pair."""
        for key, value in pairs:
            self._changes.write(key, value)

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        self._changes.write(key, None)

    def delete_range(self, start: bytes, stop: bytes, limit: int) -> int:
        """Remove at most ``limit`` keys of ``[start, stop)``, lowest first."""
        pairs = list(islice(scan_pages(self._read_page, start, stop, reverse=False), limit))
        for key, _ in pairs:
            self._changes.write(key, None)
        return len(pairs)

    def _read_page(self, start: bytes, stop: bytes | None, limit: int, reverse: bool) -> Page:
        assert stop is not None
        changed = self._changes.layer(start, stop, limit, reverse=reverse)
        stored = self._medium.page(start, stop, limit, reverse=reverse)
        return merge([changed, Layer(stored.pairs, stored.bound)], limit, reverse=reverse)


class MemoryStateStore(OverlayStore):
    """A whole node's state store without a disk, for simulation and tests."""

    medium: MemoryMedium

    def __init__(self, contents: dict[bytes, bytes] | None = None) -> None:
        super().__init__(MemoryMedium(contents))

    def crash(self) -> "MemoryStateStore":
        """The store as the next start finds it: what completed writes brought in, and nothing else.

        This one is closed.
        """
        contents = dict(self.medium.contents)
        self.close()
        return MemoryStateStore(contents)
