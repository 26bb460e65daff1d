"""What a tick does to the replicas of a node: those that it concerns get it, or go to rest."""

from .delivery import BROKEN, Delivery
from .replica import Replica
from .replicas import Replicas
from .rest import Rest
from .turn import Turn


class Ticks:
    """Gives ticks to replicas."""

    def __init__(
        self, replicas: Replicas, rest: Rest, delivery: Delivery, active: dict[int, Replica]
    ) -> None:
        self._replicas = replicas
        self._rest = rest
        self._delivery = delivery
        self._active = active

    def give_one(self, turn: Turn) -> None:
        """One more tick has passed."""
        timers = self._replicas.timers
        for group in timers.tick():
            replica = self._replicas.running[group]
            try:
                if not self._rest.begins(turn, replica) and timers.give(replica):
                    self._active[group] = replica
            except BROKEN as error:
                self._delivery.fence(turn, replica, error)
        self._rest.tick()
