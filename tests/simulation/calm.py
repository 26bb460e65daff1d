"""When nothing happens any more, nothing is said: groups rest, and the nodes that hold them beat."""

from collections.abc import Callable
from typing import Final

from multiraft.engine.node import Node
from multiraft.engine.outbox import OutFrame
from multiraft.engine.replica import SYSTEM_GROUP

from .checkers.base import Violation
from .cluster import Cluster
from .trace import describe_row, rows_of

CALM_S: Final = 2.0
"""Seconds in which no group may say a word."""


class Calm:
    """The end of a run in which nobody asks for anything."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def check(self, until: Callable[[Callable[[], bool], float, str], None]) -> None:
        """Wait for every group to rest, then watch what is sent.

        Raises:
            Violation: a group is awake although nothing happens, or says something.
        """
        if self._cluster.excused:
            return  # a node that has lost what it promised may keep its groups awake: it is to be replaced
        config, world = self._cluster.config, self._cluster.world
        beat_s, election_s = config.beat_ms / 1000, config.election_timeout_ms / 1000
        patience = (config.rest_after_beats + 5) * beat_s + 6 * election_s
        until(lambda: not self._awake(), patience, "a group that is left alone does not rest")
        for process in self._cluster.processes.values():
            process.on_frame = self._listen
        world.run(world.now + CALM_S)
        for process in self._cluster.processes.values():
            process.on_frame = None
        if awake := self._awake():
            raise Violation("calm", f"left alone, {', '.join(awake[:5])} wakes up")

    def _awake(self) -> list[str]:
        return [
            f"group {replica.group} on node {node_id}"
            for node_id, node in self._cluster.nodes.items()
            for replica in self._restful(node)
            if replica.rests is None
        ]

    def _restful(self, node: Node) -> list:
        """Replicas that have no reason to be awake.

        A group that cannot apply has one, and so has the directory: a node may be about to register.
        """
        quarantined = {SYSTEM_GROUP} | {
            group
            for other in self._cluster.nodes.values()
            for group, one in other.replicas.running.items()
            if one.quarantine is not None
        }
        return [one for one in node.replicas.running.values() if one.group not in quarantined]

    def _listen(self, node_id: int, frame: OutFrame) -> None:
        for row in rows_of(frame):
            replica = self._cluster.nodes[node_id].replicas.running.get(row.group)
            if row.group not in {0, SYSTEM_GROUP} and replica is not None and replica.quarantine is None:
                raise Violation("calm", f"node {node_id} says, left alone: {describe_row(row)}")
