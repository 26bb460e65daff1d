"""Ticks for the replicas of a node: a tick costs those that it concerns, however many there are."""

from collections.abc import Iterable

from ..native.grouptable import NEVER, GroupTable
from ..raft.election import postpone
from .replica import Replica


class Timers:
    """Who is due at which tick.

    A core counts the ticks that it is given, so a replica that has nothing to do until some later tick gets
    the ticks before it in one go: at the latest when it is due, and before anything else happens to it.
    """

    def __init__(self, table: GroupTable) -> None:
        self.ticks = 0
        """How many ticks there were."""
        self._table = table
        self._touched: dict[int, Replica] = {}
        """What may have another due tick than the table says."""

    def add(self, replica: Replica) -> None:
        """Begin to count for a replica that has just come to life."""
        replica.place = self._table.add(replica.group)
        replica.ticked = self.ticks
        self._touched[replica.group] = replica

    def remove(self, group: int) -> None:
        """The group's replica gets no more ticks."""
        self._table.remove(group)
        self._touched.pop(group, None)

    def take_up(self, replica: Replica) -> None:
        """A replica that was put away has an object again, and rests on."""
        found = self._table.look(replica.group)
        assert found is not None, f"group {replica.group} is not put away"
        replica.place, _ = found
        self._table.take_up(replica.place)

    def touch(self, replica: Replica) -> None:
        """Give a replica the ticks that have passed. Call it before whatever may set its clocks."""
        if replica.ticked != self.ticks:
            replica.raw.pass_ticks(self.ticks - replica.ticked)
            replica.ticked = self.ticks
            self._touched[replica.group] = replica

    def rest(self, replica: Replica) -> None:
        """The replica has no ticks to come until it is woken; those that pass meanwhile are none to it."""
        self._touched.pop(replica.group, None)
        self._table.due_at(replica.place, NEVER)

    def wake(self, replica: Replica) -> None:
        """Its clocks go on from here."""
        replica.ticked = self.ticks
        self._touched[replica.group] = replica

    def postpone(self, replica: Replica, ticks: int) -> None:
        """A replica that is due does not get its tick yet: its next election comes so much later."""
        postpone(replica.raw.raft, ticks)
        self._touched[replica.group] = replica

    def tick(self) -> list[int]:
        """One more tick. Returns the groups that are due, each to be given it by :meth:`give`."""
        self._note(self._touched.values())
        self._touched.clear()
        self.ticks += 1
        return self._table.due(self.ticks)

    def quiet_ticks(self) -> int:
        """How many ticks to come nobody is due at."""
        self._note(self._touched.values())  # and with the next tick again: they may be touched until then
        return max(0, self._table.soonest - self.ticks - 1)

    def skip(self, ticks: int) -> None:
        """So many ticks have passed at which nobody was due."""
        self.ticks += ticks

    def give(self, replica: Replica) -> bool:
        """Give a replica that is due its tick. Returns whether it did anything.

        Raises:
            RaftError, AssertionError, Corruption: the core can no longer go on.
        """
        replica.raw.pass_ticks(self.ticks - 1 - replica.ticked)
        replica.ticked = self.ticks
        self._touched[replica.group] = replica
        return replica.raw.tick()

    def _note(self, replicas: Iterable[Replica]) -> None:
        due_at = self._table.due_at
        for replica in replicas:
            quiet = replica.raw.quiet_ticks()
            due_at(replica.place, NEVER if quiet is None else replica.ticked + quiet + 1)
