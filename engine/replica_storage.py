"""What the core of a replica reads."""

from collections.abc import Callable
from weakref import WeakMethod

from ..raft.errors import SnapshotTemporarilyUnavailable
from ..raft.state import ConfState, HardState, Snapshot
from .logstore.port import GroupLog
from .statemachine.store import Applied


class ReplicaStorage:
    """What the core reads: the group's log, with commit and configuration as of the applied state.

    A change of commit alone is never flushed, so after a restart the applied index may know more than
    the hard state does.
    """

    def __init__(
        self, log: GroupLog, applied: Applied, state_to_send: WeakMethod[Callable[[], Applied | None]]
    ) -> None:
        """``state_to_send`` is the replica's own; a strong one would keep each replica for the collector."""
        self._log = log
        self._applied = applied
        self._state_to_send = state_to_send
        self.paused = False
        """Whether no snapshot should begin just now."""
        self.first_index = log.first_index
        self.last_index = log.last_index
        self.term = log.term
        self.entries = log.entries

    def applied_is(self, applied: Applied) -> None:
        """Note how far the machine's state reaches."""
        self._applied = applied

    def initial_state(self) -> tuple[HardState, ConfState]:
        """Hard state with commit = max(commit, applied), and the ConfState of the applied index."""
        hard_state, _ = self._log.initial_state()
        commit = max(hard_state.commit, self._applied.index)
        return hard_state._replace(commit=commit), self._applied.conf_state

    def snapshot(self) -> Snapshot:
        """Where the state that can be sent stands now; the one that is sent later may stand further on.

        Raises:
            SnapshotTemporarilyUnavailable: there is none, or none should begin.
        """
        if self.paused:
            raise SnapshotTemporarilyUnavailable("the one before has outlasted what the log keeps for it")
        state_to_send = self._state_to_send()
        assert state_to_send is not None, "only its replica has a core read"
        applied = state_to_send()
        if applied is None:
            raise SnapshotTemporarilyUnavailable("there is no state to send")
        return Snapshot(index=applied.index, term=applied.term, conf_state=applied.conf_state)
