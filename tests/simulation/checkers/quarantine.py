"""A machine that raises harms its own group only, and nobody takes it for sound (`faults.md` §1).

Quarantined is a replica whose machine has raised, and only such a one; from then on it applies nothing, and
goes on voting and replicating (`Liveness` asks its group for a leader as any other). Callers are told so of
no other group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft.entry import Entry

from .base import Checker, Operation, Touched
from .disk import Disks

EVERYWHERE: Final = 0
"""Stands for every node."""
TOLD: Final = re.compile(r"Quarantined: group (\d+) ")


class Quarantine(Checker):
    """See the module."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._poisoned: set[tuple[int, int]] = set()
        """(node, group) of the replicas whose machines may raise now."""
        self._ever: set[int] = set()
        """The groups among whose replicas there was one."""

    def poisoned(self, node_id: int, group: int) -> None:
        self._poisoned.add((node_id, group))
        self._ever.add(group)

    def stopped(self, node_id: int) -> None:
        self._poisoned -= {one for one in self._poisoned if one[0] == node_id}

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        for group, replica in touched.items():
            if replica is not None and replica.quarantine is not None:
                self._check_reason(node_id, group, replica)

    def _check_reason(self, node_id: int, group: int, replica: Replica) -> None:
        reasons = {(node_id, group), (EVERYWHERE, group)}
        if reasons.isdisjoint(self._poisoned) and not self._disks.of(node_id).excused:
            raise self.violation(f"node {node_id}: {replica.quarantine}, and nothing is wrong with it")

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        if replica.quarantine is not None and replica.quarantine.index <= entries[-1].index:
            raise self.violation(f"node {node_id}: applies {entries[-1]}, and {replica.quarantine}")

    def completed(self, op: Operation) -> None:
        told = TOLD.match(op.error)
        damaged = any(disk.excused for disk in self._disks.by_node.values())
        if told and int(told[1]) not in self._ever and not damaged:
            raise self.violation(f"{op}: nothing is wrong with that group")
