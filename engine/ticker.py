"""Turns the passing of time into Raft ticks."""

from typing import Final

MOST_TICKS: Final = 2
"""Ticks given at once after a pause; the rest is counted and forgotten, or every election would fire."""


class Ticker:
    """Counts ticks on a clock that the caller reads (seconds, monotonic)."""

    def __init__(self, now: float, tick: float, late_after: float) -> None:
        self._tick = tick
        self._late_after = late_after
        self._last = now
        self._looked = False
        self.quiet = 0
        """Ticks to come that concern nobody: no turn is needed for them."""
        self.missed = 0
        """Ticks that were forgotten because the loop was late."""

    @property
    def deadline(self) -> float:
        """When the next tick that concerns somebody is due."""
        return self._last + (1 + self.quiet) * self._tick

    def pass_quiet(self, now: float) -> int:
        """How many ticks have passed that concerned nobody. To be asked before anything else happens."""
        passed = min(int((now - self._last) / self._tick), self.quiet)
        self.quiet -= passed
        self._last += passed * self._tick
        return passed

    def due(self, now: float) -> int | None:
        """Ticks due now; ``None``: the loop is so late that the sockets must be looked at first.

        A node that was held up has its peers' beats waiting in its sockets: judging the peers before
        reading them would depose leaders that are alive.
        """
        late = now - self._last
        if late < self._tick:
            return 0
        if late > self._late_after and not self._looked:
            self._looked = True
            return None
        self._looked = False
        ticks = int(late / self._tick)
        self._last += ticks * self._tick
        self.missed += max(0, ticks - MOST_TICKS)
        return min(ticks, MOST_TICKS)
