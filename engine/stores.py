"""What the stores of a node hold of a replica: its state, and what a crash or damage has left half-done."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..raft.entry import EntryId
from ..raft.state import HardState
from .errors import Corruption, InvalidArgument
from .logstore.port import Birth, Doubt, GroupLog, GroupWrite, LogStore
from .lostlogs import most_promised
from .remains import is_alone
from .replica import SYSTEM_GROUP
from .statemachine.protocol import StateMachine, asynchronous, volatile
from .statemachine.store import Applied, StateStore

logger = logging.getLogger("multiraft.node")

MachineFactory = Callable[[Birth, bytes | None], StateMachine]
"""Makes a replica's state machine from its birth and, after a restart, its applied metadata."""

BIRTH_POINT: Final = (1, 1)
"""Index and term of the snapshot point at which every group is born."""


class Stores:
    """Log, state store and state machines, as a replica needs them that comes to life."""

    def __init__(self, log: LogStore[Any], state: StateStore, machines: MachineFactory) -> None:
        self.log = log
        self.state = state
        self.machines = machines
        self._doubts: dict[int, Doubt] = {}
        """Found as the log was opened."""

    def note_doubts(self) -> None:
        """Note, durably, what the log may have lost: the next start does not find the damage any more.

        Raises `DiskFull`, `StorageFailed`.
        """
        if not self.log.has_gaps:
            return
        doubts = {doubt.group: doubt for doubt in self.log.doubts}
        for doubt in doubts.values():
            logger.error("group %d: %s", doubt.group, doubt.reason)
            self.state.set_promised(doubt.group, most_promised(self.state, doubt))
        flush = self.state.freeze()
        if flush is not None:
            self.state.write(flush)
            self.state.flushed(flush)
        self.log.doubts_noted()
        self._doubts = doubts

    def urgent(self, births: Iterable[Birth]) -> set[int]:
        """The groups whose replicas must start with the node; those of the others have only to be read.

        What a start has to write is written before the first turn: no batch may be in flight then. And who is
        alone has nobody to ask for what it lacks.

        Raises:
            InvalidArgument: the machines are not of the kind that wrote the state. To find that out when a
                replica is needed would stop a node that serves.
        """
        try:
            half_done = self.state.half_done()
        except Corruption:
            return {birth.group for birth in births}
        found: set[int] = set()
        tried: set[str] = set()
        for birth in births:
            if birth.group in half_done or birth.group == SYSTEM_GROUP or is_alone(birth):
                found.add(birth.group)
            elif birth.machine not in tried and self.state.applied(birth.group) is not None:
                tried.add(birth.machine)
                try:
                    self.open_state(birth)
                except Corruption:
                    found.add(birth.group)
        return found

    def cut_behind_state(self, birth: Birth, log: GroupLog, applied: Applied, promised: EntryId) -> bool:
        """Nothing is lost of a log that is in doubt below where the state on the disk is: cut it there."""
        doubt = self._doubts.get(birth.group)
        if (
            doubt is None
            or doubt.promised != promised
            or not doubt.whole_from <= applied.index <= promised.index
        ):
            return False
        if log.term(applied.index) != applied.term:
            return False
        logger.warning("group %d: its log is cut behind its state, which has what is lost", birth.group)
        write = GroupWrite(birth.group, birth.replica_id, truncate=(applied.index, applied.term))
        batch = self.log.stage([write])
        self.log.commit(batch)
        self.log.finish(batch)
        return True

    def open_state(self, birth: Birth) -> tuple[StateMachine, Applied]:
        """The machine as the state store has it. Raises as `Replicas.start`."""
        group = birth.group
        recorded, kept = self.state.applied(group), self.state.checkpoint(group)
        applied = recorded or (kept[0] if kept else None)
        machine = self.machines(birth, applied.metadata if applied else None)
        if machine.durable and asynchronous(machine) is not None:
            raise InvalidArgument(
                f"group {group}: a {type(machine).__name__} cannot have async_apply: its state is in the "
                "store, where a flush would find it half-way"
            )
        if (kept if machine.durable else recorded) is not None:
            was, now = ("memory", "lmdb") if machine.durable else ("lmdb", "memory")
            raise InvalidArgument(
                f"group {group} was written with state_machine={was!r} and cannot be opened with {now!r}"
            )
        if kept is not None and (memory := volatile(machine)) is not None:
            memory.restore(kept[1])
        return machine, applied or Applied(*BIRTH_POINT, birth.conf_state, machine.metadata())

    def start_afresh(self, birth: Birth) -> tuple[StateMachine, Applied]:
        """A machine as it was born; what the store has of the group goes with the next flush."""
        self.state.remove(birth.group)
        machine = self.machines(birth, None)
        return machine, Applied(*BIRTH_POINT, birth.conf_state, machine.metadata())

    def finish_install(self, birth: Birth, applied: Applied) -> None:
        """Finish the installation of a snapshot that a crash cut off between state and log.

        The state store's transaction was the commit point; the log is reset to it unless it stands there
        already, in which case everything appended since counts.
        """
        term = self.state.install_marker(birth.group)
        if term is None:
            return
        log = self.log.group(birth.group)
        if log.first_index() - 1 >= applied.index:
            return
        old, _ = log.initial_state()
        vote = old.vote if old.term >= term else 0
        write = GroupWrite(group=birth.group, replica_id=birth.replica_id)
        write.hard_state = HardState(max(old.term, term), vote, applied.index)
        write.snapshot_point = (applied.index, applied.term, applied.conf_state)
        batch = self.log.stage([write])
        self.log.commit(batch)
        self.log.finish(batch)
