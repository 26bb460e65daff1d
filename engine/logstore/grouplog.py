"""One replica's log as the core reads it, and all births and tombstones as mappings."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ...native.logindex import LogIndex, LogView
from ...raft.entry import Entry
from ...raft.errors import Compacted, SnapshotTemporarilyUnavailable, Unavailable
from ...raft.state import ConfState, HardState, Snapshot
from .metas import decode_birth, decode_members
from .port import Birth
from .reader import Reader


class StoredLog:
    """Implements `port.GroupLog` on the index and the environment."""

    __slots__ = ("_log", "_reader", "birth", "snapshot_source")

    def __init__(self, log: LogView, birth: Birth, reader: Reader) -> None:
        self._log = log
        self._reader = reader
        self.birth = birth
        """See `port.GroupLog.birth`."""
        self.snapshot_source: Callable[[], Snapshot] | None = None

    @property
    def hard_state(self) -> HardState:
        """See `port.GroupLog.hard_state`."""
        return HardState(*self._log.hard_state)

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `port.GroupLog.initial_state`."""
        members = self._log.members()
        return self.hard_state, decode_members(members) if members else self.birth.conf_state

    def first_index(self) -> int:
        """See `port.GroupLog.first_index`."""
        return self._log.first_index

    def last_index(self) -> int:
        """See `port.GroupLog.last_index`."""
        return self._log.last_index

    def term(self, index: int) -> int:
        """See `port.GroupLog.term`. Never reads the disk."""
        log = self._log
        term = log.term(index)
        if not term:
            point, point_term = log.point
            if index == point:
                return point_term
            if index < point:
                raise Compacted(index, point + 1)
            if index > log.last_index:
                raise Unavailable(index, log.last_index)
        return term

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """See `port.GroupLog.entries`."""
        log = self._log
        if low < log.first_index:
            raise Compacted(low, log.first_index)
        if high > log.last_index + 1:
            raise Unavailable(high - 1, log.last_index)
        return self._reader.entries(self.birth.group, log, low, high, max_size)

    def size(self) -> int:
        """See `port.GroupLog.size`."""
        return self._log.size

    def snapshot(self) -> Snapshot:
        """See `port.GroupLog.snapshot`."""
        if self.snapshot_source is None:
            raise SnapshotTemporarilyUnavailable
        return self.snapshot_source()


class Births(Mapping[int, Birth]):
    """Every replica that exists, by group; decoded when asked for, so that resting ones cost nothing."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index

    def __getitem__(self, group: int) -> Birth:
        log = self._index.log(group)
        if log is None:
            raise KeyError(group)
        return birth_of(group, log)

    def __contains__(self, group: object) -> bool:
        return isinstance(group, int) and self._index.log(group) is not None

    def __iter__(self) -> Iterator[int]:
        return self._index.groups()

    def __len__(self) -> int:
        return self._index.totals().replicas


class Tombstones(Mapping[int, int]):
    """For each group that a replica was removed of the highest one; looked up when asked for, as births."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index

    def __getitem__(self, group: int) -> int:
        found = self._index.tombstone(group)
        if found is None:
            raise KeyError(group)
        return found.replica

    def __iter__(self) -> Iterator[int]:
        return (one.group for one in self._index.tombstones())

    def __len__(self) -> int:
        return self._index.totals().tombstones


def birth_of(group: int, log: LogView) -> Birth:
    """The birth of the replica that a log belongs to."""
    return decode_birth(group, log.replica, log.birth())
