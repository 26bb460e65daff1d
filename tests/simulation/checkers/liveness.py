"""Once the faults are over everything works again, and stays so (`faults.md` §1).

Time counts from the moment of healing, or from the last start of a node after it. A group has a live quorum
unless too many of its members are excused or gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from multiraft.engine.node import Node
from multiraft.engine.replica import Replica

from .base import Checker, Cluster, Operation, Outcome, Touched

ELECTION_TIMEOUTS = 3
"""So many of the longest election timeouts (2T: they are drawn from [T, 2T)) may pass without a leader."""
CATCH_UP_S = 30.0
"""Virtual seconds until every live replica has applied the same."""
CHANGES_A_MINUTE = 1
"""So often may a group change its leader once it has found one."""


class _Leadership:
    """Who has led one group since the faults were over."""

    __slots__ = ("changes", "term")

    def __init__(self, term: int) -> None:
        self.term = term
        self.changes: list[float] = []
        """When another one took over from the first."""


class Liveness(Checker):
    """See the module."""

    def __init__(self) -> None:
        self._now = 0.0
        self._from = inf
        """When the faults were over and the last node was up."""
        self._nodes: dict[int, Node] = {}
        self._excused: set[int] = set()
        self._open: dict[int, Operation] = {}
        self._leaders: dict[int, _Leadership] = {}
        self._targets: dict[int, int] = {}
        """By group what was committed at that time."""
        self._elected_by = inf
        """When leaders are asked for; infinite once that is done. The same for what is applied:"""
        self._equal_by = inf
        self._steady_from = inf
        """When the elections after the healing should be over."""

    # -- nodes and time --------------------------------------------------------------------------

    def started(self, node_id: int, node: Node) -> None:
        self._nodes[node_id] = node
        if self._from < inf:
            self._begin()

    def stopped(self, node_id: int) -> None:
        self._nodes.pop(node_id, None)
        if self._from < inf:
            self._begin()

    def lost(self, node_id: int) -> None:
        self._excused.add(node_id)

    def damaged(self, node_id: int) -> None:
        self._excused.add(node_id)

    def healed(self, now: float) -> None:
        self._now = now
        self._begin()

    def _begin(self) -> None:
        """Time counts from now on; leaders that are there already lead."""
        self._from = self._now
        self._equal_by = self._now + CATCH_UP_S
        longest = max((node.config.election_timeout_ms for node in self._nodes.values()), default=0)
        self._steady_from = self._elected_by = self._now + ELECTION_TIMEOUTS * 2 * longest / 1000
        self._leaders.clear()
        self._targets.clear()
        for replica in self._replicas():
            committed = replica.raw.raft.log.committed
            self._targets[replica.group] = max(committed, self._targets.get(replica.group, 0))
            self._look(replica)

    def passed(self, now: float) -> None:
        self._now = now
        if now >= self._elected_by:
            self._check_elected()
            self._elected_by = inf
        if now >= self._equal_by:
            self._check_caught_up()
            self._equal_by = inf

    def _quarantined(self) -> set[int]:
        """The groups of which a replica applies nothing any more: it holds back those that ask it, too."""
        return {replica.group for replica in self._replicas() if replica.quarantine is not None}

    def _replicas(self) -> Iterator[Replica]:
        """The replicas that run, but for those that need not catch up."""
        for node_id, node in self._nodes.items():
            if node_id not in self._excused:
                yield from node.replicas.running.values()

    # -- leaders ---------------------------------------------------------------------------------

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        if self._from < inf:
            for replica in touched.values():
                if replica is not None and replica.leads:
                    self._look(replica)

    def _look(self, replica: Replica) -> None:
        """Take note of a leader, unless it is one that the others have left behind."""
        term, group = replica.raw.raft.term, replica.group
        known = self._leaders.get(group)
        if not replica.leads or (known is not None and term <= known.term):
            return
        others = (node.replicas.running.get(group) for node in self._nodes.values())
        if any(other is not None and other.raw.raft.term > term for other in others):
            return
        if known is None:
            self._leaders[group] = _Leadership(term)
        else:
            known.term = term
            known.changes.append(self._now)
            self._check_steady(group, known)

    def _check_steady(self, group: int, leadership: _Leadership) -> None:
        settled = [at for at in leadership.changes if at >= self._steady_from]
        recent = [at for at in settled if at > self._now - 60.0]
        if len(recent) > CHANGES_A_MINUTE:
            raise self.violation(f"group {group} changes its leader at {recent}, and no fault makes it")

    def _check_elected(self) -> None:
        for group in self._targets:
            if group not in self._leaders and self._has_quorum(group):
                raise self.violation(
                    f"group {group} has no leader {self._now - self._from:.2f} s after the last fault"
                )

    def _has_quorum(self, group: int) -> bool:
        """Whether the members that run are a majority of both halves."""
        running = {replica.replica_id: replica for replica in self._replicas() if replica.group == group}
        for replica in running.values():
            conf = replica.applied.conf_state
            for half in (conf.voters, conf.voters_outgoing):
                if half and 2 * len([voter for voter in half if voter in running]) <= len(half):
                    return False
        return bool(running)

    # -- replicas --------------------------------------------------------------------------------

    def _check_caught_up(self) -> None:
        quarantined = self._quarantined()
        for replica in self._replicas():
            target = 0 if replica.group in quarantined else self._targets.get(replica.group, 0)
            if replica.applied.index < target and self._has_quorum(replica.group):
                raise self.violation(
                    f"group {replica.group}, replica {replica.replica_id}: applied is "
                    f"{replica.applied.index}, {target} was committed {CATCH_UP_S} s ago"
                )
            if replica.rebuilding is not None and target and self._has_quorum(replica.group):
                raise self.violation(f"group {replica.group}: {replica.rebuilding.reason}, and nothing came")

    # -- clients, and the end --------------------------------------------------------------------

    def invoked(self, op: Operation) -> None:
        self._open[op.id] = op

    def completed(self, op: Operation) -> None:
        if self._open.pop(op.id, None) is None:
            raise self.violation(f"{op} is answered twice")
        if op.outcome is Outcome.PENDING or op.returned is None:
            raise self.violation(f"{op} is answered, and nobody says how")

    def finished(self, cluster: Cluster) -> None:
        for op in self._open.values():
            raise self.violation(f"{op} was never answered")
        if self._now >= self._steady_from:
            self._check_elected()
        applied: dict[int, dict[int, int]] = {}
        for replica in self._replicas():
            applied.setdefault(replica.group, {})[replica.replica_id] = replica.applied.index
        for group in self._quarantined():
            del applied[group]
        for group, indexes in applied.items():
            if len(set(indexes.values())) > 1 and self._has_quorum(group):
                raise self.violation(f"group {group} has applied {indexes} in the end")
