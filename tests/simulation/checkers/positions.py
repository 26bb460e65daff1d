"""Nothing goes back: term, vote, commit and applied of each replica, restarts of the same disk included.

With it, what one replica can be asked by itself: the core's own invariants, a configuration that is that of
the applied state, and that nobody is set aside whose disk is sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft import invariants
from multiraft.raft.entry import Entry
from multiraft.raft.state import HardState

from .base import Checker, Touched
from .disk import Disks


class _Seen(NamedTuple):
    """A replica as it was after its last turn."""

    term: int
    commit: int
    applied: int


NEWBORN = _Seen(0, 1, 1)


class Positions(Checker):
    """See the module."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._nodes: dict[int, Node] = {}
        self._seen: dict[int, dict[int, _Seen]] = {}
        self._members: dict[tuple[int, int], tuple[object, ...]] = {}
        """By node and group what the membership hangs on, as it was when that was checked last."""
        self._flushed: dict[int, dict[int, int]] = {}
        """By node and group the applied index that was known to be in the state store for good."""

    def started(self, node_id: int, node: Node) -> None:
        self._nodes[node_id] = node
        self._flushed.setdefault(node_id, {})
        self._seen[node_id] = {}
        for replica in node.replicas.running.loaded.values():
            self.begun(node_id, replica)
        self._check_set_aside(node_id, node)

    def begun(self, node_id: int, replica: Replica) -> None:
        if not self._disks.of(node_id).excused:
            self._check_restart(node_id, replica)
        self._seen[node_id][replica.group] = _seen(replica)

    def lost(self, node_id: int) -> None:
        self._flushed[node_id] = {}

    def _check_restart(self, node_id: int, replica: Replica) -> None:
        raft, where = replica.raw.raft, f"node {node_id}, group {replica.group}, after a restart"
        log = self._disks.log(node_id, replica.group)
        if log is None:
            raise self.violation(f"{where}: it runs without a durable birth")
        term, vote, commit = log.hard_state
        if (raft.term, raft.vote) != (term, vote):
            raise self.violation(
                f"{where}: term and vote are {raft.term, raft.vote}, durable are {term, vote}"
            )
        if raft.log.committed < commit:
            raise self.violation(f"{where}: commit fell from {commit} to {raft.log.committed}")
        flushed = self._flushed[node_id].get(replica.group, 0)
        if replica.applied.index < flushed and not self._disks.of(node_id).state_lost:
            raise self.violation(f"{where}: applied fell from {flushed} to {replica.applied.index}")

    # -- what becomes durable --------------------------------------------------------------------

    def committed(self, node_id: int, seq: int) -> None:
        disk = self._disks.of(node_id)
        latest: dict[int, HardState] = {}
        for write in disk.staged[seq]:
            log = disk.logs.get(write.group)
            if write.hard_state is None or log is None or write.tombstone:
                continue
            before = latest.get(write.group, log.hard_state)
            self._check_hard_state(node_id, write, before)
            latest[write.group] = write.hard_state

    def _check_hard_state(self, node_id: int, write: GroupWrite, before: HardState) -> None:
        now, where = write.hard_state, f"node {node_id}, group {write.group}"
        assert now is not None
        if now.term < before.term or now.commit < before.commit:
            raise self.violation(f"{where}: the hard state goes back from {before} to {now}")
        if now.term == before.term and before.vote not in {0, now.vote}:
            raise self.violation(f"{where}: two votes in term {now.term}: {before.vote} and {now.vote}")

    # -- after a turn ----------------------------------------------------------------------------

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        seen = self._seen[node_id]
        for group, replica in touched.items():
            if replica is not None:
                try:
                    self._check_core(node_id, replica)
                except AssertionError as broken:
                    raise self.violation(f"node {node_id}, group {group}: {broken}") from broken
                if replica.silence is not None:
                    continue  # to its core the log is empty
                before, now = seen.get(group, NEWBORN), _seen(replica)
                if now.applied < before.applied and self._disks.of(node_id).state_lost:
                    # It was at rest, and as it was taken up its state was not what it had left there.
                    self._check_restart(node_id, replica)
                    before = now
                self._check_progress(node_id, replica, before, now)
                seen[group] = now
        if node.replicas.lost:
            self._check_set_aside(node_id, node)

    def _check_core(self, node_id: int, replica: Replica) -> None:
        raft = replica.raw.raft
        members = replica, raft.tracker.conf, raft.term, raft.role
        if self._members.get((node_id, replica.group)) != members:
            invariants.check_membership(raft)
            self._members[node_id, replica.group] = members
        try:
            invariants.check_step(replica.raw)
        except Corruption:  # the node has not read it yet
            if not self._disks.of(node_id).excused:
                raise

    def _check_progress(self, node_id: int, replica: Replica, before: _Seen, now: _Seen) -> None:
        where = f"node {node_id}, group {replica.group}"
        if now.term < before.term or now.commit < before.commit or now.applied < before.applied:
            raise self.violation(f"{where} goes back from {before} to {now}")
        used, applied = replica.raw.raft.tracker.conf, replica.applied.conf_state
        if used is not applied and used != applied:
            raise self.violation(f"{where}: {used} is in use, {applied} is applied")

    def _check_set_aside(self, node_id: int, node: Node) -> None:
        disk, replicas = self._disks.of(node_id), node.replicas
        lost = dict(replicas.lost)
        if disk.state_lost:  # peers would have it
            lost = {group: error for group, error in lost.items() if group in replicas._with_peers}
        if lost and not disk.excused:
            raise self.violation(f"node {node_id} set aside {lost}, and its disk is sound")

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        flushed = self._nodes[node_id].state.durable_applied(replica.group)
        self._flushed[node_id][replica.group] = flushed


def _seen(replica: Replica) -> _Seen:
    raft = replica.raw.raft
    return _Seen(raft.term, raft.log.committed, replica.applied.index)
