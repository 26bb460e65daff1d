"""`RawNode`: one replica of one group, as its host drives it. No clock, no thread, no I/O."""

from collections.abc import Sequence
from typing import Self

from . import confchange, dispatch, election, export, follower, leader, reconfigure, role, validity
from .confchange import ConfChange
from .config import Config
from .election import ElectionRefusal
from .entry import Entry, EntryId, EntryType
from .errors import Misuse, ReadDropped
from .export import ReplicaState
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .messages import Message, MsgType
from .raft import Raft
from .ready import CommitNotice, Ready, applied_message
from .state import ConfState, Role, SoftState
from .status import BasicStatus, Status, basic_status, status


class RawNode:
    """One replica. The host ticks it, steps what arrives, and does the work that `ready` hands out.

    Every method may make work: ask `has_ready` after a batch of calls. Errors of the kind `CorruptLog` mean
    that this replica must not go on; the others leave it as it was.
    """

    __slots__ = ("_allow_unstable", "_hard_state", "_lead", "_on_advance", "_role", "hold_committed", "raft")

    def __init__(self, config: Config, state: ReplicaState | None = None) -> None:
        """Start, or start again, from what `config.storage` holds. `ConfigError`, `CorruptLog`.

        With a `state`, go on from it instead: see `from_state`.
        """
        raft = Raft(config)
        # Without asynchronous writes a Ready's entries are durable before the next Ready is asked for.
        self._allow_unstable = not config.async_storage_writes
        if state is None:
            raft.load()
            role.become_follower(raft, raft.term, NO_REPLICA)
            self._hard_state, self._lead, self._role = raft.hard_state(), raft.lead, raft.role
            self._on_advance: list[Message] = []
        else:
            export.restore_state(raft, state)
            self._hard_state, (self._lead, self._role) = state.shown_hard_state, state.shown_soft_state
            self._on_advance = export.messages(state.on_advance)
        self.raft = raft
        self.hold_committed = False
        """While the host sets it, no committed entries are handed out: what applies them is not ready."""

    # -- putting away -------------------------------------------------------------------------------------

    def export_state(self) -> ReplicaState:
        """Everything that this replica knows and its storage and `Config` do not, as plain values."""
        shown = SoftState(self._lead, self._role)
        return export.export_state(self.raft, self._hard_state, shown, self._on_advance)

    @classmethod
    def from_state(cls, config: Config, state: ReplicaState) -> Self:
        """A replica that goes on where `state` was exported: nothing tells it from the one that was.

        `config` is that of the exporting replica: the same settings, the storage with everything that was
        written since, the random source as it stands now; `applied` is of no concern. Raises `Misuse`,
        `ConfigError`. The exporting object must not be used any more: two replicas of one id vote twice.
        """
        return cls(config, state)

    # -- time and elections -------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Let one unit of time pass: heartbeats, elections and quorum checks come due.

        Returns whether anything did. A host of many replicas need not ask the others for work.
        """
        raft = self.raft
        raft.election_elapsed += 1
        if raft.role is Role.LEADER:
            return self._tick_leader()
        if raft.election_elapsed >= raft.randomized_election_timeout and raft.promotable():
            raft.election_elapsed = 0
            election.start(raft)
            return True
        return False

    def _tick_leader(self) -> bool:
        raft = self.raft
        raft.heartbeat_elapsed += 1
        due = False
        if raft.election_elapsed >= raft.config.election_tick:
            due = True
            raft.election_elapsed = 0
            if raft.check_quorum:
                leader.check_quorum(raft)
            raft.lead_transferee = NO_REPLICA  # it took too long: go on with the present leader
        if raft.role is Role.LEADER and raft.heartbeat_elapsed >= raft.config.heartbeat_tick:
            due = True
            raft.heartbeat_elapsed = 0
            leader.beat(raft)
        return due

    def quiet_ticks(self) -> int | None:
        """How many ticks will do nothing if nothing else happens before; None: all of them.

        A host of many replicas need not tick those that have nothing to do: see `pass_ticks`.
        """
        raft = self.raft
        if raft.role is Role.LEADER:
            to_check = raft.config.election_tick - raft.election_elapsed
            to_beat = raft.config.heartbeat_tick - raft.heartbeat_elapsed
            return max(min(to_check, to_beat), 1) - 1
        if not raft.promotable():
            return None
        return max(raft.randomized_election_timeout - raft.election_elapsed, 1) - 1

    def pass_ticks(self, ticks: int) -> None:
        """Let some of the `quiet_ticks` pass at once: what as many calls of `tick` do.

        Whatever happens to a replica, its ticks come first: a message that arrives must find the clocks as
        they are. `Misuse` if one of these ticks would do something.
        """
        quiet = self.quiet_ticks()
        if ticks < 0 or (quiet is not None and ticks > quiet):
            raise Misuse(f"replica {self.raft.id} has {quiet} quiet ticks, not {ticks}")
        self.raft.election_elapsed += ticks
        if self.raft.role is Role.LEADER:
            self.raft.heartbeat_elapsed += ticks

    def campaign(self) -> ElectionRefusal | None:
        """Begin an election now, even if one is under way. A leader does nothing."""
        return election.start(self.raft)

    def force_election(self) -> ElectionRefusal | None:
        """Begin an election unless this replica leads or campaigns already; the reason if it must not.

        For a group just created, whose members would otherwise wait for a timeout. Not a takeover: members
        that hear a leader and check their quorum ignore it.
        """
        if self.raft.role is not Role.FOLLOWER:
            return None
        return election.start(self.raft)

    def forget_leader(self) -> None:
        """Stop believing in the leader, so that votes may be granted at once. Not with lease-based reads."""
        follower.forget_leader(self.raft)

    def transfer_leadership(self, to: int) -> None:
        """Ask that `to` lead instead of the present leader (thesis §3.10). `Misuse` if it is no replica id.

        A leader takes no proposals meanwhile, for an election timeout at most. It may come to nothing, as it
        does for a stranger or a learner; nobody is told.
        """
        if not 0 < to < LOCAL_APPLY:
            raise Misuse(f"leadership cannot be handed to {to}, which is no replica")
        dispatch.step(self.raft, Message(MsgType.TRANSFER_LEADER, from_=to))

    # -- requests -----------------------------------------------------------------------------------------

    def propose(self, data: bytes) -> EntryId | None:
        """Append a command to the group's log: where it stands, on the leader; `None` if passed on to it.

        Raises `ProposalDropped`. Even an appended command may be lost: it counts once applied, in its term.
        """
        return self.propose_batch((data,))

    def propose_batch(self, datas: Sequence[bytes]) -> EntryId | None:
        """Append several commands, all or none, at adjoining indexes. Returns where the last one stands.

        Later each is a command of its own: a crash may leave the first ones only. `Misuse` if there is none,
        or one that is not ``bytes``. See `propose`.
        """
        for data in datas:
            if not isinstance(data, bytes):  # a buffer that changes later would give members other commands
                raise Misuse(f"a command is bytes, not {type(data).__name__}")
        return self._propose([Entry(0, 0, EntryType.NORMAL, data) for data in datas])

    def propose_conf_change(self, change: ConfChange, *, v1: bool = False) -> EntryId | None:
        """Append a configuration change, in the old encoding if `v1`. See `propose`, `Ready.refusals`.

        Raises `ConfChangeError` if it cannot be encoded. Whether it can follow the configuration, and leaves
        a voter, turns out only when it is applied: see `apply_conf_change`.
        """
        confchange.check(change)
        if v1:
            entry = Entry(0, 0, EntryType.CONF_CHANGE, confchange.encode_v1(change))
        else:
            entry = Entry(0, 0, EntryType.CONF_CHANGE_V2, confchange.encode_v2(change))
        return self._propose([entry])

    def _propose(self, entries: list[Entry]) -> EntryId | None:
        if not entries:
            raise Misuse("a proposal without entries")
        if self.raft.role is Role.LEADER:
            return leader.propose(self.raft, entries)
        dispatch.step(self.raft, Message(MsgType.PROP, entries=entries))
        return None

    def read_index(self, context: bytes) -> None:
        """Ask for an index at which a read is linearizable; it comes in `Ready.read_states`.

        `context` names the request: unique within the group, not empty. Raises `ReadDropped` if too many
        wait. What is dropped later comes in `Ready.dropped_reads`, but for requests passed on to a leader
        that is gone, or lost on the way: ask again after an election timeout.
        """
        if not context or not isinstance(context, bytes):
            raise Misuse(f"a read request needs a context of bytes, not {context!r}")
        waiting = self.raft.waiting_reads()
        if waiting >= self.raft.config.max_pending_reads:
            raise ReadDropped(context, waiting)
        dispatch.step(self.raft, Message(MsgType.READ_INDEX, context=context))

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Put a configuration change into force, when its entry is applied. Returns what to store.

        Raises `ConfChangeError`, with nothing changed, if it would leave no voter or cannot follow the
        present configuration. All replicas refuse it alike: catch it, and count the entry as applied.
        """
        return reconfigure.apply_conf_change(self.raft, change)

    # -- messages and reports -----------------------------------------------------------------------------

    def step(self, m: Message) -> None:
        """Take in a message of a peer, or one of `Ready.messages_after_append` addressed to this replica.

        Raises `PeerNotFound` or `BadMessage` with nothing changed, and so `ProposalDropped` for a proposal
        that was passed on. `CorruptLog` means that this replica must not go on.
        """
        validity.check(self.raft, m)
        dispatch.step(self.raft, m)

    def step_commit_notice(self, from_: int, term: int, commit: int) -> None:
        """Take in a `CommitNotice` of replica `from_`. What does not count is ignored."""
        follower.take_commit_notice(self.raft, from_, term, commit)

    def report_unreachable(self, replica: int) -> None:
        """Say that messages to `replica` were lost, so that the leader probes instead of streaming.

        Of no member, or on a replica that does not lead, it is ignored.
        """
        if self.raft.role is Role.LEADER:
            leader.report_unreachable(self.raft, replica)

    def forget_log(self, replica: int, snapshot: int) -> None:
        """A leader is told that a follower has lost its log, and sends it the snapshot at this index.

        The only case in which a Match falls: what it stood for is gone. Whoever tells must make sure that the
        follower takes no part until it has a snapshot that reaches whatever it had promised to hold.
        """
        progress = self.raft.tracker.progress.get(replica)
        if self.raft.role is Role.LEADER and progress is not None:
            progress.match = 0
            progress.become_snapshot(snapshot)

    def report_snapshot(self, replica: int, *, ok: bool) -> None:
        """Say whether the snapshot for `replica` was delivered; required after each `MsgType.SNAP`.

        Of anybody else, or if none is on its way, it is ignored.
        """
        if self.raft.role is Role.LEADER:
            leader.report_snapshot(self.raft, replica, ok=ok)

    # -- work ---------------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether `ready` would hand out anything."""
        raft, before = self.raft, self._hard_state
        log = raft.log
        return bool(
            raft.messages
            or raft.after_append
            or log.unstable.has_next_entries()
            or (not self.hold_committed and log.has_next_committed(allow_unstable=self._allow_unstable))
            or log.committed != before.commit
            or raft.commits_to_tell
            or raft.read_states
            or raft.dropped_reads
            or raft.refusals
            or raft.role is not self._role
            or raft.lead != self._lead
            or raft.term != before.term
            or raft.vote != before.vote
            or log.unstable.next_snapshot() is not None
        )

    def ready(self) -> Ready:
        """Take out the work there is; it counts as handed out, and is not handed out again.

        In the synchronous form, `advance` has to follow before the next call, or that is `Misuse`.
        """
        if self._on_advance:
            raise Misuse("ready() was called again before advance()")
        raft = self.raft
        unstable = raft.log.unstable
        ready = Ready(
            self._changed_soft_state(),
            None,
            unstable.next_entries(),
            unstable.next_snapshot(),
            [] if self.hold_committed else raft.log.next_committed(allow_unstable=self._allow_unstable),
            raft.read_states,
            raft.dropped_reads,
            raft.messages,
            raft.after_append,
            [CommitNotice(to, raft.term, commit) for to, commit in raft.commits_to_tell.items()],
            raft.refusals,
        )
        self._settle_hard_state(ready)
        self._attest(ready)
        raft.read_states, raft.messages, raft.after_append, raft.refusals = [], [], [], []
        if raft.dropped_reads:
            raft.dropped_reads = []
        raft.commits_to_tell.clear()
        unstable.accept_in_progress()
        if ready.committed_entries:
            raft.log.accept_applying(ready.committed_entries, allow_unstable=self._allow_unstable)
        return ready

    def _changed_soft_state(self) -> SoftState | None:
        raft = self.raft
        if raft.lead == self._lead and raft.role is self._role:
            return None
        self._lead, self._role = raft.lead, raft.role
        return SoftState(raft.lead, raft.role)

    def _settle_hard_state(self, ready: Ready) -> None:
        """Put the hard state into `ready` if it changed, and say whether it has to be flushed."""
        raft, before = self.raft, self._hard_state
        ready.must_sync = bool(ready.entries) or raft.term != before.term or raft.vote != before.vote
        if ready.must_sync or raft.log.committed != before.commit:
            now = raft.hard_state()
            if now != before:
                self._hard_state = ready.hard_state = now

    def _attest(self, ready: Ready) -> None:
        """Add the attestation of what `ready` makes durable, or keep it for `advance`."""
        raft = self.raft
        storage = self._append_attestation(ready)
        if not self._allow_unstable:
            if storage is not None:
                ready.messages_after_append.append(storage)
            return
        everything = ready.messages_after_append
        ready.messages_after_append = [m for m in everything if m.to != raft.id]
        self._on_advance = [m for m in everything if m.to == raft.id]
        if storage is not None:
            self._on_advance.append(storage)
        if ready.committed_entries:
            self._on_advance.append(applied_message(raft.id, ready.committed_entries))

    def _append_attestation(self, ready: Ready) -> Message | None:
        """The message that says, when due, that the log is durable up to its present end.

        As long as anything is unstable it goes with every Ready that asks for a write, not only with those
        that bring entries: one that comes back in another term does not count, and a later one must make up
        for it.
        """
        raft = self.raft
        entries = raft.log.unstable.entries
        if not entries and ready.snapshot is None:
            return None
        if not (ready.entries or ready.hard_state or ready.snapshot or ready.messages_after_append):
            return None
        message = Message(
            MsgType.STORAGE_APPEND_RESP, raft.id, LOCAL_APPEND, raft.term, snapshot=ready.snapshot
        )
        if entries:
            message.log_term, message.index = entries[-1].term, entries[-1].index
        return message

    def advance(self) -> None:
        """Synchronous form: everything in the last Ready is durable, sent and applied.

        Without an open Ready it does nothing. `Misuse` in the asynchronous form.
        """
        if not self._allow_unstable:
            raise Misuse("advance() has no meaning with asynchronous storage writes")
        due, self._on_advance = self._on_advance, []
        for m in due:
            dispatch.step(self.raft, m)

    def acknowledge_apply(self, entries: Sequence[Entry]) -> None:
        """Asynchronous form: `entries`, of `Ready.committed_entries`, are applied.

        Pass the lists as they were handed out, in that order: what lies before the last entry counts as
        applied, too. `Misuse` beyond what was handed out, or in the synchronous form.
        """
        if self._allow_unstable:
            raise Misuse("acknowledge_apply() has no meaning without asynchronous storage writes")
        dispatch.step(self.raft, applied_message(self.raft.id, entries))

    # -- looking in ---------------------------------------------------------------------------------------

    def basic_status(self) -> BasicStatus:
        """Terms, role and positions."""
        return basic_status(self.raft)

    def status(self) -> Status:
        """The basic status, the configuration, and on a leader the progress of each member."""
        return status(self.raft)
