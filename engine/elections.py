"""Admission of elections: when a node dies, or a machine is slow, not every group campaigns at once.

An election by timeout takes a slot, until the group has a leader again or an election timeout has passed. Who
finds none waits for a few ticks more: without that, thousands of elections hold each other up until all of
them time out, and begin anew in the next term. An election that is forced, as of a newborn group, needs none;
on a node that cannot keep up with its ticks, the newborn's other members give the designated one more time.
"""

import random

from ..raft.ids import NO_REPLICA
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
        self.postponed = 0
        """How often a replica had to wait for a slot."""

    def tick(self, now: int) -> None:
        """A tick has passed: give back the slots that are not needed any more."""
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
            self._slots[group] = now + self._timeout
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
