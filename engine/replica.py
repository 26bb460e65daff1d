"""One replica: a Raft state machine, its part of the log, its state machine and those who wait for it."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakMethod

from ..native.entries import MAX_RUN_ENTRIES
from ..raft.entry import Entry, EntryId
from ..raft.export import ReplicaState
from ..raft.node import RawNode
from ..raft.progress import Progress
from ..raft.ready import Ready
from ..raft.state import ConfState, HardState, Role, Snapshot
from .applying import Outside, Run
from .core_config import core_config
from .errors import Corruption, Error, NotLeader, Quarantined, SnapshotTooLarge
from .keeping import LogKeeping
from .logstore.port import Birth, GroupLog, GroupWrite
from .lostlogs import Silence
from .pending import Answer, PendingProposals, PendingReads
from .rebuilding import Rebuilding
from .replica_storage import ReplicaStorage
from .runs import Runs
from .shared import Shared
from .statemachine.kv_snapshot import MAX_SNAPSHOT
from .statemachine.protocol import StateMachine, asynchronous, stored, volatile
from .statemachine.store import Applied, StagedData

if TYPE_CHECKING:
    from .resting import Quiet, Rests

logger = logging.getLogger("multiraft.node")

SYSTEM_GROUP: Final = 1
PATIENCE: Final = 5
"""Election timeouts for which a newborn waits at most for its designated leader."""


class Arrived(NamedTuple):
    """A snapshot that another replica has sent, with everything behind it staged in the state store."""

    snapshot: Snapshot
    """Without data: what the core is shown."""
    data: StagedData
    metadata: bytes
    """Of the machine that it was taken from."""


class Replica:
    """A group's copy on this node. The node drives it; nothing here does I/O or knows the time."""

    stopped = False
    """Whether it runs no more: what is still held of it is of no use."""

    def __init__(
        self,
        birth: Birth,
        log: GroupLog,
        machine: StateMachine,
        applied: Applied,
        shared: Shared,
        core: ReplicaState | None = None,
    ) -> None:
        """``core``: what its core knows if it goes on, and does not start."""
        self.birth = birth
        self.group = birth.group
        self.replica_id = birth.replica_id
        self.nodes: dict[int, int] = dict(birth.peers)
        self.replica_of_node: dict[int, int] = {node: replica for replica, node in birth.peers}
        self.machine = machine
        self.applied = applied
        self.proposals = PendingProposals()
        self.reads = PendingReads(shared.read_rounds)
        self.newest_work = 0
        """Number of the last work for the log (:class:`~.held.Work`) that holds something of this replica."""
        self.arrived: Arrived | None = None
        """A snapshot that the core has been shown and that is not being installed yet."""
        self.installing: Ready | None = None
        """A Ready whose snapshot waits for the state store; until then no other Ready is taken."""
        self.heirs_asked = 0
        """How often another replica was asked to lead, because the disk here takes no writes."""
        self.quarantine: Quarantined | None = None
        self.taken_back = False
        """Whether the machine's state is older than ``applied`` says."""
        self.rebuilding: Rebuilding | None = None
        """Set while the machine's state is not that of ``applied``, nor of any other point of the log."""
        self.silence: Silence | None = None
        """Set while the log has lost what it had promised to hold: the replica takes no part."""
        self.commands_applied = 0
        """Commands that the machine has applied since this replica started."""
        self.place = 0
        """Of its row in the group table; this and the next are the node's timers' own."""
        self.ticked = 0
        """How many of the node's ticks the core has been given."""
        self.rests: Rests | None = None
        """Set while nothing is to be done: see :mod:`.rest`."""
        self.patience = PATIENCE
        """Election timeouts for which a newborn still waits for whoever is to call the first election."""
        self.quiet: Quiet | None = None
        """Set while this replica leads and its beats are all that happens."""
        self._all_rebuilding = shared.rebuilding
        self._state = state = shared.state
        config = shared.config
        self.outside = Outside(config.apply_backlog_bytes) if asynchronous(machine) else None
        self._storage = ReplicaStorage(log, applied, WeakMethod(self._state_to_send))
        self._hard_state: HardState | None = None
        self.keeping = LogKeeping(birth.group, birth.replica_id, log, state, config)
        self.outgrown: SnapshotTooLarge | None = None
        """Why the machine, which lives in memory, has no checkpoint that the log could be cut behind."""
        self._checkpoint_bytes = 0
        self._checkpoint_asked = False
        self.raw = RawNode(core_config(birth, self._storage, applied, config, shared.seed), core)

    @property
    def leads(self) -> bool:
        """Whether this replica believes that it leads its group."""
        return self.raw.raft.role is Role.LEADER

    @property
    def is_alone(self) -> bool:
        """Whether this replica is its group's only voter."""
        conf = self.applied.conf_state
        return conf.voters == (self.replica_id,) and not conf.voters_outgoing

    @property
    def leader_node(self) -> int | None:
        """The node that leads the group as far as this replica knows."""
        return self.nodes.get(self.raw.raft.lead)

    @property
    def applying(self) -> Run | None:
        """What the machine is applying outside the turn."""
        return None if self.outside is None else self.outside.run

    @property
    def apply_lag(self) -> int:
        """Committed entries that are not applied yet."""
        return self.raw.raft.log.committed - self.applied.index

    def not_leader(self) -> Error:
        """The refusal of a request that only a leader can serve."""
        leader = None if self.leads and self.rebuilding is not None else self.leader_node
        return self.quarantine or NotLeader(self.group, leader)

    # -- writing ---------------------------------------------------------------------------------

    def writes_of(self, ready: Ready, runs: Runs) -> list[GroupWrite]:
        """What of a Ready belongs into the log batch, in order; nothing if nothing must be durable.

        A change of commit alone causes no write: it goes along with the next one. Entries of several appends
        of small commands may be more than one run can hold.
        """
        if ready.hard_state is not None:
            self._hard_state = ready.hard_state
        if not (ready.must_sync or ready.entries or ready.snapshot):
            return []
        write = GroupWrite(group=self.group, replica_id=self.replica_id)
        write.hard_state, self._hard_state = self._hard_state, None
        if ready.snapshot is not None:
            snapshot = ready.snapshot
            write.snapshot_point = (snapshot.index, snapshot.term, snapshot.conf_state)
            self.keeping.emptied()
        writes = [write]
        for start in range(0, len(ready.entries), MAX_RUN_ENTRIES):
            if start:
                writes.append(GroupWrite(group=self.group, replica_id=self.replica_id))
            writes[-1].entries = ready.entries[start : start + MAX_RUN_ENTRIES]
            runs.of(self.group, writes[-1].entries)
        return writes

    # -- its state -------------------------------------------------------------------------------

    def set_applied(self, index: int, term: int, conf_state: ConfState) -> None:
        """Record how far the machine's state reaches, in the same flush as the state itself."""
        self.applied = Applied(index, term, conf_state, self.machine.metadata())
        self._storage.applied_is(self.applied)
        if self.machine.durable:
            self._state.set_applied(self.group, self.applied)

    def take_back(self) -> None:
        """Leave the state as the store had it at the last flush: it met damage, and nobody has another."""
        self.discard_unflushed()
        self.taken_back = True

    def discard_unflushed(self) -> None:
        """What the machine has written since the last flush never reaches the disk."""
        self._state.discard(self.group)

    # -- snapshots and compaction ----------------------------------------------------------------

    def lose_state(self, error: Corruption) -> None:
        """The state here is damaged, old or gone: nothing is applied any more until a peer's has come.

        What a command has written half-way is taken back: it belongs to no point of the log.
        """
        if self.rebuilding is None:
            logger.error("group %d: its state here is lost and asked of a peer: %s", self.group, error)
            self._state.discard(self.group)
            self.rebuilding = Rebuilding(error)
            self._all_rebuilding[self.group] = self
            self.raw.hold_committed = True

    def replace_state(self, arrived: Arrived, answers: list[Answer]) -> Sequence[Entry]:
        """Put a peer's state in the place of the lost one. The log stays: it holds the snapshot's point.

        Returns the entries that were handed out before and are still to be applied.

        Raises:
            Corruption: the snapshot is damaged; nothing has changed.
        """
        assert self.rebuilding is not None
        self._put_in_place(arrived, answers)
        unapplied = self.rebuilding.unapplied
        self._has_state()
        return unapplied

    @property
    def durable_point(self) -> EntryId | None:
        """Where the state stands that could be sent now, None if there is none."""
        applied = self._state_to_send()
        return None if applied is None else EntryId(applied.term, applied.index)

    def _state_to_send(self) -> Applied | None:
        """Where the state on the disk stands; after a command that raised this is the last good one.

        The log is cut only below what the store has durably, so it leads on from there.
        """
        if self.rebuilding is not None:
            return None
        try:
            return self._state.durable_point(self.group)
        except Corruption as error:
            self.lose_state(error)
            return None

    def install(self, snapshot: Snapshot, message_term: int, answers: list[Answer]) -> bool:
        """Put the data of the snapshot that has arrived in place. It counts once the state store has it.

        Returns whether it was whole. If not, the log goes on from the snapshot all the same, as the core does
        already, and the state is asked of a peer again.
        """
        arrived, self.arrived = self.arrived, None
        assert arrived is not None, "a snapshot comes with its data"
        assert arrived.snapshot is snapshot, "a snapshot comes with its data"
        if self.rebuilding is not None and self.rebuilding.unapplied:
            self.raw.acknowledge_apply(self.rebuilding.unapplied)
            self.rebuilding.unapplied = []
        try:
            self._put_in_place(arrived, answers)
        except Corruption as error:
            self._go_on_without(snapshot, error)
            return False
        self._state.set_install_marker(self.group, message_term)
        self._has_state()
        return True

    def _go_on_without(self, snapshot: Snapshot, error: Corruption) -> None:
        """Be what a restart makes of a log that begins where no state is. The state store knows nothing."""
        self.applied = Applied(snapshot.index, snapshot.term, snapshot.conf_state, self.machine.metadata())
        self._storage.applied_is(self.applied)
        self.lose_state(error)

    def drop_arrived(self) -> None:
        """What has arrived, and is not being installed, is of no use."""
        if self.arrived is not None:
            self._state.abandon(self.arrived.data.prefix)
            self.arrived = None
        if self.rebuilding is not None and self.rebuilding.arrived is not None:
            self._state.abandon(self.rebuilding.arrived.data.prefix)
            self.rebuilding.arrived = None

    def _has_state(self) -> None:
        self.drop_arrived()
        self.rebuilding = None
        self._all_rebuilding.pop(self.group, None)
        self.raw.hold_committed = False

    def _put_in_place(self, arrived: Arrived, answers: list[Answer]) -> None:
        """Let the machine go on from what has arrived. Damage there, Corruption, takes all of it back."""
        snapshot = arrived.snapshot
        try:
            if (machine := stored(self.machine)) is not None:
                self._state.take_over(self.group, arrived.data)
                machine.reload(arrived.metadata)
            elif (memory := volatile(self.machine)) is not None:
                self._state.abandon(arrived.data.prefix)
                memory.restore(b"".join([piece for _, piece in self._state.staged(arrived.data)]))
        except Corruption:
            self._state.discard(self.group)
            raise
        self.set_applied(snapshot.index, snapshot.term, snapshot.conf_state)
        self.checkpoint()
        self.proposals.skipped(snapshot.index, snapshot.term, answers)

    def checkpoint(self) -> None:
        """Keep the state of a machine that is not durable by itself as one value in the state store."""
        machine = volatile(self.machine)
        if machine is None:
            return
        try:
            data = machine.snapshot()
        except SnapshotTooLarge as error:
            logger.warning(
                "the log of group %d cannot be cut, and grows with every write: %s", self.group, error
            )
            self.outgrown = error.with_traceback(None)
            self._checkpoint_bytes = 2 * max(self._checkpoint_bytes, MAX_SNAPSHOT)  # tried again then
            return
        self.outgrown = None
        self._checkpoint_bytes = len(data)
        self._checkpoint_asked = False
        self._state.set_checkpoint(self.group, self.applied, data)

    def wants_checkpoint(self, now: float) -> bool:
        """Whether only a checkpoint stands between the log and its truncation.

        A log shorter than the last checkpoint is let grow: writing the state must not cost more than writing
        what led to it. To find that it does not fit costs as much, whoever asks: that is tried as seldom.
        """
        if self.machine.durable or self.quarantine or self.rebuilding or self.applying:
            return False
        if self._checkpoint_asked and self.needs_checkpoint and self.outgrown is None:
            return True
        return self.keeping.checkpoint_is_due(self.applied.index, self._checkpoint_bytes, now)

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the log holds what only a checkpoint could take the place of."""
        behind = self._state.durable_applied(self.group) < self.applied.index
        return behind and not self.machine.durable and self.quarantine is None

    def ask_checkpoint(self) -> None:
        """The log is to be cut as far as can be: the next flush should have a checkpoint."""
        self._checkpoint_asked = True

    @property
    def log_may_be_cut(self) -> bool:
        """Whether no snapshot is to take the place of the log, or of the state."""
        return not (self.installing or self.rebuilding or self.silence)

    @property
    def passed(self) -> int:
        """The log is not needed here up to this index, once the state there is durable.

        What a peer's state covers may still have to be handed out.
        """
        return min(self.applied.index, self.raw.raft.log.applied)

    @property
    def followers(self) -> Mapping[int, Progress]:
        """What this replica knows of each member as their leader; nothing if it is not."""
        return self.raw.raft.tracker.progress if self.leads else {}

    def pause_snapshots(self, *, paused: bool) -> None:
        """Begin no further snapshot for a while, or do again."""
        self._storage.paused = paused
