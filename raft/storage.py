"""Where a replica's durable state is read from: the port, and the implementation in memory."""

from collections.abc import Sequence
from typing import Protocol

from .entry import Entry, limit_size
from .errors import Compacted, Misuse, SnapshotOutOfDate, Unavailable
from .state import ConfState, HardState, Snapshot


class Storage(Protocol):
    """What the core reads. The host writes to the storage, as `Ready` asks, before it says so to the core.

    The log holds the entries in [first_index, last_index]; the term at first_index - 1 is known as well,
    it is the compaction point that later entries follow.
    """

    def initial_state(self) -> tuple[HardState, ConfState]:
        """What was durable when the replica starts: the members are those in force at `Config.applied`.

        So whoever stores `applied` stores what `apply_conf_change` returned together with it. All zero and
        no members for a newcomer.
        """
        ...

    def first_index(self) -> int:
        """Index of the first entry that is present, or would be; 1 for a log never compacted."""
        ...

    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 if there is none."""
        ...

    def term(self, index: int) -> int:
        """Term at `index`, in [first_index - 1, last_index]; 0 at index 0.

        Raises `Compacted` before that range and `Unavailable` behind it.
        """
        ...

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """Entries in [low, high) up to `max_size` encoded bytes (`None`: no limit), but at least one.

        `entry.limit_size` cuts a range like that. Never with a gap, and never fewer without need.
        Raises `Compacted` if `low` is no longer there, `Unavailable` if part of it never was.
        """
        ...

    def snapshot(self) -> Snapshot:
        """A snapshot, no older than `first_index` - 1. Its members are those in force at its index.

        Raises `SnapshotTemporarilyUnavailable` if it has to be prepared first.
        """
        ...


class MemoryStorage:
    """A storage that forgets with the process; for tests, and to see what a real one has to do."""

    __slots__ = ("_boundary_term", "_entries", "_first_index", "_hard_state", "_snapshot")

    def __init__(self, conf_state: ConfState | None = None) -> None:
        """Begin with an empty log, for a group of the given members."""
        self._hard_state = HardState()
        self._snapshot = Snapshot(conf_state=conf_state or ConfState())
        self._first_index = 1
        self._boundary_term = 0
        self._entries: list[Entry] = []

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state set last, and the members of the snapshot stored last."""
        return self._hard_state, self._snapshot.conf_state

    def first_index(self) -> int:
        """See `Storage.first_index`."""
        return self._first_index

    def last_index(self) -> int:
        """See `Storage.last_index`."""
        return self._first_index + len(self._entries) - 1

    def term(self, index: int) -> int:
        """See `Storage.term`."""
        position = index - self._first_index
        if position < -1:
            raise Compacted(index, self._first_index)
        if position >= len(self._entries):
            raise Unavailable(index, self.last_index())
        return self._boundary_term if position < 0 else self._entries[position].term

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """See `Storage.entries`."""
        if low < self._first_index:
            raise Compacted(low, self._first_index)
        if high > self.last_index() + 1:
            raise Unavailable(high - 1, self.last_index())
        return limit_size(self._entries[low - self._first_index : high - self._first_index], max_size)

    def snapshot(self) -> Snapshot:
        """See `Storage.snapshot`."""
        return self._snapshot

    def set_hard_state(self, hard_state: HardState) -> None:
        """Keep `hard_state` as durable."""
        self._hard_state = hard_state

    def append(self, entries: Sequence[Entry]) -> None:
        """Store `entries`, replacing all from the first one's index on. `Misuse` if that leaves a gap."""
        if entries and entries[0].index < self._first_index:
            entries = entries[self._first_index - entries[0].index :]  # compacted meanwhile: nothing to keep
        if not entries:
            return
        position = entries[0].index - self._first_index
        if position > len(self._entries):
            raise Misuse(f"entries from {entries[0].index} leave a gap behind last index {self.last_index()}")
        self._entries[position:] = entries

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace log and members by `snapshot`; `SnapshotOutOfDate` unless it is newer."""
        if snapshot.index <= self._snapshot.index:
            raise SnapshotOutOfDate(snapshot.index, self._snapshot.index)
        self._snapshot = snapshot
        self._first_index = snapshot.index + 1
        self._boundary_term = snapshot.term
        self._entries = []

    def create_snapshot(self, index: int, conf_state: ConfState, data: bytes) -> Snapshot:
        """Keep the state after `index` as the snapshot to serve; the log stays. May be out of date."""
        if index <= self._snapshot.index:
            raise SnapshotOutOfDate(index, self._snapshot.index)
        self._snapshot = Snapshot(index, self.term(index), conf_state, data)
        return self._snapshot

    def compact(self, index: int) -> None:
        """Drop all entries up to and including `index`; `Compacted` if that is done, `Unavailable` beyond."""
        if index < self._first_index:
            raise Compacted(index, self._first_index)
        boundary_term = self.term(index)
        del self._entries[: index - self._first_index + 1]
        self._first_index = index + 1
        self._boundary_term = boundary_term
