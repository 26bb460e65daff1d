"""What each node's log store was told to keep, written down a second time.

It is fed by the batches alone, so that it can say what must be durable without asking the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

from .base import Checker

BIRTH_POINT = (1, 1)
NEWBORN = HardState(0, 0, 1)


class ShadowLog:
    """The durable log of one replica: ``entries[i]`` has index ``point[0] + 1 + i``."""

    __slots__ = ("birth", "conf_state", "entries", "hard_state", "point")

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.hard_state = NEWBORN
        self.point: tuple[int, int] = BIRTH_POINT
        """Index and term of the snapshot point that the log follows."""
        self.conf_state: ConfState = birth.conf_state
        """The members at that point; a truncation moves the point alone."""
        self.entries: list[Entry] = []

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.point[0] + len(self.entries)

    def term(self, index: int) -> int | None:
        """The term at an index, None where it is not known."""
        position = index - self.point[0] - 1
        if position == -1:
            return self.point[1]
        return self.entries[position].term if 0 <= position < len(self.entries) else None

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is here, or was before the log was cut: what is cut was applied."""
        return index < self.point[0] or self.term(index) == term

    def slice(self, low: int, high: int) -> list[Entry]:
        """The entries in [low, high); fewer if they are not all here."""
        first = self.point[0] + 1
        return self.entries[max(low - first, 0) : max(high - first, 0)]

    def write(self, write: GroupWrite) -> None:
        """Take the parts of a write in their order."""
        if write.snapshot_point is not None:
            self.entries.clear()
            self.point, self.conf_state = write.snapshot_point[:2], write.snapshot_point[2]
        if write.entries:
            del self.entries[write.entries[0].index - self.point[0] - 1 :]
            self.entries += write.entries
        if write.truncate is not None and write.truncate[0] > self.point[0]:
            del self.entries[: write.truncate[0] - self.point[0]]
            self.point = write.truncate
        if write.hard_state is not None:
            self.hard_state = write.hard_state


class Disk:
    """The durable part of one node's log store, and what is on its way there."""

    def __init__(self) -> None:
        self.logs: dict[int, ShadowLog] = {}
        self.tombstones: dict[int, int] = {}
        """By group the highest replica id removed."""
        self.staged: dict[int, Sequence[GroupWrite]] = {}
        """Batches not durable yet, by sequence number, oldest first."""
        self.durable = 0
        """The newest batch that is."""
        self.excused = False
        """The real one was lost or damaged at some time."""
        self.state_lost = False
        """The state store was."""

    def commit(self, seq: int) -> None:
        """A batch is durable."""
        self.durable = seq
        for write in self.staged.pop(seq):
            if write.birth is not None:
                self.logs[write.group] = ShadowLog(write.birth)
            if write.tombstone:
                self.logs.pop(write.group, None)
                removed = max(self.tombstones.get(write.group, 0), write.replica_id)
                self.tombstones[write.group] = removed
            else:
                self.logs[write.group].write(write)


class Disks(Checker):
    """The disks of all nodes. Fed after the checkers, so that these see a batch and what it meets."""

    def __init__(self) -> None:
        self.by_node: dict[int, Disk] = {}

    def of(self, node_id: int) -> Disk:
        """The disk of a node."""
        disk = self.by_node.get(node_id)
        if disk is None:
            disk = self.by_node[node_id] = Disk()
        return disk

    def log(self, node_id: int, group: int) -> ShadowLog | None:
        """The durable log of a replica, None if it is not born there."""
        disk = self.by_node.get(node_id)
        return None if disk is None else disk.logs.get(group)

    def staged(self, node_id: int, seq: int, writes: Sequence[GroupWrite]) -> None:
        self.of(node_id).staged[seq] = list(writes)

    def committed(self, node_id: int, seq: int) -> None:
        self.of(node_id).commit(seq)

    def rolled_back(self, node_id: int, seq: int) -> None:
        del self.of(node_id).staged[seq]

    def stopped(self, node_id: int) -> None:
        self.of(node_id).staged.clear()

    def lost(self, node_id: int) -> None:
        disk = self.by_node[node_id] = Disk()
        disk.excused = True

    def damaged(self, node_id: int) -> None:
        self.of(node_id).excused = True

    def state_lost(self, node_id: int) -> None:
        self.of(node_id).state_lost = True
