"""Removals: a replica that the directory has given up stops, and a tombstone stands where its birth stood."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..native.restdigest import RestPoint
from .errors import RangeDeleted
from .resting import full_rest

if TYPE_CHECKING:
    from .flusher import Flusher
    from .pending import Answer
    from .replica import Replica
    from .replicas import Replicas
    from .statemachine.store import StateStore

REMOVALS_PER_TURN: Final = 250
"""Replicas that one turn stops: deleting in bulk must not hold up the groups that go on."""


class Removal(NamedTuple):
    """A replica that is to be no more."""

    group: int
    replica_id: int


class Removals:
    """The replicas that the directory has given up, in their stages.

    ordered (the directory's entry is applied) → stopped (its state goes with the next flush) → written (the
    tombstone is in a batch on its way to the disk) → durable. Each stage may be repeated after a crash.
    """

    def __init__(self) -> None:
        self._ordered: deque[Removal] = deque()
        self._later: list[Removal] = []
        self._stopped: dict[int, Removal] = {}
        self._written = 0

    def __len__(self) -> int:
        """Replicas ordered away whose tombstones are not durable."""
        return len(self._ordered) + len(self._later) + len(self._stopped) + self._written

    @property
    def unsettled(self) -> bool:
        """Whether the directory has applied a deletion whose tombstones are not durable yet.

        While this holds its applied index must not become durable, nor the loss of the state: a crash would
        leave births that nobody takes back.
        """
        return len(self) > 0

    @property
    def to_stop(self) -> bool:
        """Whether replicas wait to be stopped."""
        return bool(self._ordered)

    @property
    def to_bury(self) -> bool:
        """Whether tombstones wait for a batch."""
        return bool(self._stopped)

    def __contains__(self, group: int) -> bool:
        """Whether the group's replica is stopped, and its tombstone not handed over yet."""
        return group in self._stopped

    def order(self, removals: Iterable[Removal]) -> None:
        """The directory wants these replicas here no more. Repeating an order is harmless."""
        self._ordered.extend(removals)

    def take(self) -> list[Removal]:
        """The next replicas to stop, those first that were put off in an earlier turn."""
        self._ordered.extendleft(reversed(self._later))
        self._later.clear()
        return [self._ordered.popleft() for _ in range(min(REMOVALS_PER_TURN, len(self._ordered)))]

    def put_off(self, removal: Removal) -> None:
        """A replica cannot be stopped before something that it has written is durable."""
        self._later.append(removal)

    def stopped(self, removal: Removal) -> None:
        """A replica is stopped; what it has written is handed over already."""
        self._stopped[removal.group] = removal

    def to_write(self) -> list[Removal]:
        """The tombstones for the next batch."""
        removals = list(self._stopped.values())
        self._stopped.clear()
        return removals

    def written(self, removals: Sequence[Removal]) -> None:
        """The tombstones are on their way to the disk."""
        self._written += len(removals)

    def durable(self, removals: Sequence[Removal]) -> None:
        """These are on disk."""
        self._written -= len(removals)


class Remover:
    """Takes replicas away, at whatever they are: running, resting, waiting, newborn, ordered, lost."""

    def __init__(
        self, replicas: "Replicas", state: "StateStore", flusher: "Flusher", active: "dict[int, Replica]"
    ) -> None:
        self._replicas = replicas
        self._state = state
        self._flusher = flusher
        self._active = active

    def remove(self, answers: "list[Answer]") -> None:
        """Stop the replicas that are next; who waits for one is told. Nothing of this turn is staged yet."""
        removals = self._replicas.removals
        for removal in removals.take():
            newborn = self._replicas.newborns.get(removal.group)
            if newborn is not None and newborn.in_flight:
                removals.put_off(removal)  # the nursery counts what comes back from the disk
                continue
            self._stop(removal.group, answers)
            removals.stopped(removal)

    def _stop(self, group: int, answers: "list[Answer]") -> None:
        replicas = self._replicas
        replicas.births.forget(group)
        replicas.running.waiting.remove(group)
        if group in replicas.newborns:
            replicas.newborns.table.remove(group)
        if (row := replicas.running.look(group)) is not None:  # it needs no object for this
            birth = replicas.birth(group)
            replicas.resting.strike(group, full_rest(birth, RestPoint(row.term, row.index), row.lead))
            replicas.timers.remove(group)
        elif (replica := replicas.running.loaded.get(group)) is not None:
            answers += replicas.stop(replica, RangeDeleted(f"group {group} was deleted"))
            self._active.pop(group, None)
            self._flusher.forget(group)
        replicas.forget_loss(group)
        self._state.remove(group)  # with the next flush
        self._state.set_promised(group, None)
