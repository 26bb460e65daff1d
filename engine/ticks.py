"""What a tick does to the replicas of a node: those that it concerns get it, go to rest, or have to wait."""

from .delivery import BROKEN, Delivery
from .dormancy import Dormancy
from .elections import Elections
from .orphans import Orphans
from .replica import Replica
from .replicas import Replicas
from .rest import Rest
from .ticker import Ticker
from .turn import Turn


class Ticks:
    """Gives ticks to replicas."""

    def __init__(
        self,
        replicas: Replicas,
        dormancy: Dormancy,
        ticker: Ticker,
        rest: Rest,
        elections: Elections,
        orphans: Orphans,
        delivery: Delivery,
        active: dict[int, Replica],
    ) -> None:
        self._replicas = replicas
        self._dormancy = dormancy
        self._ticker = ticker
        self._rest = rest
        self._elections = elections
        self._orphans = orphans
        self._delivery = delivery
        self._active = active

    def begin(self, turn: Turn) -> None:
        """Before all else: whoever wakes in this turn is not given ticks that the node has slept through."""
        passed = self._ticker.pass_quiet(turn.now)
        turn.effects.figures.ticks += passed
        self._replicas.timers.skip(passed)
        self._replicas.liveness.ticks += passed

    def look_ahead(self, *, idle: bool) -> None:
        """Let the node sleep through ticks that concern nobody; ``idle``: nothing is under way."""
        self._ticker.quiet = self._quiet_ticks() if idle else 0

    def _quiet_ticks(self) -> int:
        replicas = self._replicas
        awaited = self._orphans or self._elections.in_flight or replicas.running.waiting or replicas.newborns
        if awaited or replicas.rebuilding or replicas.silent:
            return 0
        return min(self._rest.quiet_ticks(), self._dormancy.quiet_ticks(), replicas.timers.quiet_ticks())

    def pass_time(self, turn: Turn) -> int:
        """Give the ticks that are due now, and say how many; more than one at once: the node is late."""
        ticks = self._ticker.due(turn.now)
        if ticks is None:
            turn.effects.again = True
            return 0
        turn.effects.figures.ticks += ticks
        for _ in range(ticks):
            self._give_one(turn, late=ticks > 1)
        if ticks:
            for replica in self._delivery.rebuilder.tick(turn, ticks):
                self._active[replica.group] = replica
            self._delivery.forget_unfounded(turn)
        self._wake_orphans(turn)
        return ticks

    def _give_one(self, turn: Turn, *, late: bool) -> None:
        timers = self._replicas.timers
        self._elections.settle(timers.ticks)
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
        self._begin_waiting()
        self._dormancy.tick()

    def _wake_orphans(self, turn: Turn) -> None:
        """Let some of those elect whose leader is gone; not only with ticks, as slots come free."""
        if self._orphans:
            self._elections.settle(self._replicas.timers.ticks)
            if self._orphans.wake(self._delivery.begin_election):
                turn.effects.again = True

    def _begin_waiting(self) -> None:
        """Start some of the replicas that wait and that nobody seems to lead."""
        replicas = self._replicas
        alive = (node for node in sorted(replicas.neighbours) if replicas.liveness.alive(node))
        for group in replicas.running.waiting.tick(alive, self._elections.calls):
            replica = replicas.running.get(group)
            if replica is not None:
                self._elections.hasten(replica)
