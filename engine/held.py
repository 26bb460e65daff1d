"""What has to become durable, turn by turn, and the promises that wait for it.

A batch that the disk has refused is not lost: what it says is written again behind the beginning of a new
run, and only then leave the promises that it backs.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from ..native.nursery import WriteColumns
from ..raft.messages import Message
from .logstore.port import Batch, Birth, GroupWrite, LogStore
from .removals import Removal
from .replica import Replica

MOST_ALIKE: Final = 4096
"""So far back a halted log looks for the same note of a replica to itself."""

Promise = tuple[Replica, list[Message]]
"""Messages of one replica, in order; those addressed to itself are stepped back into it."""

FirstSteps = tuple[WriteColumns, bytes]
"""What newborns write, and the promises that wait for it."""


class Work:
    """What goes into one batch, and what waits for it."""

    __slots__ = ("births", "first_steps", "number", "promises", "removals", "writes")

    def __init__(
        self,
        number: int,
        writes: list[GroupWrite],
        promises: list[Promise],
        births: Sequence[Birth],
        first_steps: list[FirstSteps],
        removals: Sequence[Removal],
    ) -> None:
        self.number = number
        self.writes = writes
        self.promises = promises
        """Seen by nobody."""
        self.births = births
        self.first_steps = first_steps
        self.removals = removals


class Held:
    """Work in the order in which it came: in flight, then waiting to be staged.

    While the log is halted, because the disk has refused a batch, everything waits.
    """

    def __init__(self, log: LogStore[Any], batches_in_flight: int) -> None:
        self.halted = False
        """Whether a batch was refused and no run has begun since."""
        self._log = log
        self._most = batches_in_flight
        self._in_flight: deque[tuple[Batch, Work | None]] = deque()
        """A batch without work begins a run."""
        self._waiting: deque[Work] = deque()
        self._works: dict[int, Work] = {}
        """All of it, by number."""
        self._refused: list[Batch] = []
        self._resuming = False
        self._newest = 0
        self._durable = 0

    @property
    def batches_in_flight(self) -> int:
        """Batches that are handed over, and neither durable nor taken back."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """How much work is not handed over yet."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether new work would have to wait for what is there already."""
        return not self.halted and bool(self._waiting or len(self._in_flight) >= self._most)

    @property
    def can_stage(self) -> bool:
        """Whether `next_batch` would give one."""
        waits = self._waiting and not self.halted
        return bool(self._resuming or waits) and len(self._in_flight) < self._most

    def add(
        self,
        writes: list[GroupWrite],
        promises: list[Promise],
        births: Sequence[Birth] = (),
        first_steps: Sequence[FirstSteps] = (),
        removals: Sequence[Removal] = (),
    ) -> int:
        """Take work for the next batch; returns its number."""
        if self.halted and self._waiting and self._waiting[-1].number == self._newest:
            work = self._waiting[-1]  # nothing can be staged in between: one batch does for all of it
            work.writes += writes
            work.promises += promises
            work.first_steps += first_steps
        else:
            self._newest += 1
            work = Work(self._newest, writes, promises, births, list(first_steps), removals)
            self._waiting.append(work)
            self._works[work.number] = work
        return work.number

    def behind(self, replica: Replica, messages: list[Message]) -> bool:
        """Let messages that need nothing new on disk wait for the replica's newest work.

        Returns ``False`` if that is durable already: they may leave at once. While the log is halted, which
        may be for days, those to peers are dropped as if they were lost on the way: they are asked for again.
        """
        if replica.newest_work <= self._durable:
            return False
        promises = self._works[replica.newest_work].promises
        if self.halted:
            messages = [message for message in messages if message.to == replica.replica_id]
            if not messages or (replica, messages) in promises[-MOST_ALIKE:]:
                return True
        promises.append((replica, messages))
        return True

    def concerns(self, replica: Replica) -> bool:
        """Whether anything of the replica is not durable yet, or waits until it is."""
        return replica.newest_work > self._durable

    def next_batch(self) -> Batch | None:
        """Stage the oldest work, if the log takes it now."""
        if not self.can_stage:
            return None
        if self._resuming:
            self._resuming = False
            batch: Batch = self._log.begin_run()
            self._in_flight.append((batch, None))
            return batch
        work = self._waiting[0]
        batch = self._log.stage(work.writes, [columns for columns, _ in work.first_steps])
        self._in_flight.append((batch, self._waiting.popleft()))
        return batch

    def durable(self, batch: Batch) -> Work | None:
        """The batch is on disk (batches get there in order): what was in it, None if it began a run."""
        oldest, work = self._in_flight.popleft()
        assert oldest is batch, f"batch {batch.seq} is durable before batch {oldest.seq}"
        self._log.finish(batch)
        if work is None:
            self.halted = False
        else:
            self._durable = work.number
            del self._works[work.number]
        return work

    def refused(self, batches: Sequence[Batch]) -> None:
        """The disk refused these; all that is in flight behind them will be refused as well."""
        self.halted = True
        self._refused += batches
        if len(self._refused) < len(self._in_flight):
            return
        self._log.roll_back(self._refused)
        self._refused = []
        works = [work for _, work in self._in_flight if work is not None]
        self._in_flight.clear()
        self._waiting.extendleft(reversed(works))

    def resume(self) -> None:
        """The disk may take batches again: begin a new run, and then go on with what waits."""
        assert self.halted, "the log takes batches"
        assert not self._in_flight, "batches are in flight"
        self._resuming = True
