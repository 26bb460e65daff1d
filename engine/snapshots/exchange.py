"""Both directions of a node, and how they take part in its turns."""

from collections.abc import Callable, Iterable, Mapping

from ...raft.entry import EntryId
from ...raft.messages import Message
from ..config import EngineConfig
from ..errors import Corruption
from ..replica import Replica
from ..replicas import Replicas
from ..statemachine.store import StateStore
from ..turn import Turn
from ..wire import WHOLE_LOG
from .receiving import Receiving
from .sending import Outgoing, Sending
from .work import StreamEvent, Worked


class Exchange:
    """The snapshots of a node, out and in."""

    def __init__(self, config: EngineConfig, state: StateStore, replicas: Replicas) -> None:
        self._sending = Sending(config, state)
        self._receiving = Receiving(config, state, replicas)
        self._ask_checkpoint: Callable[[Replica], None]
        """Has the next flush bring one."""

    def serve(
        self,
        step: Callable[[Turn, Replica, Message], None],
        damaged: Callable[[Turn, Mapping[int, Corruption]], None],
        ask_checkpoint: Callable[[Replica], None],
    ) -> None:
        """Set, before anything else: who hands messages to cores, is told of damage on the disk, flushes."""
        self._receiving.step = step
        self._sending.damaged = damaged
        self._ask_checkpoint = ask_checkpoint

    def backlog(self) -> dict[str, int]:
        """Snapshots asked for here that have not arrived, and offered here that are not installed."""
        return {
            "snapshots sent": self._sending.under_way,
            "snapshots received": self._receiving.under_way,
        }

    def concerns(self, replica: Replica) -> bool:
        """Whether a snapshot is on its way to or from this replica."""
        return self._sending.concerns(replica) or self._receiving.concerns(replica)

    def want(self, replica: Replica, message: Message, node: int, turn: Turn) -> None:
        """The core of a leader wants a snapshot to reach a replica of another node."""
        self._sending.want(replica, message, node, turn)

    def asked(self, replica: Replica, peer: int, node: int, turn: Turn, lost: EntryId) -> None:
        """A replica of another node has lost its state, and asks this one for its own.

        ``lost``: its log is lost, too, which held this entry. The last checkpoint of a machine in memory may
        be older than what the peer has to have, and stay so: no write need follow.
        """
        if replica.leads and replica.needs_checkpoint:
            self._ask_checkpoint(replica)
        if lost == WHOLE_LOG:
            self._sending.asked(replica, peer, node, turn)
        else:
            self._sending.asked_for_log(replica, peer, node, turn, lost)

    def lost(self, node: int, groups: Iterable[int] | None, turn: Turn) -> None:
        """A node is gone; or, with ``groups``, does not know these."""
        self._sending.lost(node, groups, turn)

    def take(self, events: Iterable[StreamEvent], done: Iterable[Worked], turn: Turn) -> None:
        """What has happened since the last turn."""
        for one in done:
            if one.token is None:
                continue
            if isinstance(one.token, Outgoing):
                self._sending.worked(one, turn)
            else:
                self._receiving.worked(one, turn)
        for event in events:
            if isinstance(event.stream, Outgoing):
                self._sending.take(event, turn)
            else:
                self._receiving.take(event, turn)

    def go_on(self, turn: Turn) -> None:
        """Everything that time, or another part of the turn, has made possible or pointless."""
        self._sending.go_on(turn)
        if self._receiving.under_way:
            self._receiving.go_on(turn)

    def ready_at(self) -> float:
        """When there is something to go on with though nothing has happened; may be never."""
        return min(self._sending.ready_at(), self._receiving.ready_at())
