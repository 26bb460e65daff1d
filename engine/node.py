"""A node: many replicas, one turn.

:meth:`Node.turn` is a plain function of the time and of what has arrived. It does no I/O and waits for
nothing: the shell around it (:mod:`multiraft.engine.host`) collects inputs and carries effects out, and
the simulator calls the very same function.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from ..native.errors import BadFrame
from ..raft.entry import Entry
from ..raft.messages import Message, MsgType
from ..raft.ready import Ready
from .applying import Applier
from .applyroom import ApplyRoom
from .config import EngineConfig
from .delivery import BROKEN, Delivery
from .dormancy import Dormancy
from .elections import Elections
from .errors import Corruption
from .figures import TurnFigures, no_time
from .flusher import Flusher
from .intake import Intake
from .logstore.port import LogStore
from .newborns import Nursery
from .orphans import Orphans
from .outbox import Outbox
from .parking import Parking
from .removals import Remover
from .replica import SYSTEM_GROUP, Replica
from .replicas import Replicas
from .rest import Rest
from .returning import Returning
from .runs import Runs
from .snapshots.exchange import Exchange
from .staging import Staging
from .statemachine.store import StateStore
from .stores import MachineFactory
from .ticker import Ticker
from .ticks import Ticks
from .truncations import Truncations
from .turn import Effects, Inputs, Turn


class Node:
    """The replicas of one process and what they share.

    Args:
        node_id: this node.
        log, state: the stores; open, and used by nobody else.
        machines: makes the state machine of a replica.
        seed: the source of every random choice (election timeouts).
        now: the time of the first turn, in seconds of a monotonic clock.
        stopwatch: read between the phases of a turn, for its figures only.
    """

    def __init__(
        self,
        node_id: int,
        config: EngineConfig,
        log: LogStore[Any],
        state: StateStore,
        machines: MachineFactory,
        seed: random.Random,
        now: float,
        stopwatch: Callable[[], float] = no_time,
    ) -> None:
        self.node_id = node_id
        self.config = config
        self.log = log
        self.state = state
        self.replicas = Replicas(node_id, config, log, state, machines, seed)
        self.parking = Parking(config.parked_bytes, config.parked_ms / 1000)
        self.ticker = Ticker(now, config.tick_ms / 1000, config.beat_ms / 1000)
        self._running = self.replicas.running
        self._births = self.replicas.births
        self._active: dict[int, Replica] = {}
        self._snapshots = Exchange(config, state, self.replicas)
        self._truncations = Truncations(self._running, log, config.log_keep_ms / 1000)
        self.elections = Elections(config, self.replicas, seed)
        self.orphans = Orphans(self.replicas, self.elections, config.election_ticks)
        self.returning = Returning(node_id, config, self.replicas, seed)
        self._rest = Rest(node_id, config, self.replicas, self._active, self.orphans, self.returning, seed)
        self._nursery = Nursery(node_id, self.replicas, config, seed)
        self._delivery = Delivery(
            self.replicas,
            self.parking,
            self._truncations,
            self._active,
            self._snapshots,
            self._rest,
            self._nursery,
            config,
        )
        self._intake = Intake(self.replicas, self.elections, self.orphans, self._active)
        self._flusher = Flusher(state, config.flush_ms / 1000, config.memtable_bytes // 2, now)
        self._remover = Remover(self.replicas, state, self._flusher, self._active)
        self._snapshots.serve(
            self._delivery.step, self._delivery.rebuilder.met_damage, self._flusher.ask_checkpoint
        )
        self._room = ApplyRoom(state, config.memtable_bytes)
        self._applier = Applier(self._running, self._delivery, self._flusher, self._activate, stopwatch)
        self._installed: list[Replica] = []
        self._staging = Staging(
            log, self.replicas, self._nursery, self._truncations, config.batches_in_flight
        )
        self._held = self._staging.held
        holders = (self._held, self._truncations, self._snapshots)
        dormancy = Dormancy(self.replicas, self._rest, holders, state, config)
        own = (self.ticker, self._rest, self.elections, self.orphans, self._delivery, self._active)
        self._ticks = Ticks(self.replicas, dormancy, *own)
        self.stopwatch = stopwatch

    def start(self, *, newborn_system: bool = False) -> None:
        """Bring back the replicas that the stores know, or let them wait. Call once, before the first turn.

        The lowest node calls the first election of a new system group, and a replica that is alone in its
        group never has to wait for an answer.
        """
        self.replicas.start_all()
        for replica in list(self._running.loaded.values()):
            designated = newborn_system and replica.birth.peers[0][1] == self.node_id
            if designated or replica.is_alone:
                self._delivery.begin_election(replica)

    @property
    def directory_index(self) -> int:
        """The version of this node's directory; the directory's machine moves it."""
        return self._delivery.directory_index

    @directory_index.setter
    def directory_index(self, version: int) -> None:
        self._delivery.directory_index = version

    @property
    def messages_refused(self) -> int:
        """Messages dropped because they name another replica, or come from the wrong node."""
        return self._delivery.refused

    @property
    def batches_in_flight(self) -> int:
        """Batches that are handed over and not known to be durable."""
        return self._held.batches_in_flight

    @property
    def halted(self) -> bool:
        """Whether the disk has refused a batch, and the log has not begun a new run since."""
        return self._held.halted

    @property
    def deadline(self) -> float:
        """When to take the next turn though nothing happens."""
        return min(self.ticker.deadline, self._snapshots.ready_at())

    def backlog(self) -> dict[str, int]:
        """What is kept in memory for work under way, by what it is: all of it is 0 once nothing is to do."""
        return {
            "batches in flight": self.batches_in_flight + self._held.waiting,
            "births": len(self._births),
            "groups held back": self._room.held,
            "installs": len(self._installed) + self._flusher.installs,
            "parked bytes": self.parking.bytes,
            "abandoned prefixes": self.state.abandoned,
            "truncations": len(self._truncations),
            **self._snapshots.backlog(),
            **self.replicas.backlog(),
        }

    # -- the turn --------------------------------------------------------------------------------

    def turn(self, now: float, inputs: Inputs) -> Effects:
        """One pass: inputs in, effects out. The order of the phases is the protocol's.

        Each reading of the stopwatch ends one of :data:`~multiraft.engine.figures.PHASES`.
        """
        runs = Runs()
        clock = self.stopwatch
        figures = TurnFigures(clock())
        lap = figures.laps.append
        turn = Turn(now, runs, Outbox(runs), Effects(figures=figures))
        self._ticks.begin(turn)
        self._note_durable(turn, inputs)
        self._note_refused(turn, inputs)
        self._note_flushed(turn, inputs)
        self._remover.remove(turn.effects.answers)
        self._applier.take_results(turn, inputs.applied)
        self._delivery.bring_up(turn, self._births.bring_up())
        lap(clock())
        self._step_messages(turn, inputs)
        self._snapshots.take(inputs.streams, inputs.worked, turn)
        self._note_lost_peers(turn, inputs)
        lap(clock())
        self._intake.take(turn, inputs)
        lap(clock())
        self._tick(turn)
        lap(clock())
        self._collect_ready(turn)
        lap(clock())
        self._stage_batch(turn)
        lap(clock())
        self._applier.apply(turn)
        lap(clock())
        self._snapshots.go_on(turn)
        self._flush_state(turn)
        self._rest.tell(turn)
        first_steps = self._nursery.frames(self.directory_index)
        turn.effects.frames = turn.outbox.frames(self.directory_index, first_steps)
        turn.effects.again = turn.effects.again or self._work_is_left()
        self._ticks.look_ahead(idle=not turn.effects.again and not self._is_under_way())
        lap(clock())
        return turn.effects

    def _work_is_left(self) -> bool:
        if self._births.ready or self.replicas.removals.to_stop or self._staging.work_is_left:
            return True
        return (bool(self._active) or self._room.work_is_left) and not self._held.busy

    def _is_under_way(self) -> bool:
        """Whether anything waits for the disk, or for time to pass."""
        at_work = self._held.batches_in_flight or self._held.halted or self.parking.bytes
        return bool(self._active or at_work or self._truncations or self._flusher.wants)

    # -- phases: what the stores have done -------------------------------------------------------

    def _note_durable(self, turn: Turn, inputs: Inputs) -> None:
        """Batches are on disk: now, and only now, leave the promises that they back."""
        for batch in inputs.durable:
            work = self._held.durable(batch)
            if work is not None:
                self._staging.durable(work)
                for replica, messages in work.promises:
                    self._delivery.deliver(turn, replica, messages)

    def _note_refused(self, turn: Turn, inputs: Inputs) -> None:
        """The disk takes nothing, or not everything: what it has refused waits, and others should lead."""
        if inputs.refused:
            self._held.refused(inputs.refused)
        for trouble in inputs.trouble:
            self.replicas.trouble = trouble
            if trouble is not None:
                for replica, error in self._intake.give_way(turn):
                    self._delivery.fence(turn, replica, error)
        if inputs.resume:
            self._held.resume()

    def _note_flushed(self, turn: Turn, inputs: Inputs) -> None:
        """Applied state is on disk: logs may be cut, and snapshots may take the place of logs."""
        for flush in inputs.flushed:
            durable, installed = self._flusher.finish(flush)
            self._delivery.rebuilder.met_damage(turn, flush.damaged)
            self._installed += installed
            self._truncations.flushed(durable, turn.now)

    # -- phases: what peers and callers want -----------------------------------------------------

    def _step_messages(self, turn: Turn, inputs: Inputs) -> None:
        for node, payload in inputs.frames:
            try:
                self._delivery.receive_frame(turn, node, payload)
            except BadFrame as error:
                turn.effects.hang_up.append((node, Corruption(f"node {node} sent a bad frame: {error}")))

    def _note_lost_peers(self, turn: Turn, inputs: Inputs) -> None:
        for node in inputs.peers_lost:
            self._delivery.unreachable(node, self._running.loaded)
            self._snapshots.lost(node, None, turn)
        for node, groups in inputs.frames_dropped:
            self._delivery.unreachable(node, groups)

    def _tick(self, turn: Turn) -> None:
        if self._ticks.pass_time(turn):
            for replica in self._nursery.tick():
                self._activate(replica)
            for replica in self._truncations.pass_time(turn.now):
                self._flusher.ask_checkpoint(replica)

    # -- phases: what Raft wants -----------------------------------------------------------------

    def _collect_ready(self, turn: Turn) -> None:
        """Propose, then take one Ready of every active replica; the system group goes first.

        With enough batches in flight nothing is taken: it joins the batch of a later turn, so that a slow
        disk makes batches larger and not more. While the log is halted all goes on that needs no disk.
        """
        if self._held.busy:
            return
        active = self._room.look(self._active, self._running)
        turn.effects.figures.groups = len(active)
        self._active.clear()
        system = active.pop(SYSTEM_GROUP, None)
        for replica in [*([system] if system else []), *active.values()]:
            try:
                self._serve(turn, replica)
            except BROKEN as error:
                self._delivery.fence(turn, replica, error)
        installed, self._installed = self._installed, []
        for replica in installed:
            if self._running.get(replica.group) is replica:
                self._finish_install(turn, replica)

    def _serve(self, turn: Turn, replica: Replica) -> None:
        self._rest.touch(replica)
        self._intake.hand_in(turn, replica)
        unapplied: Sequence[Entry] = ()
        if (rebuilding := replica.rebuilding) is not None:
            unapplied = self._delivery.rebuilder.take_state(replica, rebuilding, turn.effects.answers)
        self._room.admit(replica)
        if unapplied:
            turn.to_apply.append((replica, unapplied))
            replica.raw.hold_committed = True  # what follows them comes when they are applied
            self._activate(replica)
        if replica.installing is None and replica.raw.has_ready():
            ready = replica.raw.ready()
            self._room.took(replica, len(ready.committed_entries))
            self._handle_ready(turn, replica, ready)

    def _handle_ready(self, turn: Turn, replica: Replica, ready: Ready) -> None:
        if ready.soft_state is not None:
            self._intake.note_leader(turn, replica)
        held = self._send_now(turn, replica, ready)
        for dropped in ready.dropped_reads:
            turn.effects.answers += replica.reads.dropped(dropped.context, replica.not_leader())
        for state in ready.read_states:
            replica.reads.confirmed(state.context, state.index)
        if ready.committed_entries or ready.read_states:
            turn.to_apply.append((replica, ready.committed_entries))
        if ready.snapshot is not None:
            self._begin_install(turn, replica, ready, held)
            return
        self._write(turn, replica, ready, held)

    def _send_now(self, turn: Turn, replica: Replica, ready: Ready) -> list[Message]:
        """Queue what may leave at once; returns what has to wait for the disk.

        A vote request waits too: a candidate that wins by the votes of others before its own term and
        vote are durable, crashes and campaigns again in that term would write two logs in one term.
        """
        held: list[Message] = []
        for message in ready.messages:
            if message.type is MsgType.VOTE:
                held.append(message)
            else:
                self._delivery.send(turn, replica, message)
        for notice in ready.commit_notices:
            node = replica.nodes.get(notice.to)
            if node is not None:
                turn.outbox.add_notice(node, replica.group, replica.replica_id, notice)
        held += ready.messages_after_append
        return held

    def _write(self, turn: Turn, replica: Replica, ready: Ready, held: list[Message]) -> None:
        writes = replica.writes_of(ready, turn.runs)
        if writes:
            turn.writes += [(write, replica) for write in writes]
            turn.held.append((replica, held))
        elif held and not self._held.behind(replica, held):
            self._delivery.deliver(turn, replica, held)

    def _stage_batch(self, turn: Turn) -> None:
        """Everything that this turn must make durable, for all groups, as one batch."""
        self._staging.stage(turn)
        for replica, error in self._truncations.lost(self.log.take_losses()):
            self._delivery.fence(turn, replica, error)

    def _flush_state(self, turn: Turn) -> None:
        """Hand applied state to the state store now and then.

        The directory's applied index goes with it, so nothing is flushed while births or tombstones that it
        ordered are not durable.
        """
        if not self._staging.unsettled:
            turn.effects.flush = self._flusher.start(turn.now)

    # -- snapshots -------------------------------------------------------------------------------

    def _begin_install(self, turn: Turn, replica: Replica, ready: Ready, held: list[Message]) -> None:
        """First data and marker become durable, then the log is reset, only then the answer leaves.

        Without the data, as they are damaged, nothing is to become durable before the log is.
        """
        assert ready.snapshot is not None
        ready.messages_after_append = held
        replica.installing = ready
        if replica.install(ready.snapshot, replica.raw.raft.term, turn.effects.answers):
            self._flusher.await_install(replica)
        else:
            self._finish_install(turn, replica)

    def _finish_install(self, turn: Turn, replica: Replica) -> None:
        ready, replica.installing = replica.installing, None
        assert ready is not None
        self._write(turn, replica, ready, ready.messages_after_append)
        self._activate(replica)

    def _activate(self, replica: Replica) -> None:
        self._active[replica.group] = replica
