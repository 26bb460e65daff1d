"""What a run amounts to, in numbers."""

from multiraft.engine.node import Node

from .checkers.base import Touched


class Tally:
    """Counts what groups go through."""

    def __init__(self) -> None:
        self.operations = 0
        self.faults = 0
        self.snapshots = 0
        """Installed by a replica."""
        self.turns = 0
        self._leaders: set[tuple[int, int]] = set()
        self._applied: dict[int, int] = {}
        self._installing: set[tuple[int, int, int]] = set()

    @property
    def elections(self) -> int:
        """Terms that had a leader, over all groups."""
        return len(self._leaders)

    @property
    def commits(self) -> int:
        """Entries that were committed and applied, over all groups; each counts once."""
        return sum(self._applied.values()) - len(self._applied)

    @property
    def groups(self) -> int:
        """Groups that ever did anything, the system group among them."""
        return len(self._applied)

    def turned(self, node: Node, touched: Touched) -> None:
        """A node took a turn, in which these replicas may have changed."""
        self.turns += 1
        applied = self._applied
        for group, replica in touched.items():
            if replica is None:
                continue
            if replica.leads:
                self._leaders.add((group, replica.raw.raft.term))
            if replica.applied.index > applied.get(group, 0):
                applied[group] = replica.applied.index
            if replica.installing is not None:
                point = (node.node_id, group, replica.applied.index)
                if point not in self._installing:
                    self._installing.add(point)
                    self.snapshots += 1
