"""What turns do and how long they take: cheap enough to be noted of every turn.

A turn knows no clock. It is given a stopwatch, whose readings go into its figures and nowhere else.
"""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

PHASES: Final = ("stores", "messages", "requests", "ticks", "ready", "batch", "apply", "send", "effects")
"""The parts of a turn, in order; ``effects`` is the host's."""
KEPT: Final = 64
"""Turns that are looked back on."""


def no_time() -> float:
    """A stopwatch that stands still."""
    return 0.0


class TurnFigures:
    """One turn: when each phase ended, and how much was done."""

    __slots__ = (
        "applied",
        "entries",
        "groups",
        "laps",
        "log_bytes",
        "messages",
        "sent_bytes",
        "ticks",
    )

    def __init__(self, began: float = 0.0) -> None:
        self.laps = [began]
        """Readings of a stopwatch in seconds: the start, then the end of each of :data:`PHASES`."""
        self.groups = 0
        """Replicas that were looked at because they had work."""
        self.entries = 0
        """Entries handed to the log writer, of ``log_bytes`` together."""
        self.log_bytes = 0
        self.applied = 0
        """Entries given to state machines."""
        self.messages = 0
        """Messages of groups to other nodes; ``sent_bytes`` counts all frames, beats of the node too."""
        self.sent_bytes = 0
        self.ticks = 0

    def wrote(self, entries: int, size: int) -> None:
        """Entries of ``size`` bytes go to the log writer."""
        self.entries += entries
        self.log_bytes += size

    @property
    def seconds(self) -> float:
        """How long the turn took, up to the last phase that has ended."""
        return self.laps[-1] - self.laps[0]

    @property
    def phases(self) -> dict[str, float]:
        """Seconds by phase."""
        return {phase: end - start for phase, (start, end) in zip(PHASES, pairwise(self.laps), strict=False)}


class Turns:
    """The turns of one node: the last ones, the longest one, and what all of them did."""

    def __init__(self) -> None:
        self.taken = 0
        self.messages = 0
        """Messages sent to other nodes since the start, here and below."""
        self.sent_bytes = 0
        self.ticks = 0
        self.longest: TurnFigures | None = None
        self.longest_seconds = 0.0
        """How long the longest turn took."""
        self.recent: deque[TurnFigures] = deque(maxlen=KEPT)

    def add(self, turn: TurnFigures) -> None:
        """A turn is over."""
        self.taken += 1
        self.messages += turn.messages
        self.sent_bytes += turn.sent_bytes
        self.ticks += turn.ticks
        self.recent.append(turn)
        seconds = turn.laps[-1] - turn.laps[0]
        if self.longest is None or seconds > self.longest_seconds:
            self.longest, self.longest_seconds = turn, seconds

    def summary(self) -> dict[str, Any]:
        """What an embedder reads: counts since the start, sums of the last turns, and the longest turn."""
        return {
            "taken": self.taken,
            "messages": self.messages,
            "sent_bytes": self.sent_bytes,
            "ticks": self.ticks,
            "recent": {"turns": len(self.recent), **sums(self.recent)},
            "longest": sums([] if self.longest is None else [self.longest]),
        }


def sums(turns: Iterable[TurnFigures]) -> dict[str, Any]:
    """Several turns added up: milliseconds, also by phase, and amounts."""
    turns = list(turns)
    spent = [turn.phases for turn in turns]
    phases = {phase: sum(one.get(phase, 0.0) for one in spent) for phase in PHASES}
    return {
        "ms": _milliseconds(sum(turn.seconds for turn in turns)),
        "phases_ms": {phase: _milliseconds(seconds) for phase, seconds in phases.items()},
        "groups": sum(turn.groups for turn in turns),
        "entries": sum(turn.entries for turn in turns),
        "applied": sum(turn.applied for turn in turns),
        "messages": sum(turn.messages for turn in turns),
        "log_bytes": sum(turn.log_bytes for turn in turns),
        "sent_bytes": sum(turn.sent_bytes for turn in turns),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
