"""One group's key space in a durable state store: what is not flushed yet, over what is."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ..errors import Corruption
from .flush import INHERITED, Pending
from .grouprecord import NO_DATA
from .memtable import MISSING
from .opening import read_group_record
from .paging import PAGE_BYTES, Layer, Page, Pair, merge, scan_pages
from .records import PREFIX, unseal
from .tally import Tally

if TYPE_CHECKING:
    from .overlay import OverlayStore

#: The prefix on the disk has not been looked up yet.
NOT_READ: Final = -1

#: What a key costs in memory besides its bytes and its value's: two objects and a place in a dictionary.
ENTRY_BYTES: Final = 170


class Keyspace:
    """The layers of one group, newest first: ``active``, ``frozen`` (while a flush is under way), the disk.

    A frozen layer stays on top of the disk until the flush is reported done: whether the disk holds it
    already makes no difference to a reader.
    """

    __slots__ = ("__weakref__", "_counted", "_store", "_stored_prefix", "active", "frozen", "group")

    def __init__(self, store: "OverlayStore", group: int) -> None:
        self.group = group
        self.active: Pending | None = None
        self.frozen: Pending | None = None
        self._counted = NO_DATA
        """The prefix under which all keys were found, when another group's next to them was damaged."""
        self._store = store
        self._stored_prefix = NOT_READ

    @property
    def durable(self) -> bool:
        """Flushes bring it to the disk."""
        return True

    def get(self, key: bytes) -> bytes | None:
        """The value, unflushed writes included. Raises Corruption if the stored bytes are damaged."""
        for pending in (self.active, self.frozen):
            if pending is not None:
                value = pending.table.entries.get(key, MISSING)
                if value is not MISSING:
                    return value
                if pending.fresh:
                    return None if pending.adopts is None else self._stored(pending.prefix, key)
        prefix = self.stored_prefix()
        return None if prefix == NO_DATA else self._stored(prefix, key)

    def _stored(self, prefix: int, key: bytes) -> bytes | None:
        stored_key = PREFIX.pack(prefix) + key
        stored = self._store.medium.get(stored_key)
        if stored is None:
            self._check_around(stored_key, stored_key)
            return None
        return unseal(stored_key, stored, self.group)

    def _check_around(self, start: bytes, stop: bytes) -> None:
        """What is not in ``[start, stop)`` is not there. Raises Corruption.

        A key of which a bit has flipped, without the order of keys being broken, stands where it stood: next
        to the place where it is looked for. So both neighbours must be keys that were written.
        """
        for key, stored in self._store.medium.around(start, stop):
            try:
                unseal(key, stored, self.group)
            except Corruption:
                if key[: PREFIX.size] == start[: PREFIX.size]:
                    raise
                prefix = self._stored_prefix_if_known()
                if start[: PREFIX.size] == PREFIX.pack(prefix) and self._counted != prefix:
                    self._count()  # under another one a peer's state takes the place of what is counted here
                    self._counted = prefix

    def _count(self) -> None:
        """A key of somebody else is damaged, or one of this group that looks so. Raises Corruption."""
        view = self._store.view(self.group)
        try:
            while not view.read(PAGE_BYTES).last:
                pass
        finally:
            view.close()

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        active = self.active or self._store.activate(self)
        if active.prefix <= NO_DATA:
            self._settle_prefix(active)
        active.table.write(key, value)
        self._store.pending_bytes += len(key) + len(value) + ENTRY_BYTES

    def delete(self, key: bytes) -> bool:
        """Remove a key. Returns whether it was there."""
        if self.get(key) is None:
            return False
        active = self.active or self._store.activate(self)
        if active.prefix <= NO_DATA:
            self._settle_prefix(active)
        active.table.write(key, None)
        self._store.pending_bytes += len(key) + ENTRY_BYTES
        return True

    def scan(self, start: bytes, stop: bytes | None, reverse: bool = False) -> Iterator[Pair]:
        """The pairs of ``[start, stop)`` in order; what ``paging`` promises under concurrent writes."""
        prefix = self._prefix_read()
        if prefix != NO_DATA and (stop is None or start < stop):
            low = PREFIX.pack(prefix)
            self._check_around(low + start, PREFIX.pack(prefix + 1) if stop is None else low + stop)
        return scan_pages(self._read_page, start, stop, reverse=reverse)

    def _prefix_read(self) -> int:
        """The prefix that a read of the disk looks under, 0 if there is none. Raises Corruption."""
        for pending in (self.active, self.frozen):
            if pending is not None and pending.fresh:
                return NO_DATA if pending.adopts is None else pending.prefix
        return self.stored_prefix()

    def clear(self) -> None:
        """Remove everything. The applied record must be set anew before the next freeze."""
        self._start_afresh(self.active or self._store.activate(self))

    def load(self, items: Iterable[Pair]) -> None:
        """Replace everything at once, under a fresh prefix. If ``items`` raises, nothing has changed."""
        loaded = dict(items)
        active = self.active or self._store.activate(self)
        self._start_afresh(active)
        if not loaded:
            return
        self._settle_prefix(active)
        active.table.entries.update(loaded)
        size = sum(map(len, loaded)) + sum(map(len, loaded.values()))
        self._store.pending_bytes += size + ENTRY_BYTES * len(loaded)

    def adopt(self, prefix: int, tally: Tally) -> None:
        """Replace everything by what was staged under ``prefix``. The applied record must be set anew."""
        active = self.active or self._store.activate(self)
        self._start_afresh(active)
        active.prefix = prefix
        active.maps = True
        active.adopts = tally

    def forget(self) -> None:
        """Remove everything, records too."""
        active = self.active or self._store.activate(self)
        self._start_afresh(active)
        active.wipe = True
        active.checkpoint = None

    def flushed(self, *, damaged: bool) -> None:
        """The frozen layer is on the disk; or it could not go there, for what lies there is ``damaged``."""
        frozen = self.frozen
        assert frozen is not None
        if damaged:
            self._stored_prefix = NOT_READ
        elif frozen.prefix != INHERITED:
            self._stored_prefix = frozen.prefix
        self.frozen = None

    def stored_prefix(self) -> int:
        """The prefix of the data on the disk, 0 if there is none. Raises Corruption."""
        if self._stored_prefix == NOT_READ:
            record = read_group_record(self._store.medium, self.group)
            self._stored_prefix = NO_DATA if record is None else record.prefix
        return self._stored_prefix

    def _stored_prefix_if_known(self) -> int:
        """As :meth:`stored_prefix`; 0, too, if the record is damaged: then nobody reads under its prefix."""
        try:
            return self.stored_prefix()
        except Corruption:
            return NO_DATA

    def _prefix_below(self) -> int:
        """The prefix of what lies under the active layer, 0 if there is no data."""
        if self.frozen is not None and self.frozen.prefix != INHERITED:
            return self.frozen.prefix
        return self.stored_prefix()

    def _settle_prefix(self, active: Pending) -> None:
        """Give the active layer the prefix that its first entry needs."""
        if active.prefix == INHERITED:
            active.prefix = self._prefix_below()
        if active.prefix == NO_DATA:
            active.prefix = self._store.allocate_prefix()
            active.maps = True

    def _start_afresh(self, active: Pending) -> None:
        active.point = None  # it spoke of data that is gone
        active.table.discard()
        active.buries = self._prefix_below_or_unknown()
        active.fresh = True
        if active.adopts is not None:
            self._store.abandon(active.prefix)
            active.adopts = None
            active.maps = False
        if not active.maps:  # a prefix given to this layer was never written to, and serves on
            active.prefix = NO_DATA

    def _prefix_below_or_unknown(self) -> int:
        """As :meth:`_prefix_below`, but a damaged record hinders nobody from replacing what it led to.

        The data that it led to stays in the file, unreachable.
        """
        try:
            return self._prefix_below()
        except Corruption:
            return NO_DATA

    def _read_page(self, start: bytes, stop: bytes | None, limit: int, reverse: bool) -> Page:
        layers: list[Layer] = []
        for pending in (self.active, self.frozen):
            if pending is not None:
                layers.append(pending.table.layer(start, stop, limit, reverse=reverse))
                if pending.fresh:
                    prefix = NO_DATA if pending.adopts is None else pending.prefix
                    break
        else:
            prefix = self.stored_prefix()
        stored = self._stored_page(prefix, start, stop, limit, reverse)
        if not layers:
            return stored
        layers.append(Layer(stored.pairs, stored.bound))
        return merge(layers, limit, reverse=reverse)

    def _stored_page(self, prefix: int, start: bytes, stop: bytes | None, limit: int, reverse: bool) -> Page:
        if prefix == NO_DATA:
            return Page([], None)
        low = PREFIX.pack(prefix)
        high = PREFIX.pack(prefix + 1) if stop is None else low + stop
        page = self._store.medium.page(low + start, high, limit, reverse=reverse)
        pairs = [(key[8:], unseal(key, stored, self.group)) for key, stored in page.pairs]
        return Page(pairs, None if page.bound is None else page.bound[8:])
