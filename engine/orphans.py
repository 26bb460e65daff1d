"""Groups that rest here and have lost their leader: its node is silent, or has started again.

All of them at once would be thousands of elections in one tick, on every node that holds them. So they stand
in a queue, still at rest and without objects; those whose election this node is to call come first, so many
at a time. The others follow an election timeout later, should nobody have called theirs.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from ..raft import rest as core
from .elections import Elections
from .replica import Replica
from .replicas import Replicas

AT_ONCE: Final = 48
"""Replicas that one turn wakes at most."""
LOOKED_AT: Final = 512
"""Groups that one turn looks at for that."""


class Orphans:
    """The queue. A group that wakes in another way meanwhile, or whose leader comes back, is passed over."""

    def __init__(self, replicas: Replicas, elections: Elections, timeout: int) -> None:
        self._replicas = replicas
        self._resting = replicas.resting
        self._elections = elections
        self._timeout = timeout
        self._queue: deque[int] = deque()
        self._asked: dict[int, None] = {}
        """Groups that callers have asked for: they come first."""
        self._others: deque[tuple[int, int]] = deque()
        """(tick, group): those whose elections other nodes are to call, and until when they have time."""
        self.woken = 0
        """Replicas that were woken from the queue."""

    def __len__(self) -> int:
        return len(self._asked) + len(self._queue) + len(self._others)

    def bereave(self, node: int) -> None:
        """A node leads nothing any more of what rests here because of it."""
        self._queue.extend(self._resting.orphan(node))

    def ask(self, group: int) -> None:
        """A caller wants something of a group: one in the queue that is called here comes first."""
        if self and self._resting.is_orphan(group) and self._elections.calls(group):
            self._asked[group] = None

    def wake(self, campaign: Callable[[Replica], None]) -> bool:
        """Wake some, as elections are admitted; ``campaign`` begins one. Returns whether any are left now."""
        if not self:
            return False
        looked = awake = 0
        now = self._replicas.timers.ticks
        while looked < LOOKED_AT and awake < AT_ONCE and self._elections.free:
            if self._asked:
                group, calls = next(iter(self._asked)), True
                del self._asked[group]
            elif self._queue:
                group, calls = self._queue.popleft(), False
            elif self._others and self._others[0][0] <= now:
                group, calls = self._others.popleft()[1], True
            else:
                break
            looked += 1
            if not self._resting.is_orphan(group):
                continue
            if not calls and not self._elections.calls(group):
                self._others.append((now + self._timeout, group))
                continue
            replica = self._replicas.running.get(group)
            if replica is None or replica.rests is None:
                continue  # damage was found as it was taken up
            awake += 1
            self._resting.end(replica)
            core.wake_orphan(replica.raw.raft)
            self._elections.take(replica)
            campaign(replica)
        self.woken += awake
        return looked == LOOKED_AT or awake == AT_ONCE
