"""All checkers of a run behind one: what the world tells the suite, the suite tells those who listen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft.state import Snapshot

from .acknowledged import Acknowledged
from .base import Checker, Cluster, Touched
from .bounds import Bounds
from .chosen import Chosen
from .deletion import Deletion
from .directory import Directory
from .disk import Disks
from .durability import Durability
from .linearizability import Linearizability
from .liveness import Liveness
from .lost import Lost
from .models import Models
from .positions import Positions
from .quarantine import Quarantine
from .raft_safety import RaftSafety
from .state_equality import StateEquality

FIRST_APPLIED = 1
"""Every replica is born with index 1 applied."""
DERIVED = ("applied", "installed")
HOOKS = tuple(name for name, member in vars(Checker).items() if callable(member) and name != "violation")


class Suite(Checker):
    """Passes every hook on to the checkers that override it, and derives the two that nobody calls.

    A shadow disk comes after the checkers for what is written, and before them for what a crash takes.
    """

    def __init__(self, checkers: Iterable[Checker], disks: Disks) -> None:
        self.checkers = list(checkers)
        self.disks = disks
        self._applied_at: dict[int, dict[int, int]] = {}
        """By node and group the applied index seen last."""
        self._tell_applied = _caller(self._listeners("applied"))
        self._tell_installed = _caller(self._listeners("installed"))
        self._tell_begun = _caller(self._listeners("begun"))
        self._look_after_turn = self._listeners("turned")
        self._tell_started = _caller(self._listeners("started"))
        self._tell_finished = _caller(self._listeners("finished"))
        for hook in HOOKS:
            if hook not in {*DERIVED, "turned", "started", "begun", "finished"}:
                setattr(self, hook, _caller(self._listeners(hook)))

    def _listeners(self, hook: str) -> list[Callable[..., None]]:
        everybody = [*self.checkers, self.disks]
        return [
            getattr(one, hook) for one in everybody if getattr(type(one), hook) is not getattr(Checker, hook)
        ]

    def started(self, node_id: int, node: Node) -> None:
        running = node.replicas.running
        self._applied_at[node_id] = {group: one.applied.index for group, one in running.loaded.items()}
        self._tell_started(node_id, node)

    def begun(self, node_id: int, replica: Replica) -> None:
        self._applied_at[node_id][replica.group] = replica.applied.index
        self._tell_begun(node_id, replica)

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        self._derive_progress(node_id, touched)
        for look in self._look_after_turn:  # every turn comes here: no call in between
            look(node_id, node, touched)

    def finished(self, cluster: Cluster) -> None:
        for node_id, node in cluster.nodes.items():
            seen = self._applied_at[node_id]
            ahead = {
                group: one
                for group, one in node.replicas.running.items()
                if one.applied.index > seen.get(group, FIRST_APPLIED)
            }
            self._derive_progress(node_id, ahead)
        self._tell_finished(cluster)

    def _derive_progress(self, node_id: int, touched: Touched) -> None:
        seen = self._applied_at[node_id]
        for group, replica in touched.items():
            if replica is not None and (replica.silence is None or _new_point(replica) is not None):
                index, before = replica.applied.index, seen.get(group, FIRST_APPLIED)
                if index == before:
                    continue
                seen[group] = index
                if index > before or not self.disks.of(node_id).state_lost:  # else it has begun anew
                    self._tell_progress(node_id, replica, before)

    def _tell_progress(self, node_id: int, replica: Replica, before: int) -> None:
        """The applied index has moved: by entries, or because its log goes on from a snapshot."""
        index, point = replica.applied.index, _new_point(replica)
        if point is not None and point.index == index:
            self._tell_installed(node_id, replica)
            return
        log = self.disks.log(node_id, replica.group)
        entries = [] if log is None else log.slice(before + 1, index + 1)
        if len(entries) != index - before:
            raise self.violation(
                f"node {node_id}, group {replica.group}: applied went from {before} to {index}, and "
                f"{len(entries)} entries of that are durable in its log"
            )
        self._tell_applied(node_id, replica, entries)


def _new_point(replica: Replica) -> Snapshot | None:
    """The snapshot that a replica goes on from and that its log does not hold yet."""
    if replica.installing is not None:
        return replica.installing.snapshot
    if replica.rebuilding is not None:  # its data were damaged: there is nothing to wait for
        return replica.raw.raft.log.unstable.snapshot
    return None


def _caller(listeners: list[Callable[..., None]]) -> Callable[..., None]:
    """One call for many, without a loop where there are few."""
    if len(listeners) == 1:
        return listeners[0]
    if len(listeners) == 2:
        first, second = listeners

        def tell_both(*told: Any) -> None:
            first(*told)
            second(*told)

        return tell_both

    def tell_all(*told: Any) -> None:
        for listener in listeners:
            listener(*told)

    return tell_all


def everything() -> Suite:
    """A fresh set of all checkers, for one run.

    `RaftSafety` says what is chosen, so it comes before those that go by that.
    """
    disks, chosen = Disks(), Chosen()
    models = Models(chosen)
    directory = Directory(disks, chosen)
    return Suite(
        [
            RaftSafety(disks, chosen),
            Positions(disks),
            Durability(disks),
            Lost(disks),
            models,
            StateEquality(disks, models),
            Quarantine(disks),
            directory,
            Deletion(disks, models, directory),
            Acknowledged(models),
            Linearizability(),
            Bounds(),
            Liveness(),
        ],
        disks,
    )
