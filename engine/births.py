"""Births: a replica exists once its birth row is durable, and not a moment earlier."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from .logstore.port import Birth

BIRTHS_PER_TURN: Final = 250
"""Replicas that one turn brings up: creating in bulk must not hold up the groups that run already."""


class Births:
    """The replicas that the directory has ordered and that do not run yet, in their three stages.

    ordered (the directory's entry is applied) → written (in a batch on its way to the disk) → durable
    (may be brought up, and only now answer a vote).
    """

    def __init__(self) -> None:
        self._ordered: deque[Birth] = deque()
        self._written = 0
        self._durable: deque[Birth] = deque()
        self._groups: set[int] = set()

    def __contains__(self, group: int) -> bool:
        return group in self._groups

    def __len__(self) -> int:
        """Replicas ordered and not brought up."""
        return len(self._groups)

    @property
    def unsettled(self) -> bool:
        """Whether the directory has applied a creation whose births are not durable yet.

        While this holds its applied index must not become durable: a crash would lose the births for good.
        """
        return bool(self._ordered or self._written)

    @property
    def ordered(self) -> bool:
        """Whether births wait for a batch."""
        return bool(self._ordered)

    @property
    def ready(self) -> bool:
        """Whether replicas wait to be brought up."""
        return bool(self._durable)

    def order(self, births: Iterable[Birth]) -> None:
        """The directory wants these replicas on this node."""
        for birth in births:
            self._ordered.append(birth)
            self._groups.add(birth.group)

    def to_write(self) -> list[Birth]:
        """The births for the next batch."""
        births = [birth for birth in self._ordered if birth.group in self._groups]
        self._ordered.clear()
        return births

    def written(self, births: Sequence[Birth]) -> None:
        """``births`` are on their way to the disk."""
        self._written += len(births)

    def durable(self, births: Sequence[Birth]) -> None:
        """These are on disk."""
        self._written -= len(births)
        self._durable.extend(births)

    def bring_up(self) -> list[Birth]:
        """The next replicas to start."""
        if not self._durable:
            return []
        births = [self._durable.popleft() for _ in range(min(BIRTHS_PER_TURN, len(self._durable)))]
        births = [birth for birth in births if birth.group in self._groups]
        self._groups.difference_update(birth.group for birth in births)
        return births

    def forget(self, group: int) -> None:
        """The directory does not want the group's replica any more, however far it has come."""
        self._groups.discard(group)
