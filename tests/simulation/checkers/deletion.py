"""Deletion: a range serves nothing any more before the directory forgets it, and a tombstone stays.

When the directory's deletion is applied anywhere, an entry of the range's own log has retired it. A tombstone
is written for deleted ranges alone; nothing of the directory is flushed that has forgotten a range of which
the replica here is not buried durably. What a caller was told is deleted is in no directory of later.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import SYSTEM_GROUP, Replica
from multiraft.engine.statemachine.flush import Flush
from multiraft.raft.entry import Entry
from multiraft.shards.directory_machine import DirectoryMachine

from .base import Checker, Kind, Operation, Outcome, Touched
from .directory import Directory
from .disk import Disks
from .models import Models


class Deletion(Checker):
    """See the module."""

    def __init__(self, disks: Disks, models: Models, directory: Directory) -> None:
        self._disks = disks
        self._models = models
        self._model = directory.model
        self._seen: set[int] = set()
        """Deleted groups that were looked at."""
        self._doomed: dict[int, list[int]] = {}
        """By deletion under way the groups that were in its interval when it was asked for."""
        self._flushes: dict[int, Flush] = {}

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        if replica.group == SYSTEM_GROUP:
            for group in self._model.deleted_at.keys() - self._seen:
                self._seen.add(group)
                model = self._models.by_group.get(group)
                if model is None or model.retired_at == inf:
                    raise self.violation(f"node {node_id}: the directory forgets group {group}, which serves")

    def staged(self, node_id: int, seq: int, writes: Sequence[GroupWrite]) -> None:
        for write in writes:
            if write.tombstone and write.group not in self._model.deleted_at:
                raise self.violation(f"node {node_id}: group {write.group} is buried, and was not deleted")

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        """As of births: a flush is looked at in the turn that froze it."""
        flushing = node.state.flushing
        if flushing is None or flushing is self._flushes.get(node_id):
            return
        self._flushes[node_id] = flushing
        system = node.replicas.running.get(SYSTEM_GROUP)
        if system is None or SYSTEM_GROUP not in flushing.groups:
            return
        if not isinstance(system.machine, DirectoryMachine):
            return
        logs, version = self._disks.of(node_id).logs, system.machine.version
        left = [group for group, at in self._model.deleted_at.items() if at <= version and group in logs]
        if left:
            raise self.violation(
                f"node {node_id}: the directory is flushed without {left}, whose replicas are not buried"
            )

    def invoked(self, op: Operation) -> None:
        if op.kind is Kind.DELETE_RANGES:
            self._doomed[op.id] = [one.group for one in self._model.overlapping(*op.arguments)]

    def completed(self, op: Operation) -> None:
        doomed = self._doomed.pop(op.id, [])
        left = [group for group in doomed if group not in self._model.deleted_at]
        if op.outcome is Outcome.OK and left:
            raise self.violation(f"{op}: {left} are not deleted")
