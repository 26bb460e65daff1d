"""How many bytes a second may pass, over all snapshots of a node."""

from typing import Final

_BURST_S: Final = 0.05


class Pace:
    """A bucket that fills by time.

    It may go below empty by one piece, for the size of a piece is known only once it is made.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._burst = max(1.0, bytes_per_second * _BURST_S)
        self._level = self._burst
        self._then = 0.0

    def ready(self, now: float) -> bool:
        """Whether something may pass now."""
        self._level = min(self._burst, self._level + max(0.0, now - self._then) * self._rate)
        self._then = now
        return self._level > 0

    def take(self, size: int) -> None:
        """So many bytes have passed."""
        self._level -= size

    @property
    def ready_at(self) -> float:
        """When something may pass again, if nothing does meanwhile; the past if it may already."""
        return self._then if self._level > 0 else self._then + (1 - self._level) / self._rate
