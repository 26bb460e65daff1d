"""What a turn makes durable as one batch: births and tombstones, what replicas write, cuts of logs."""

from typing import Any

from .held import Held, Work
from .logstore.port import Birth, GroupWrite, LogStore
from .newborns import Nursery
from .removals import Removal
from .replicas import Replicas
from .truncations import Cut, Truncations
from .turn import Turn


class Staging:
    """Gathers the writes of a node in the order in which they take place."""

    def __init__(
        self,
        log: LogStore[Any],
        replicas: Replicas,
        nursery: Nursery,
        truncations: Truncations,
        batches_in_flight: int,
    ) -> None:
        self.held = Held(log, batches_in_flight)
        self._births = replicas.births
        self._removals = replicas.removals
        self._nursery = nursery
        self._truncations = truncations

    @property
    def work_is_left(self) -> bool:
        """Whether another turn would stage something by itself."""
        ordered = self._births.ordered or self._removals.to_bury
        waits = bool(self._truncations or ordered or self._nursery.waits)
        return self.held.can_stage or (waits and not self.held.halted and not self.held.busy)

    @property
    def unsettled(self) -> bool:
        """Whether the directory has ordered births or removals that are not durable yet."""
        return self._births.unsettled or self._removals.unsettled

    def durable(self, work: Work) -> None:
        """The work is on the disk."""
        self._births.durable(work.births)
        self._removals.durable(work.removals)
        for _, promises in work.first_steps:
            self._nursery.durable(promises)

    def stage(self, turn: Turn) -> None:
        """Take what this turn must make durable, and hand out a batch if the log takes one now."""
        turn.runs.encode()
        if not self.held.busy:
            self._gather(turn)
        turn.effects.batch = self.held.next_batch()

    def _gather(self, turn: Turn) -> None:
        births: list[Birth] = []
        removals: list[Removal] = []
        cuts: list[Cut] = []
        if not self.held.halted:  # these are in no hurry
            births = self._births.to_write()
            removals = self._removals.to_write()
            cuts = self._truncations.take()
        writes = [GroupWrite(group=b.group, replica_id=b.replica_id, birth=b) for b in births]
        writes += [GroupWrite(*removal, tombstone=True) for removal in removals]
        for write, replica in turn.writes:
            if write.entries:
                write.run = turn.runs.of(write.group, write.entries).data or b""
                replica.keeping.grew(write.entries, len(write.run), turn.now)
                turn.effects.figures.wrote(len(write.entries), len(write.run))
            writes.append(write)
        writes += [write for write, _ in cuts]
        first_steps = [steps] if (steps := self._nursery.take_writes()) is not None else []
        if not writes and not first_steps:
            return
        for columns, _ in first_steps:
            turn.effects.figures.wrote(columns.entries, len(columns.runs))
        number = self.held.add(writes, turn.held, births, first_steps, removals)
        self._births.written(births)
        self._removals.written(removals)
        for _, replica in (*turn.writes, *cuts):
            replica.newest_work = number
