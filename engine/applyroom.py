"""How much may be applied before the state store has taken what waits for it."""

from .replica import Replica
from .statemachine.keyspace import ENTRY_BYTES
from .statemachine.store import StateStore


class ApplyRoom:
    """Holds back committed entries while too many applied writes wait for a flush.

    So a state store that is slower than the log costs time and not memory: what is committed stays in the
    log, whoever waits for it keeps its place among the node's requests, and when these are too many, new ones
    are refused as Overloaded.
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

    def look(self, active: dict[int, Replica]) -> None:
        """Begin a turn: those who have waited become active when there is room again."""
        self._room = self._limit - self._state.pending_bytes
        if self._room > 0:
            for group, replica in self._held.items():
                active[group] = replica  # noqa: PERF403 # `update` passes by who watches the dictionary
            self._held.clear()

    def admit(self, replica: Replica) -> None:
        """Let the core hand out committed entries, or not, with its next Ready."""
        full = self._room <= 0 and replica.machine.durable
        replica.raw.hold_committed = full or replica.rebuilding is not None
        if full:
            self._held[replica.group] = replica

    def took(self, replica: Replica, entries: int) -> None:
        """So many entries are about to be applied; those not acknowledged before count once more."""
        if entries and replica.machine.durable:
            self._room -= replica.raw.raft.log.applying_size + entries * ENTRY_BYTES
