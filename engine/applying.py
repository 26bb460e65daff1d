"""Applying committed entries: within the turn or, by machines that take their time, outside it.

A machine with ``async_apply`` is handed one run of commands at a time. Until they are done its replica votes
and replicates, and hands it nothing more: what is committed meanwhile stays in the log, linearizable reads
wait, and of new requests only so many are taken that one group cannot fill the node's queues.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..raft.entry import Entry, EntryType
from .errors import Corruption, Quarantined
from .statemachine.protocol import AsyncMachine, asynchronous

if TYPE_CHECKING:
    from .delivery import Delivery
    from .flusher import Flusher
    from .pending import Answer
    from .replica import Replica
    from .turn import Turn

logger = logging.getLogger("multiraft.node")

SLOW_APPLY: Final = 0.1
"""Seconds in a turn, and so taken from all groups, after which a machine is named in the log."""

Outcome = Sequence[object] | Exception
"""The results of commands, or what the machine has raised."""


class Run:
    """Committed entries of one replica, and the commands among them that its machine does not have yet."""

    __slots__ = ("commands", "entries", "new", "replica")

    def __init__(self, replica: "Replica", entries: Sequence[Entry]) -> None:
        """What a peer's state covers is passed over."""
        self.replica = replica
        self.entries = new = entries
        if entries[0].index <= replica.applied.index:
            new = [entry for entry in entries if entry.index > replica.applied.index]
        self.new = new
        self.commands = [entry.data for entry in new if entry.data and entry.type is EntryType.NORMAL]


class ApplyWork(NamedTuple):
    """For the shell: commands to be awaited outside the turn."""

    run: Run
    machine: AsyncMachine


class Applied(NamedTuple):
    """What has become of them."""

    run: Run
    outcome: Outcome


class Outside:
    """A machine that applies outside the turn: what it is at, and how many bytes of requests wait for it.

    What was taken in before the last run but one is answered, or not committed yet and bounded as that.
    """

    def __init__(self, limit: int) -> None:
        self.run: Run | None = None
        self._limit = limit
        self._earlier = 0
        self._lately = 0

    def takes(self, size: int, waiting: int) -> bool:
        """Take in a request of ``size`` bytes beside so many that wait; False: there is no room."""
        if not waiting:
            self._earlier = self._lately = 0
        if self._earlier + self._lately >= self._limit:
            return False
        self._lately += size
        return True

    def done(self) -> None:
        """The run is done, and its requests are about to be answered."""
        self.run = None
        self._earlier, self._lately = self._lately, 0


class Applier:
    """Gives the machines of a node what is committed, and answers who waits for it."""

    def __init__(
        self,
        running: Mapping[int, "Replica"],
        delivery: "Delivery",
        flusher: "Flusher",
        activate: Callable[["Replica"], None],
        stopwatch: Callable[[], float],
    ) -> None:
        self._running = running
        self._delivery = delivery
        self._flusher = flusher
        self._activate = activate
        self._stopwatch = stopwatch

    def apply(self, turn: "Turn") -> None:
        """Apply what is committed and durable here, then answer the reads that waited for it."""
        for replica, entries in turn.to_apply:
            if self._running.get(replica.group) is not replica:
                continue
            if entries and replica.rebuilding is not None:  # lost since they were handed out
                replica.rebuilding.unapplied += entries
            elif entries and replica.quarantine is None:
                run = Run(replica, entries)
                machine = asynchronous(replica.machine)
                if replica.outside is not None and machine is not None and run.commands:
                    replica.outside.run = run
                    turn.effects.applies.append(ApplyWork(run, machine))
                elif not self._settle(turn, run, self._within_turn(run)):
                    continue
            self._go_on(turn, replica)

    def take_results(self, turn: "Turn", done: Sequence[Applied]) -> None:
        """Machines have applied what was awaited. A replica that runs no more does not need to know."""
        for run, outcome in done:
            replica = run.replica
            if replica.applying is run and self._running.get(replica.group) is replica:
                assert replica.outside is not None
                replica.outside.done()
                if self._settle(turn, run, outcome):
                    self._go_on(turn, replica)
                    self._activate(replica)

    def _within_turn(self, run: Run) -> Outcome:
        began = self._stopwatch()
        machine = run.replica.machine
        try:
            return machine.apply(run.commands) if run.commands else ()
        except Exception as error:  # noqa: BLE001 # whatever it is, it is this replica's
            return error
        finally:
            seconds = self._stopwatch() - began
            if seconds > SLOW_APPLY:
                logger.warning(
                    "group %d: its %s has held up all groups for %.0f ms with %d commands",
                    run.replica.group,
                    type(machine).__name__,
                    seconds * 1000,
                    len(run.commands),
                )

    def _settle(self, turn: "Turn", run: Run, outcome: Outcome) -> bool:
        """Note what has become of a run; False: the replica runs no more."""
        try:
            settle(run, outcome, turn.effects.answers)
        except Corruption as error:
            self._delivery.fence(turn, run.replica, error)
            return False
        turn.effects.figures.applied += len(run.entries)
        self._flusher.note_applied(run.replica)
        return True

    def _go_on(self, turn: "Turn", replica: "Replica") -> None:
        if replica.applying is None:
            serve_reads(replica, turn.effects.answers)
        if replica.raw.has_ready():
            self._activate(replica)


