"""A line now and then while the log is read at a start that takes its time."""

import logging
import time
from typing import Final

from .chunks import split_key
from .environment import Environment

logger = logging.getLogger(__name__)

QUIET_S: Final = 1.0
"""Nothing is said in the first second, and no more than once in each other."""


class Progress:
    """Tells how much of the log has been read."""

    def __init__(self, environment: Environment, first: int) -> None:
        """Batches behind `first` are read."""
        last = environment.last_key()
        self._first = first
        self._last = first if last is None else split_key(last)[0]
        self._next = time.monotonic() + QUIET_S

    def tell(self, seq: int) -> None:
        """Batch `seq` has been read."""
        if time.monotonic() >= self._next:
            self._next += QUIET_S
            done = 100 * (seq - self._first) // max(1, self._last - self._first)
            logger.info("reading the log: %d of 100 done, batch %d of %d", done, seq, self._last)
