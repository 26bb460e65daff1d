"""Admission of elections: when a node dies, or a machine is slow, not every group campaigns at once.

An election by timeout takes a slot, until the group has a leader again or an election timeout has passed. Who
finds none waits for a few ticks more: without that, thousands of elections hold each other up until all of
them time out, and begin anew in the next term. An election that is forced, as of a newborn group, needs none;
on a node that cannot keep up with its ticks, the newborn's other members give the designated one more time.
"""

import random

from ..raft.ids import NO_REPLICA
from ..raft.rest import hasten
from .config import EngineConfig
from .replica import Replica
from .replicas import Replicas


class Elections:
    """The elections by timeout that this node has under way."""

    def __init__(self, config: EngineConfig, replicas: Replicas, seed: random.Random) -> None:
        self._most = config.elections_in_flight
        self._timeout = config.election_ticks
        self._replicas = replicas
        self._random = seed
        self._slots: dict[int, int] = {}
        """By group: until which tick its election keeps its slot."""
        self._in_vain: set[int] = set()
        """Groups that have kept a slot to its end and found no leader: the next one is for others."""
        self._wanted_until = 0
        """Until this tick somebody may still wait for a slot."""
        self.admitted = 0
        """How many elections by timeout have had a slot."""
        self.postponed = 0
        """How often a replica had to wait for a slot."""

    def calls(self, group: int) -> bool:
        """Whether it is for this node to call the election of a group without a leader.

        By the group's number one of those that are alive: not all of them do, nor one for all groups.
        """
        nodes = sorted(node for _, node in self._replicas.birth(group).peers)
        alive = [
            node for node in nodes if node == self._replicas.node_id or self._replicas.liveness.alive(node)
        ]
        return alive[group % len(alive)] == self._replicas.node_id

    def hasten(self, replica: Replica) -> None:
        """Somebody waits for a leader of a group whose replica has just started: let it campaign soon."""
        self._replicas.timers.touch(replica)
        hasten(replica.raw.raft)

    @property
    def free(self) -> int:
        """Slots that nobody has."""
        return self._most - len(self._slots)

    @property
    def in_flight(self) -> int:
        """Slots that somebody has."""
        return len(self._slots)

    def take(self, replica: Replica) -> None:
        """Give a slot that is free to a replica that campaigns at once."""
        self.admitted += 1
        self._slots[replica.group] = self._replicas.timers.ticks + self._timeout

    def settle(self, now: int) -> None:
        """Give back the slots that are not needed any more."""
        if not self._slots:
            return
        slots: dict[int, int] = {}
        for group, until in self._slots.items():
            if not self._is_open(group):
                self._in_vain.discard(group)
            elif until > now:
                slots[group] = until
            else:
                self._in_vain.add(group)
        self._slots = slots

    def admits(self, replica: Replica, now: int, *, late: bool) -> bool:
        """Whether the replica may campaign in this tick; if not, its timeout has become longer.

        ``late``: the node has more to do than it has time for, and so may the others.
        """
        group = replica.group
        if group in self._slots:
            return True
        if late and replica.patience and self._expects_another(replica):
            replica.patience -= 1
            self._replicas.timers.postpone(replica, self._timeout)
            return False
        goes_behind = group in self._in_vain and self._wanted_until > now
        self._in_vain.discard(group)
        if len(self._slots) < self._most and not goes_behind:
            self.take(replica)
            return True
        self._wanted_until = now + self._timeout
        self.postponed += 1
        self._replicas.timers.postpone(replica, 1 + self._random.randrange(self._timeout))
        return False

    def _expects_another(self, replica: Replica) -> bool:
        """Whether a newborn has a designated leader that will call the first election: its node is alive."""
        return replica.raw.raft.term == 0 and self._replicas.liveness.alive(replica.birth.peers[0][1])

    def _is_open(self, group: int) -> bool:
        replica = self._replicas.running.loaded.get(group)
        return replica is not None and replica.raw.raft.lead == NO_REPLICA