def settle(run: Run, outcome: Outcome, answers: "list[Answer]") -> None:
    """Take the outcome of a run to those who wait for it, and to the core.

    An exception from the machine quarantines its replica's apply, and damage that it meets costs it its state
    if there are peers; it goes on voting and replicating.
    Raises Corruption if it has met damage, and there are no peers.
    """
    replica = run.replica
    if not isinstance(outcome, Exception) and len(outcome) != len(run.commands):
        outcome = TypeError(f"{len(outcome)} results for {len(run.commands)} commands")
    if replica.rebuilding is not None:  # its state was lost meanwhile: a peer's takes its place
        replica.rebuilding.unapplied += run.entries
    elif isinstance(outcome, Exception):
        _has_failed(run, outcome, answers)
    else:
        replica.commands_applied += len(run.commands)
        if len(replica.proposals):
            _answer_proposals(run, outcome, answers)
        if run.new:
            last = run.new[-1]
            replica.set_applied(last.index, last.term, replica.applied.conf_state)
        replica.raw.acknowledge_apply(run.entries)


def _has_failed(run: Run, error: Exception, answers: "list[Answer]") -> None:
    replica = run.replica
    if not isinstance(error, Corruption):
        _quarantine(replica, run.new[0].index, error, answers)
    elif replica.is_alone:
        replica.take_back()
        raise error
    else:
        replica.lose_state(error)
        assert replica.rebuilding is not None
        replica.rebuilding.unapplied += run.entries
        answers += replica.proposals.fail_all(replica.not_leader())


def _answer_proposals(run: Run, results: Sequence[object], answers: "list[Answer]") -> None:
    """Tell every proposal what became of its entries; ``results`` are those of the commands."""
    rest = iter(results)
    for entry in run.new:
        is_command = entry.data and entry.type is EntryType.NORMAL
        run.replica.proposals.applied(entry, next(rest) if is_command else None, answers)


def _quarantine(replica: "Replica", index: int, error: Exception, answers: "list[Answer]") -> None:
    # Some of the commands may have changed the state: no index of the log has it, so neither the disk
    # nor a peer may ever see it.
    replica.discard_unflushed()
    replica.quarantine = Quarantined(replica.group, index, f"the state machine raised {error!r}")
    replica.quarantine.__cause__ = error
    answers += replica.proposals.fail_all(replica.quarantine)
    answers += replica.reads.fail_all(replica.quarantine)


def serve_reads(replica: "Replica", answers: "list[Answer]") -> None:
    """Answer the confirmed reads whose index is applied. Damage that one meets is told, and is a loss."""
    if replica.rebuilding is not None:
        answers += replica.reads.fail_all(replica.not_leader())
        return
    first = len(answers)
    replica.reads.serve(replica.applied.index, replica.machine, answers)
    if len(answers) > first and not replica.is_alone:
        for answer in answers[first:]:
            if isinstance(answer.value, Corruption):
                replica.lose_state(answer.value.with_traceback(None))
                answers += replica.proposals.fail_all(replica.not_leader())
                return
