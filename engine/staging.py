"""What a turn makes durable, for all groups, as one batch: births, what replicas write, cuts of logs."""

from typing import Any

from .births import Births
from .held import Held
from .logstore.port import Birth, GroupWrite, LogStore
from .newborns import Nursery
from .truncations import Cut, Truncations
from .turn import Turn


class Staging:
    """Gathers the writes of a node in the order in which they take place."""

    def __init__(
        self,
        log: LogStore[Any],
        births: Births,
        nursery: Nursery,
        truncations: Truncations,
        batches_in_flight: int,
    ) -> None:
        self.held = Held(log, batches_in_flight)
        self._births = births
        self._nursery = nursery
        self._truncations = truncations

    @property
    def work_is_left(self) -> bool:
        """Whether another turn would stage something by itself."""
        waits = bool(self._truncations or self._births.ordered or self._nursery.waits)
        return self.held.can_stage or (waits and not self.held.halted and not self.held.busy)

    def stage(self, turn: Turn) -> None:
        """Take what this turn must make durable, and hand out a batch if the log takes one now."""
        turn.runs.encode()
        if not self.held.busy:
            self._gather(turn)
        turn.effects.batch = self.held.next_batch()

    def _gather(self, turn: Turn) -> None:
        births: list[Birth] = []
        cuts: list[Cut] = []
        if not self.held.halted:  # these are in no hurry
            births = self._births.to_write()
            cuts = self._truncations.take()
        writes = [GroupWrite(group=b.group, replica_id=b.replica_id, birth=b) for b in births]
        for write, replica in turn.writes:
            if write.entries:
                write.run = turn.runs.of(write.group, write.entries).data or b""
                replica.keeping.grew(write.entries, len(write.run), turn.now)
                turn.effects.figures.wrote(len(write.entries), len(write.run))
            writes.append(write)
        newborns, promises = self._nursery.take()
        writes += newborns
        for write in newborns:
            if write.entries:
                turn.effects.figures.wrote(len(write.entries), len(write.run))
        writes += [write for write, _ in cuts]
        if not writes:
            return
        number = self.held.add(writes, turn.held + promises, births)
        self._births.written(births)
        for _, replica in (*turn.writes, *cuts):
            replica.newest_work = number
