"""Early messages: a peer may hear of a new group, and act on it, before this node has created it."""

from collections.abc import Callable
from typing import NamedTuple

from .wire import Received


class Parked(NamedTuple):
    """One early message and where it came from."""

    node: int
    directory_index: int
    received: Received
    deadline: float
    size: int


class Parking:
    """Messages for groups that a newer directory may hold, bounded in bytes and dropped by age.

    A message parks when its sender's directory is newer than ours: only then can the group exist without
    our knowing. It is replayed once the birth it waits for is durable. Groups stand in the order of their
    first parked message; room and age are taken group by group, for Raft sends again what is lost.
    """

    def __init__(self, limit_bytes: int, age: float) -> None:
        self._limit = limit_bytes
        self._age = age
        self._groups: dict[int, list[Parked]] = {}
        self._bytes = 0
        self.dropped = 0
        """Messages dropped for want of room or by age."""

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    @property
    def bytes(self) -> int:
        """What the messages take, as the limit counts it."""
        return self._bytes

    def park(self, node: int, directory_index: int, received: Received, now: float) -> None:
        """Keep a message; the groups that have waited longest give way when there is no room."""
        message = received.message
        size = 256 + len(received.run) + len(message.context)
        if message.snapshot is not None:
            size += len(message.snapshot.data)
        if size > self._limit:
            self.dropped += 1
            return
        while self._bytes + size > self._limit:
            self._drop(next(iter(self._groups)))
        parked = Parked(node, directory_index, received, now + self._age, size)
        self._groups.setdefault(received.group, []).append(parked)
        self._bytes += size

    def take(self, group: int) -> list[Parked]:
        """The messages of a group that has just been created."""
        parked = self._groups.pop(group, [])
        self._bytes -= sum(one.size for one in parked)
        return parked

    def expire(self, now: float) -> list[Parked]:
        """Take out the groups whose first message has waited for too long."""
        gone: list[Parked] = []
        while self._groups:
            group, parked = next(iter(self._groups.items()))
            if parked[0].deadline > now:
                break
            gone += self.take(group)
        self.dropped += len(gone)
        return gone

    def unfounded(self, directory_index: int, expected: Callable[[int], bool]) -> list[Parked]:
        """Take out what waits for groups that do not exist.

        Our directory is as new as their senders' were, and the group is not among the ``expected`` births.
        """
        gone = [
            group
            for group, parked in self._groups.items()
            if parked[-1].directory_index <= directory_index and not expected(group)
        ]
        return [parked for group in gone for parked in self.take(group)]

    def _drop(self, group: int) -> None:
        self.dropped += len(self.take(group))
