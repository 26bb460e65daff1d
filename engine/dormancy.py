"""Putting resting replicas away: an object for each of 100,000 groups would be a gigabyte of memory.

A replica that has rested for a while, lacks nothing and has nothing on its way is a row of the group table
and no object, until somebody asks for it (:class:`~.roster.Roster`). Nobody can tell: what is made of the row
goes on from exactly where the object was.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol

from ..raft.dormancy import Dormant, dormant
from .config import EngineConfig
from .replica import SYSTEM_GROUP, Replica
from .replicas import Replicas
from .rest import Rest
from .resting import full_rest
from .statemachine.protocol import stored
from .statemachine.store import StateStore

AT_ONCE: Final = 256
"""Replicas that one tick puts away at most: some ten milliseconds of work."""
BEATS: Final = 2
"""So long rests a replica at least before it is put away: most that are asked something are asked again."""


class Holder(Protocol):
    """What may hold a replica's object for later."""

    def concerns(self, replica: Replica) -> bool:
        """Whether it holds this one."""
        ...


class Dormancy:
    """Decides which of the resting replicas need their objects no more.

    ``holders`` are asked whether they hold it: everything that keeps replicas for longer than a turn and does
    not look them up again.
    """

    def __init__(
        self,
        replicas: Replicas,
        rest: Rest,
        holders: Sequence[Holder],
        state: StateStore,
        config: EngineConfig,
    ) -> None:
        self._replicas = replicas
        self._rest = rest
        self._holders = holders
        self._state = state
        self._patience = BEATS * config.beat_ticks

    def quiet_ticks(self) -> int:
        """How many ticks to come nobody has rested long enough at."""
        longest = next(iter(self._replicas.resting.at_hand.values()), self._replicas.timers.ticks)
        return max(0, longest + self._patience - self._replicas.timers.ticks)

    def tick(self) -> None:
        """Put away who has rested long enough; who cannot be yet is looked at again as much later."""
        loaded, resting = self._replicas.running.loaded, self._replicas.resting
        before = self._replicas.timers.ticks - self._patience
        for group, since in list(islice(resting.at_hand.items(), AT_ONCE)):
            if since > before:
                break
            replica = loaded[group]
            numbers = self._numbers(replica)
            if numbers is None:
                resting.keep_at_hand(replica)
            else:
                resting.put_away(replica)
                self._replicas.running.put_away(replica, numbers)

    def _numbers(self, replica: Replica) -> Dormant | None:
        """What is left of a replica that is put away; None if it has to stay."""
        rests = replica.rests
        assert rests is not None, f"group {replica.group} does not rest"
        settled = (
            replica.group != SYSTEM_GROUP
            and stored(replica.machine) is not None
            and replica.quarantine is None
            and self._rest.idle(replica)
            and not any(holder.concerns(replica) for holder in self._holders)
            and self._state.durable_applied(replica.group) == replica.applied.index
            and rests == full_rest(replica.birth, rests.point, replica.raw.raft.lead)
        )
        return dormant(replica.raw.raft) if settled else None
