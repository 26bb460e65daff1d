"""The replicas that run on a node: as objects or, while they rest, as rows of the group table."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from ..native.grouptable import DormantRow, DormantTotals, GroupTable
from ..raft.dormancy import Dormant
from .replica import Replica
from .waiting import Waiting

TakeUp = Callable[[int, DormantRow], Replica | None]
"""Makes the object of a replica that was put away, and adds it; None if it cannot run any more."""
StartUp = Callable[[int], Replica | None]
"""Starts a replica that waits, and adds it; None if it cannot run."""
T = TypeVar("T")


class Glance(NamedTuple):
    """What can be said of a replica without its object."""

    group: int
    leads: bool
    term: int
    applied: int
    lag: int
    """Committed entries that are not applied yet."""
    rests: bool


class Roster(Mapping[int, Replica]):
    """All of them by group. Whoever asks for one that was put away has it taken up: that changes nothing.

    ``loaded`` are those that have an object at the moment. Most work concerns no others. ``waiting`` have not
    started since the node did; whoever asks for one has it start.
    """

    def __init__(self, table: GroupTable, take_up: TakeUp, waiting: Waiting, start: StartUp) -> None:
        self.loaded: dict[int, Replica] = {}
        self._table = table
        self._take_up = take_up
        self.waiting = waiting
        self._start = start

    def __getitem__(self, group: int) -> Replica:
        replica = self.get(group)
        if replica is None:
            raise KeyError(group)
        return replica

    def get(self, group: int, default: T | None = None) -> Replica | T | None:  # type: ignore[override]  # no overloads: nobody passes a default
        """The replica of a group, or the default if none runs here."""
        replica = self.loaded.get(group)
        if replica is None:
            if (found := self._table.look(group)) is not None:
                replica = self._take_up(group, found[1])
            elif self.waiting.remove(group):
                replica = self._start(group)
        return default if replica is None else replica

    def __contains__(self, group: object) -> bool:
        return (
            group in self.loaded
            or group in self.waiting
            or (isinstance(group, int) and self._table.look(group) is not None)
        )

    def __iter__(self) -> Iterator[int]:
        """The groups; they may change meanwhile."""
        return iter([*self.loaded, *self._table.list_dormant(), *self.waiting])

    def __len__(self) -> int:
        return len(self.loaded) + self._table.dormant + len(self.waiting)

    def add(self, replica: Replica) -> None:
        """A replica begins to run."""
        self.loaded[replica.group] = replica

    def remove(self, replica: Replica) -> None:
        """It runs no more."""
        del self.loaded[replica.group]

    # -- without objects -------------------------------------------------------------------------

    @property
    def dormant(self) -> int:
        """Replicas that are put away."""
        return self._table.dormant

    def put_away(self, replica: Replica, numbers: Dormant) -> None:
        """Forget the object of a replica that rests. Nobody else may hold it."""
        leads, term, vote, lead, index, timeout = numbers
        row = DormantRow(term, vote, lead, index, replica.commands_applied, timeout, leads)
        self._table.put_away(replica.place, row)
        del self.loaded[replica.group]

    def lay_down(self, group: int, row: DormantRow) -> None:
        """A replica begins to run, at rest, and without ever having had an object."""
        self._table.put_away(self._table.add(group), row)

    def look(self, group: int) -> DormantRow | None:
        """The row of a replica that is put away."""
        found = self._table.look(group)
        return None if found is None else found[1]

    def leads(self, group: int) -> bool:
        """Whether the replica here believes that it leads the group."""
        replica = self.loaded.get(group)
        if replica is not None:
            return replica.leads
        row = self.look(group)
        return row is not None and row.leads

    def follows_dormant(self, group: int) -> bool:
        """Whether the replica here is put away, and does not lead."""
        row = None if group in self.loaded else self.look(group)
        return row is not None and not row.leads

    def dormant_totals(self) -> DormantTotals:
        """What those that are put away are, all together."""
        return self._table.sum_dormant()

    def glances_at_loaded(self) -> Iterator[Glance]:
        """What is known of each that has an object."""
        for group, one in self.loaded.items():
            raft = one.raw.raft
            yield Glance(group, one.leads, raft.term, one.applied.index, one.apply_lag, one.rests is not None)

    def glances(self) -> Iterator[Glance]:
        """What is known of each without taking it up; of one that waits nothing is, and it is left out."""
        yield from self.glances_at_loaded()
        for group in self._table.list_dormant():
            row = self.look(group)
            assert row is not None
            yield Glance(group, row.leads, row.term, row.index, 0, rests=True)


def numbers_of(row: DormantRow) -> Dormant:
    """What a row says of the replica's core."""
    return Dormant(row.leads, row.term, row.vote, row.lead, row.index, row.timeout)
