"""What a replica keeps of its log, and the writes that drop the rest."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..raft.entry import Entry
from ..raft.progress import Progress
from .compaction import LogSize, Retention, cut_index
from .config import EngineConfig
from .holds import SnapshotHolds
from .logstore.port import GroupLog, GroupWrite
from .statemachine.store import StateStore

_LONG_BYTES: Final = 64 * 1024
_OLD_S: Final = 60.0


class LogKeeping:
    """The retention of one log. Time is seconds of the node's clock.

    Invariant of every cut: nothing goes that is not applied *and* reported as durable by the state store.
    """

    __slots__ = ("_group", "_holds", "_keep", "_log", "_replica_id", "_size", "_state")

    def __init__(
        self, group: int, replica_id: int, log: GroupLog, state: StateStore, config: EngineConfig
    ) -> None:
        self._group = group
        self._replica_id = replica_id
        self._log = log
        self._state = state
        self._keep = Retention.of(config)
        self._holds = SnapshotHolds(config.log_hold_bytes, config.snapshot_ms / 1000)
        self._size: LogSize | None = None

    @property
    def paused_until(self) -> float:
        """No snapshot should begin before: one has outlasted what is kept for it."""
        return self._holds.paused_until

    def grew(self, entries: Sequence[Entry], size: int, now: float) -> None:
        """Account for entries of ``size`` bytes, which will replace what stands there."""
        self._known_size(now).grew(entries[0].index, entries[-1].index, size, now)

    def rested_since(self, moment: float) -> None:
        """If nothing is known of the log's age yet: nothing has come since."""
        self._known_size(moment)

    def emptied(self) -> None:
        """The log was reset to a snapshot."""
        self._size = LogSize(self._keep.seconds)

    def checkpoint_is_due(self, applied: int, least: int, now: float) -> bool:
        """Whether only a checkpoint stands between a log of ``least`` bytes or more and its truncation."""
        size = self._known_size(now)
        if size.total < least:
            return False
        behind = applied - self._state.durable_applied(self._group)
        return behind > self._keep.entries or size.total > 2 * self._keep.bytes

    def truncation(self, applied: int, members: Mapping[int, Progress], now: float) -> GroupWrite | None:
        """The write that drops what is beyond the limits and nobody needs any more.

        ``members``: what a leader knows of its followers; empty for others.
        """
        size = self._known_size(now)
        held = self._holds.index(members, size, applied, now)
        keep_to = min(self._state.durable_applied(self._group), held)
        first = self._log.first_index()
        index = cut_index(size, first=first, applied=applied, keep_to=keep_to, keep=self._keep, now=now)
        return None if index is None else self._cut(index)

    def is_long_and_old(self, now: float) -> bool:
        """Whether the log, which is in the store's oldest batches, is better cut than written again."""
        size = self._known_size(now)
        return size.total >= _LONG_BYTES and now - size.grew_at >= _OLD_S

    def compaction(self, applied: int, members: Mapping[int, Progress], now: float) -> GroupWrite | None:
        """The write that drops whatever may be dropped, for a log that holds up the store's collection."""
        held = self._holds.index(members, self._known_size(now), applied, now)
        index = min(self._state.durable_applied(self._group), held, applied)
        return self._cut(index) if index >= self._log.first_index() else None

    def truncation_past(self, applied: int, lost: int) -> GroupWrite | None:
        """The write that drops entries up to ``lost``, which cannot be read, and what else may be dropped.

        None if the state store does not hold what they led to.
        """
        durable = min(self._state.durable_applied(self._group), applied)
        return self._cut(durable) if lost <= durable else None

    def _cut(self, index: int) -> GroupWrite:
        if self._size is not None:
            self._size.cut(index)
        cut = (index, self._log.term(index))
        return GroupWrite(group=self._group, replica_id=self._replica_id, truncate=cut)

    def _known_size(self, now: float) -> LogSize:
        """The size, at first that of the log as it was found."""
        if self._size is None:
            self._size = LogSize(self._keep.seconds)
            first, last = self._log.first_index(), self._log.last_index()
            if first <= last:
                self._size.found(first, last, self._log.size(), now)
        return self._size
