"""One fault that does not go away: whoever can reach a majority has to work all the same, and in peace.

Everything else is whole by then. Two nodes may not reach each other, or one is deaf, or mute, or alone.
"""

from typing import Final

from .checkers.base import Violation
from .cluster import FIRST_PORT, Cluster, group_members

QUIET_S: Final = 3.0
"""Seconds in which no group may change its leader again."""


class Endurance:
    """A link, or the links of one node, are cut one way or both."""

    def __init__(self, cluster: Cluster, kind: str, luck: float) -> None:
        self.cluster = cluster
        nodes = cluster.ids
        self.node = nodes[int(luck * len(nodes))]
        """The node that is worst off."""
        other = nodes[(nodes.index(self.node) + 1) % len(nodes)]
        out = [(self.node, one) for one in nodes if one != self.node and (kind != "cut" or one == other)]
        back = [(one, other) for other, one in out]
        chosen = {"deaf": back, "mute": out}.get(kind, out + back)
        self.ways = [(FIRST_PORT + one, FIRST_PORT + two) for one, two in chosen]
        self._terms: dict[int, int] = {}

    def begin(self) -> None:
        """From now on it is so."""
        self.cluster.note(0, "endures", str(self.ways))
        for way in self.ways:
            self.cluster.network.block(*way)

    def end(self) -> None:
        """No more."""
        for way in self.ways:
            self.cluster.network.unblock(*way)

    def settled_after(self) -> float:
        """Seconds after which elections are over: connections have been given up, and leaders have gone."""
        return 8 * self.cluster.config.election_timeout_ms / 1000

    def look(self) -> None:
        """Take note of who leads, to find out who has changed.

        Raises:
            Violation: a group with a majority has no leader, or two replicas think that they lead one.
        """
        nodes = self.cluster.nodes
        for group in {group: None for node in nodes.values() for group in node.replicas.running}:
            members = [one for one in group_members(nodes, group) if one in nodes]
            held = [nodes[one].replicas.running.get(group) for one in members]
            leaders = [replica for replica in held if replica is not None and replica.leads]
            if len(leaders) > 1 or (not leaders and self._is_served(group)):
                found = [(one.replica_id, one.raw.raft.term) for one in leaders]
                raise Violation("endurance", f"group {group} is led by {found} under a lasting partition")
            if leaders:
                term = leaders[0].raw.raft.term
                if self._terms.setdefault(group, term) != term:
                    raise Violation(
                        "endurance", f"group {group} changes its leader under a lasting partition"
                    )

    def _is_served(self, group: int) -> bool:
        """Whether a majority of its members, all of them whole, is there without the node worst off."""
        members = group_members(self.cluster.nodes, group)
        there = [
            one
            for one in members
            if one != self.node and one not in self.cluster.excused and self._has(one, group)
        ]
        return 2 * len(there) > len(members)

    def _has(self, node: int, group: int) -> bool:
        running = self.cluster.nodes.get(node)
        return running is not None and group in running.replicas.running
