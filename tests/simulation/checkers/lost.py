"""A replica that has lost its log never takes part again under its old id (`design.md` §5.3, §9).

It has forgotten what it voted for and acknowledged, and its leaders have not. So after its disk is gone it
neither leads nor goes on with its log, whatever it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft.entry import Entry

from .base import Checker, Touched
from .disk import Disks


class Lost(Checker):
    """See the module."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._lost: dict[int, dict[int, int]] = {}
        """By node and group the highest replica id that was on a disk that is gone."""

    def lost(self, node_id: int) -> None:
        gone = self._lost.setdefault(node_id, {})
        for group, log in self._disks.of(node_id).logs.items():
            gone[group] = max(gone.get(group, 0), log.birth.replica_id)

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        if node_id in self._lost:
            for replica in touched.values():
                if replica is not None and replica.leads:
                    self._object(node_id, replica, "leads")

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        self._object(node_id, replica, f"applies {entries[0]}")

    def installed(self, node_id: int, replica: Replica) -> None:
        self._object(node_id, replica, "installs a snapshot")

    def _object(self, node_id: int, replica: Replica, what: str) -> None:
        if replica.replica_id <= self._lost.get(node_id, {}).get(replica.group, 0):
            raise self.violation(
                f"node {node_id} has lost its disk, and with it group {replica.group}; its replica "
                f"{replica.replica_id} {what} all the same"
            )
