"""When applied state goes to the state store, and what waits for that: snapshots and log truncation."""

from collections.abc import Mapping

from .replica import Replica
from .statemachine.store import Flush, StateStore


class Flusher:
    """One flush at a time: everything that was applied up to one moment, with its applied records."""

    def __init__(self, state: StateStore, interval: float, early_bytes: int, now: float) -> None:
        self._state = state
        self._early_bytes = early_bytes
        self._interval = interval
        self._next = now + interval
        self._flushing = False
        self._volatile: dict[int, Replica] = {}
        """Replicas whose state lives in memory only and has changed: now and then one needs a checkpoint."""
        self._installs: list[Replica] = []
        self._installs_flushing: list[Replica] = []

    @property
    def installs(self) -> int:
        """Replicas whose snapshot is not on the disk yet."""
        return len(self._installs) + len(self._installs_flushing)

    @property
    def wants(self) -> bool:
        """Whether anything that is not on the disk yet waits for its time."""
        return bool(self._volatile or self.installs or self._flushing or self._state.pending_bytes)

    def await_install(self, replica: Replica) -> None:
        """``replica`` has put a snapshot's data in place: flush soon, for its peer waits."""
        self._installs.append(replica)

    def note_applied(self, replica: Replica) -> None:
        """``replica`` has applied entries."""
        if not replica.machine.durable:
            self._volatile[replica.group] = replica

    def forget(self, group: int) -> None:
        """The group's replica is removed: nothing of it is kept any more."""
        self._volatile.pop(group, None)

    def ask_checkpoint(self, replica: Replica) -> None:
        """The next flush should have a checkpoint of ``replica``."""
        replica.ask_checkpoint()
        self._volatile[replica.group] = replica

    def start(self, now: float) -> Flush | None:
        """The next flush, if one is due and none is on its way."""
        self._state.tidy()
        if self._flushing or not self._is_due(now):
            return None
        self._next = now + self._interval
        for replica in self._volatile.values():
            if replica.wants_checkpoint(now):
                replica.checkpoint()
        self._volatile.clear()
        flush = self._state.freeze()
        if flush is not None:
            self._flushing = True
            self._installs_flushing, self._installs = self._installs, []
        return flush

    def _is_due(self, now: float) -> bool:
        return now >= self._next or bool(self._installs) or self._state.pending_bytes >= self._early_bytes

    def finish(self, flush: Flush) -> tuple[Mapping[int, int], list[Replica]]:
        """The flush is durable: the applied index by group, and the replicas whose snapshot is in place."""
        self._flushing = False
        installed, self._installs_flushing = self._installs_flushing, []
        return self._state.flushed(flush), installed
