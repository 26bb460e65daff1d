"""What a tick does to the replicas of a node: those that it concerns get it, go to rest, or have to wait."""

from .delivery import BROKEN, Delivery
from .dormancy import Dormancy
from .elections import Elections
from .replica import Replica
from .replicas import Replicas
from .rest import Rest
from .turn import Turn


class Ticks:
    """Gives ticks to replicas."""

    def __init__(
        self,
        replicas: Replicas,
        rest: Rest,
        elections: Elections,
        delivery: Delivery,
        active: dict[int, Replica],
        dormancy: Dormancy,
    ) -> None:
        self._elections = elections
        self._replicas = replicas
        self._rest = rest
        self._delivery = delivery
        self._active = active
        self._dormancy = dormancy

    def give_one(self, turn: Turn, *, late: bool) -> None:
        """One more tick has passed; ``late``: more than one of them at once."""
        timers = self._replicas.timers
        self._elections.tick(timers.ticks)
        for group in timers.tick():
            replica = self._replicas.running[group]
            try:
                if replica.leads:
                    passes = self._rest.begins(turn, replica)
                else:
                    passes = not self._elections.admits(replica, timers.ticks, late=late)
                if not passes and timers.give(replica):
                    self._active[group] = replica
            except BROKEN as error:
                self._delivery.fence(turn, replica, error)
        self._rest.tick()
        self._dormancy.tick()
