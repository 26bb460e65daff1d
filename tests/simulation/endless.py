"""Ends a run whose virtual time stands still: code that neither returns nor waits would hang its seed."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

LONGEST_S: Final = 120.0
"""Seconds of processor time that a seed may take; the longest ones take a few."""


class Endless(BaseException):
    """A run took too long. No ``Exception``: what hangs may be a loop that takes these for refusals."""


@contextmanager
def no_longer_than(seconds: float, tell: Callable[[Endless], None]) -> Iterator[None]:
    """Raise :class:`Endless` where the code is after ``seconds`` of processor time; in the main thread only.

    It is told to ``tell`` as well: a task keeps what its coroutine raises to itself.
    """

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        error = Endless(f"the run has not ended after {seconds:g} s of processor time")
        tell(error)
        raise error

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
