"""One replica's log as the core reads it."""

from collections.abc import Callable, Sequence

from ...raft.entry import Entry
from ...raft.errors import Compacted, SnapshotTemporarilyUnavailable, Unavailable
from ...raft.state import ConfState, HardState, Snapshot
from .index import GroupIndex
from .port import Birth
from .reader import Reader


class StoredLog:
    """Implements `port.GroupLog` on the index and the environment."""

    __slots__ = ("_index", "_reader", "snapshot_source")

    def __init__(
        self, index: GroupIndex, reader: Reader, snapshot_source: Callable[[], Snapshot] | None = None
    ) -> None:
        self._index = index
        self._reader = reader
        self.snapshot_source = snapshot_source

    @property
    def birth(self) -> Birth:
        """See `port.GroupLog.birth`."""
        return self._index.birth.value

    @property
    def hard_state(self) -> HardState:
        """See `port.GroupLog.hard_state`."""
        return self._index.hard_state.value

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `port.GroupLog.initial_state`."""
        return self._index.hard_state.value, self._index.conf_state.value

    def first_index(self) -> int:
        """See `port.GroupLog.first_index`."""
        return self._index.first_index

    def last_index(self) -> int:
        """See `port.GroupLog.last_index`."""
        return self._index.last_index

    def term(self, index: int) -> int:
        """See `port.GroupLog.term`. Never reads the disk."""
        return self._index.term(index)

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """See `port.GroupLog.entries`."""
        index = self._index
        if low < index.first_index:
            raise Compacted(low, index.first_index)
        if high > index.last_index + 1:
            raise Unavailable(high - 1, index.last_index)
        return self._reader.entries(self.birth.group, index, low, high, max_size)

    def snapshot(self) -> Snapshot:
        """See `port.GroupLog.snapshot`."""
        if self.snapshot_source is None:
            raise SnapshotTemporarilyUnavailable
        return self.snapshot_source()
