"""Queues are bounded, and nothing is kept for ever (`faults.md` §1, resources).

After every turn, against the limits of the node's own configuration; and at the end, when there is nothing
left to do, against nothing at all. What goes by itself after a time may stay for that time.
"""

from __future__ import annotations

from multiraft.engine.config import EngineConfig
from multiraft.engine.node import Node
from multiraft.engine.pending import BYTES_PER_TURN
from multiraft.engine.replica import Replica
from multiraft.engine.statemachine.commands import MAX_COMMAND

from .base import Checker, Cluster, Touched

GRACE_S = 10.0
"""What has not been 0 for so long, with nothing to do, has been forgotten."""
SAMPLE_S = 0.5
"""How often a node's backlog is looked at once the faults are over: it costs a look at every replica."""
DONE = frozenset({"proposals", "uncommitted bytes", "unstable entries"})
"""What cannot be there any more once every replica has applied its whole log."""


class Bounds(Checker):
    """See the module."""

    def __init__(self) -> None:
        self._now = 0.0
        self._healed: float | None = None
        self._sampled: dict[int, float] = {}
        self._empty: dict[tuple[int, str], float] = {}
        """When each node had nothing of a kind, the last time that it was looked at."""

    def passed(self, now: float) -> None:
        self._now = now

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        config = node.config
        # The bound holds back what Raft hands out; births and truncations have one batch of their own.
        if node.batches_in_flight > config.batches_in_flight:
            raise self.violation(f"node {node_id} has {node.batches_in_flight} batches in flight")
        if node.parking.bytes > config.parked_bytes:
            raise self.violation(f"node {node_id} has parked {node.parking.bytes} bytes")
        for replica in touched.values():
            if replica is not None:
                self._check_replica(node_id, replica, config)
        if self._healed is not None and self._now >= self._sampled.get(node_id, 0.0) + SAMPLE_S:
            self._sample(node_id, node)

    def queued(self, node_id: int, size: int, waiting: int, most: int) -> None:
        # What is asked for while there is room is taken whole, however large; a batch of writes is a command.
        if not 0 <= size <= most + MAX_COMMAND or (size and not waiting):
            raise self.violation(f"node {node_id} counts {size} bytes of {waiting} requests, of {most}")

    def _check_replica(self, node_id: int, replica: Replica, config: EngineConfig) -> None:
        raft = replica.raw.raft
        most = max(config.uncommitted_bytes, BYTES_PER_TURN + MAX_COMMAND)  # one turn's proposals always pass
        if raft.uncommitted_size > most:
            raise self.violation(
                f"node {node_id}, group {replica.group}: {raft.uncommitted_size} bytes are uncommitted"
            )

    def _sample(self, node_id: int, node: Node) -> dict[str, int]:
        self._sampled[node_id] = self._now
        backlog = node.backlog()
        for replica in node.replicas.running.loaded.values():
            if replica.quarantine is not None:  # it applies nothing, so what its leader once counted stays
                backlog["uncommitted bytes"] -= replica.raw.raft.uncommitted_size
        for name, amount in backlog.items():
            if not amount:
                self._empty[node_id, name] = self._now
        return backlog

    def healed(self, now: float) -> None:
        self._now = self._healed = now

    def finished(self, cluster: Cluster) -> None:
        for node_id, node in cluster.nodes.items():
            config = node.config
            ages = {"parked bytes": config.parked_ms / 1000, "snapshots sent": config.snapshot_ms / 1000}
            for name, amount in self._sample(node_id, node).items():
                empty = self._empty.get((node_id, name), self._healed or 0.0)
                patience = 0.0 if name in DONE else GRACE_S + ages.get(name, 0.0)
                if amount and node_id not in cluster.excused and self._now >= empty + patience:
                    raise self.violation(
                        f"node {node_id} keeps {amount} {name}, and has for {self._now - empty:.1f} s"
                    )
