"""Replicas that a start has left on the disk: nobody has asked for them yet.

A replica that has not started is one whose node is down for a little longer: what it has promised is in the
stores, and nothing else is known of it. So a node with 100,000 replicas need not start them to serve. One
starts when a message comes for it or a caller asks for it; most are never needed, for their leaders rest, and
say so in lists. The others elect, so many with each tick, once all nodes that are alive have said what they
lead.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from typing import Final

AT_ONCE: Final = 16
"""Replicas that one tick starts, at most, so that they elect: when all nodes start, it is all of them."""
LOOKED_AT: Final = 256
"""Replicas that one tick looks at for that."""
ANSWERS: Final = 5
"""Election timeouts after which nobody waits any more for what a node says that it leads."""


class Waiting(Container[int]):
    """The groups whose replicas wait, and which nodes have said what they lead among them."""

    def __init__(self, timeout: int) -> None:
        """``timeout``: the election timeout, in ticks."""
        self._timeout = timeout
        self._groups: dict[int, bool] = {}
        """Whether it was passed over once, as another node is to call the election."""
        self._told: set[int] = set()
        self._ticks = 0

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    def __iter__(self) -> Iterator[int]:
        return iter(self._groups)

    def add(self, group: int) -> None:
        """A replica is left on the disk."""
        self._groups[group] = False

    def remove(self, group: int) -> bool:
        """It waits no more. Returns whether it did."""
        if self._groups.pop(group, None) is None:
            return False
        if not self._groups:
            self._groups = {}  # give its room back
        return True

    def told(self, node: int) -> None:
        """A node has said all that it leads and that rests."""
        self._told.add(node)

    def asks(self, node: int) -> bool:
        """Whether a node is still to say it."""
        return bool(self._groups) and node not in self._told

    def tick(self, alive: Iterable[int], calls: Callable[[int], bool]) -> list[int]:
        """A tick has passed. Returns the groups that are to elect now.

        ``alive``: the other nodes that are; ``calls`` says whether it is for this node to call a group's
        election. Who is passed over has its turn after all others.
        """
        if not self._groups:
            return []
        self._ticks += 1
        if self._ticks <= 2 * self._timeout:
            return []
        if self._ticks < ANSWERS * self._timeout and any(self.asks(node) for node in alive):
            return []
        found: list[int] = []
        for group, passed in list(islice(self._groups.items(), LOOKED_AT)):
            if passed or calls(group):
                found.append(group)
                if len(found) == AT_ONCE:
                    break
            else:
                del self._groups[group]
                self._groups[group] = True
        return found
