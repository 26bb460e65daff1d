"""How much may be applied: in one turn, and before the state store has taken what waits for it."""

from collections.abc import Mapping
from typing import Final

from .replica import Replica
from .statemachine.keyspace import ENTRY_BYTES
from .statemachine.store import StateStore

TURN_BYTES: Final = 1 << 20
"""What one turn applies, counted as what it costs in memory: small writes take about ten milliseconds."""


class ApplyRoom:
    """Holds back committed entries when a turn has applied enough, or too many writes wait for a flush.

    So a state store that is slower than the log costs time and not memory: what is committed stays in the
    log, whoever waits for it keeps its place among the node's requests, and when these are too many, new ones
    are refused as Overloaded. And when there is room again, not everything is applied in one turn.
    """

    def __init__(self, state: StateStore, limit: int) -> None:
        self._state = state
        self._limit = limit
        self._room = limit
        self._held: dict[int, Replica] = {}

    @property
    def held(self) -> int:
        """Replicas that have to wait."""
        return len(self._held)

    @property
    def work_is_left(self) -> bool:
        """Whether some of them wait for the next turn only."""
        return bool(self._held) and self._state.pending_bytes < self._limit

    def look(self, active: dict[int, Replica], running: Mapping[int, Replica]) -> dict[int, Replica]:
        """Begin a turn: those who have waited become active when there is room again.

        Returns the active replicas in the order in which they get what room there is.
        """
        self._room = min(self._limit - self._state.pending_bytes, TURN_BYTES)
        if self._room <= 0 or not self._held:
            return dict(active)
        held, self._held = self._held, {}
        first = {group: one for group, one in held.items() if running.get(group) is one}
        for group, replica in first.items():
            active[group] = replica  # noqa: PERF403 # `update` passes by who watches the dictionary
        return first | active

    def admit(self, replica: Replica) -> None:
        """Let the core hand out committed entries, or not, with its next Ready."""
        full = self._room <= 0 and replica.machine.durable
        replica.raw.hold_committed = full or replica.rebuilding is not None or replica.applying is not None
        if full:
            self._held[replica.group] = replica

    def took(self, replica: Replica, entries: int) -> None:
        """So many entries are about to be applied; those not acknowledged before count once more."""
        if entries and replica.machine.durable:
            self._room -= replica.raw.raft.log.applying_size + entries * ENTRY_BYTES
