"""How long the values of a batch may be: sixteen pages each, or one while long ones take too much time.

A value of sixteen pages needs as many free ones in a row. Where many pages are free, but hardly any in a row,
LMDB looks through all of them for each such value: a transaction of 200 kB took 7 ms of the processor's time
instead of 0.4, beside a hundred thousand single free pages. A value of one page goes into any.

What counts is the time of the thread that commits, which knows nothing of how busy the disk is. It is given,
so a simulation decides what it is.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """When commits are too slow, and for how long values are small then."""

    base_s: float = 0.001
    """A commit is slow from so many seconds on ..."""
    page_s: float = 8e-6
    """... and so many for each page that it writes: some four times what is normal."""
    slow: int = 8
    """Values are small after so many slow commits in a row ..."""
    hold: int = 64
    """... for as many batches as this, and for twice as many each time that long ones are slow still."""
    hold_max: int = 4096
    trial: int = 2
    """So many slow commits in a row are enough then."""


class ValueSizes:
    """Decides for each batch, by the commits of those before.

    `written` is called by the thread that commits, `small` is read by the one that encodes. A batch that fits
    one page is the same either way: nothing is learned of it.
    """

    def __init__(self, now: Callable[[], float], patience: Patience | None = None) -> None:
        """`now`: seconds that the calling thread has worked so far."""
        self.now = now
        """As given."""
        self.small = False
        """Whether a batch that is encoded now gets values of one page."""
        self._patience = patience or Patience()
        self._slow = 0
        """Slow commits in a row."""
        self._fine = 0
        """Others, with long values, since these were tried last."""
        self._hold = self._patience.hold
        self._left = 0
        """Batches until long values are tried again."""

    def written(self, pages: int, seconds: float, *, small: bool) -> None:
        """A batch of more than one page was committed in so much time; values that it deleted count as pages.

        `small`: whether its values were.
        """
        if small is not self.small:
            return  # it was encoded before the decision
        if small:
            self._left -= 1
            if self._left <= 0:
                self.small = False
                self._slow = max(0, self._patience.slow - self._patience.trial)
        elif seconds <= self._patience.base_s + self._patience.page_s * pages:
            self._slow = 0
            self._fine += 1
            if self._fine >= self._patience.hold:
                self._hold = self._patience.hold
        else:
            self._slow += 1
            if self._slow >= self._patience.slow:
                self._fall_back()

    def _fall_back(self) -> None:
        self.small = True
        self._left = self._hold
        self._hold = min(2 * self._hold, self._patience.hold_max)
        self._fine = 0


def untimed() -> ValueSizes:
    """Sizes of a store to which time means nothing: values are long."""
    return ValueSizes(lambda: 0.0)
