"""The log store: all replicas' logs in one environment, one transaction a batch.

Three facts hold it together. The index changes when a batch is staged, so reads and collection see what
has been handed over, durable or not. A batch is committed whole, in stage order, and nothing staged behind
a failed one can commit. A sequence number is used once, and every opening (and every return from a failed
commit) begins a new run with a durable batch of its own: `reopen` or `adopt`, then `begin_run`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from ...native.logindex import LogIndex, Stored
from ...native.nursery import WriteColumns
from ..errors import Closed, Corruption, StorageFailed
from .blob import BlobWriter, name_groups
from .cache import EntryCache
from .checkpoint import Mark
from .checkpointer import Checkpointer
from .chunks import BODY_MAX, HEADER_SIZE, VALUE_MAX, Buffer, chunk_count, cut, link, split_key, stored_size
from .collection import Collected, CollectionPolicy, Collector
from .environment import LiveEnvironment, LmdbEnvironment
from .grouplog import Births, StoredLog, Tombstones, birth_of
from .handover import hand_over
from .holders import named_holders
from .port import Birth, Doubt, GroupWrite, Loss
from .reader import Reader
from .recovery import check_end, recover
from .salvage import salvage
from .valuesize import ValueSizes, untimed

CACHE_BYTES: Final = 32 << 20


class Usage(NamedTuple):
    """What the log takes."""

    batches: int
    stored_bytes: int
    live_bytes: int
    """What of it is needed, about."""


class StagedBatch:
    """A batch that was handed over. Its bytes stay until `LogStore.finish`."""

    __slots__ = (
        "begins_run",
        "blob",
        "chain",
        "collected",
        "groups",
        "names",
        "names_before",
        "previous",
        "seq",
        "small",
    )

    def __init__(
        self,
        seq: int,
        blob: bytearray,
        previous: int,
        groups: Sequence[int],
        collected: Collected,
        *,
        small: bool,
    ) -> None:
        self.names: Sequence[int] | None = None
        """The groups that it says something of; None: they are too many to be named by the next one."""
        self.names_before: Sequence[int] | None = None
        """Those of the batch before."""
        self.seq = seq
        self.groups = groups
        self.blob = blob
        self.previous = previous
        self.collected = collected
        """What the same transaction moves and deletes."""
        self.small = small
        """Whether its values are of one page each."""
        self.chain = 0
        """What `chunks.link` makes of all batches up to this one; set by its commit."""
        self.begins_run = False
        """Whether it says nothing and parts what follows from what failed before; flushed twice."""

    @property
    def size(self) -> int:
        """Bytes of the encoded batch."""
        return len(self.blob)

    @property
    def retired(self) -> Sequence[Stored]:
        """Batches that the same transaction deletes, oldest first."""
        return self.collected.retired


class LogStore:
    """The logs of all replicas of a node; implements `port.LogStore`."""

    def __init__(
        self,
        environment: LiveEnvironment,
        *,
        cache_bytes: int = CACHE_BYTES,
        collection: CollectionPolicy | None = None,
        checkpoint: Path | None = None,
        sizes: ValueSizes | None = None,
    ) -> None:
        """Recover what the environment holds and begin a new run. `checkpoint`: file that makes it quick.

        `sizes` decides how long values may be; without it they are long.

        Raises `Corruption`, naming group and index if known, `VersionMismatch`, `DiskFull`, `StorageFailed`.
        """
        self._environment = environment
        salvage(environment)
        recovered = recover(environment, checkpoint)
        self._chain = recovered.chain
        self.has_gaps = recovered.gaps > 0
        """See `port.LogStore.has_gaps`, here and below."""
        self.doubts: Sequence[Doubt] = recovered.doubts
        self._losses = recovered.losses
        self._head = recovered.head if self.has_gaps else None
        self._index: LogIndex = recovered.index
        self._run = recovered.last_run
        self._next_seq = recovered.last_seq + 1
        self._last_staged = recovered.last_seq
        self._names: Sequence[int] | None = recovered.names
        self._last_committed = recovered.last_seq
        self._finished = Mark(recovered.last_seq, recovered.chain)
        self._in_flight: OrderedDict[int, StagedBatch] = OrderedDict()
        self._cache = EntryCache(cache_bytes)
        self._sizes = sizes or untimed()
        self._reader = Reader(environment, self._in_flight, self._cache)
        self._collector = Collector(environment, self._index, collection or CollectionPolicy())
        self._checkpointer = None if checkpoint is None else Checkpointer(checkpoint, self._index)
        self._stopped: str | None = "no run has begun"
        batch = self.begin_run()
        self.commit(batch)
        self.finish(batch)

    @classmethod
    def open(
        cls,
        path: str | Path,
        durability: str = "sync",
        *,
        cache_bytes: int = CACHE_BYTES,
        collection: CollectionPolicy | None = None,
        checkpoint: Path | None = None,
        sizes: ValueSizes | None = None,
    ) -> Self:
        """Open or create the store in a directory of its own; `checkpoint` is a file outside of it.

        `durability`: "sync", or "none" for tests and caches: an operating-system crash may lose everything.
        `sizes`: by the time that commits take the processor, unless given. Also raises `AlreadyOpen` and
        `PermissionDenied`.
        """
        environment = LmdbEnvironment(Path(path), durability)
        try:
            return cls(
                environment,
                cache_bytes=cache_bytes,
                collection=collection,
                checkpoint=checkpoint,
                sizes=sizes or ValueSizes(time.thread_time),
            )
        except BaseException:
            environment.close()
            raise

    # -- reading ---------------------------------------------------------------------------------

    def births(self) -> Mapping[int, Birth]:
        """See `port.LogStore.births`."""
        return Births(self._index)

    def tombstones(self) -> Mapping[int, int]:
        """See `port.LogStore.tombstones`."""
        return Tombstones(self._index)

    def group(self, group: int) -> StoredLog:
        """See `port.LogStore.group`."""
        log = self._index.log(group)
        if log is None:
            raise KeyError(group)
        return StoredLog(log, birth_of(group, log), self._reader)

    @property
    def usage(self) -> Usage:
        """How much is stored, and how much of it is needed."""
        totals = self._index.totals()
        return Usage(totals.batches, totals.stored_bytes, totals.live_bytes)

    @property
    def index_bytes(self) -> int:
        """Memory that the index takes, about."""
        return self._index.memory()

    @property
    def damage(self) -> Corruption | None:
        """Damage of the environment itself that has stopped collection."""
        return self._collector.damage

    @property
    def crowded(self) -> bool:
        """See `port.LogStore.crowded`."""
        return self._collector.wanted

    def take_losses(self) -> list[Loss]:
        """See `port.LogStore.take_losses`."""
        losses, self._losses = self._losses, []
        return losses + self._collector.take_losses()

    def doubts_noted(self) -> None:
        """See `port.LogStore.doubts_noted`."""
        self._head = None

    def holders(self, batches: int = 12) -> Mapping[int, int]:
        """See `port.LogStore.holders`."""
        return named_holders(self._environment, self._index, batches)

    # -- writing ---------------------------------------------------------------------------------

    def stage(self, writes: Sequence[GroupWrite], columns: Sequence[WriteColumns] = ()) -> StagedBatch:
        """See `port.LogStore.stage`."""
        if self._stopped is not None:
            raise Closed(f"the log store takes no batch: {self._stopped}")
        return self._stage(writes, columns, collects=True)

    def _stage(
        self, writes: Sequence[GroupWrite], columns: Sequence[WriteColumns], *, collects: bool
    ) -> StagedBatch:
        seq = self._next_seq
        self._index.begin(seq)
        try:
            batch = self._encode(seq, writes, columns, collects=collects)
        except BaseException:
            self._index.undo(seq)
            self._collector.rolled_back()
            raise
        self._next_seq += 1
        self._last_staged = seq
        self._in_flight[seq] = batch
        return batch

    def _encode(
        self, seq: int, writes: Sequence[GroupWrite], columns: Sequence[WriteColumns], *, collects: bool
    ) -> StagedBatch:
        writer = BlobWriter()
        handed = hand_over(self._index, seq, writer, writes, columns)
        collected = self._collector.collect(writer, self._finished.seq) if collects else Collected()
        metas = [*handed.metas, *collected.metas]
        if metas:
            writer.add_metas(metas)
        oldest = self._index.oldest()
        assert oldest is not None, "the batch being staged is there"
        head = oldest.seq if self._head is None else min(oldest.seq, self._head)
        if self._names is not None:
            writer.add_names(self._names)
        blob = writer.finish(previous=self._last_staged, head=head)
        small = self._sizes.small
        value_max = self._value_max(small=small)
        chunks = chunk_count(len(blob), value_max)
        self._index.measure(seq, chunks, stored_size(len(blob), self._environment.footprint, value_max))
        if handed.entries is not None:
            self._cache.add(seq, handed.entries)
        batch = StagedBatch(seq, blob, self._last_staged, handed.groups, collected, small=small)
        batch.names_before = self._names
        batch.names = self._names = name_groups(handed.groups, collected.groups)
        return batch

    def commit(self, batch: StagedBatch, before_flush: Callable[[], None] | None = None) -> None:
        """See `port.LogStore.commit`."""
        if before_flush is not None and batch.size > BODY_MAX:
            before_flush()  # each of its values has to wait for the interpreter: news would be late
            before_flush = None
        if batch.previous != self._last_committed:
            raise StorageFailed(f"log batch {batch.seq} follows {batch.previous}, which is not committed")
        for wreck in batch.collected.wrecks:
            self._environment.set_aside(wreck.stored.seq, list(wreck.values.values()))
        pairs = self.encoded(batch)
        if batch.begins_run:
            self._environment.write(self._strays(), pairs)
            self._environment.sync()
        else:
            self._write(batch, pairs, before_flush)
        self._chain = link(self._chain, [value for _, value in pairs])
        batch.chain = self._chain
        self._last_committed = batch.seq

    def _write(
        self,
        batch: StagedBatch,
        pairs: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None,
    ) -> None:
        dropped, page = batch.collected.keys(), self._environment.value_small
        if batch.size + HEADER_SIZE <= page:
            self._environment.write(dropped, pairs, before_flush)
            return
        began = self._sizes.now()
        self._environment.write(dropped, pairs, before_flush)
        worked = self._sizes.now() - began
        self._sizes.written(batch.size // page + len(dropped), worked, small=batch.small)

    def encoded(self, batch: StagedBatch) -> list[tuple[bytes, memoryview]]:
        """Keys and values of the batch that is committed next."""
        environment = self._environment
        value_max = self._value_max(small=batch.small)
        return cut(batch.blob, batch.seq, self._run, self._chain, environment.value_min, value_max)

    def _value_max(self, *, small: bool) -> int:
        return self._environment.value_small if small else VALUE_MAX

    def finish(self, batch: StagedBatch) -> None:
        """See `port.LogStore.finish`."""
        oldest, _ = self._in_flight.popitem(last=False)
        assert oldest == batch.seq, f"batch {batch.seq} is finished before batch {oldest}"
        self._index.finish(batch.seq)
        self._collector.committed(batch.collected)
        self._finished = Mark(batch.seq, batch.chain)
        if self._checkpointer is not None:
            self._checkpointer.step(self._finished, self._last_staged)

    def roll_back(self, batches: Sequence[StagedBatch]) -> None:
        """See `port.LogStore.roll_back`."""
        self._stopped = "a commit failed"
        if self._checkpointer is not None:
            self._checkpointer.give_up()
        for batch in reversed(batches):
            newest, _ = self._in_flight.popitem()
            assert newest == batch.seq, f"batch {batch.seq} is rolled back before batch {newest}"
            self._index.undo(batch.seq)
            self._cache.drop(batch.seq)
            self._last_staged, self._names = batch.previous, batch.names_before
        self._collector.rolled_back()

    def begin_run(self) -> StagedBatch:
        """See `port.LogStore.begin_run`. It collects nothing: what it drops would be gone if it failed."""
        assert not self._in_flight, "batches are in flight"
        self._run += 1
        self._stopped = None
        batch = self._stage([], (), collects=False)
        batch.begins_run = True
        return batch

    def _strays(self) -> list[bytes]:
        """The beginning of a run that was written and could not be flushed: it does not count."""
        key = self._environment.last_key()
        return [] if key is None or split_key(key)[0] <= self._last_committed else [key]

    def reopen(self) -> None:
        """See `port.LogStore.reopen`."""
        self._environment.reopen()
        check_end(self._environment, Mark(self._last_committed, self._chain))

    def copy(self) -> None:
        """See `port.LogStore.copy`."""
        self._environment.copy()

    def adopt(self) -> None:
        """See `port.LogStore.adopt`."""
        self._environment.adopt()
        check_end(self._environment, Mark(self._last_committed, self._chain))

    def age(self) -> None:
        """See `port.LogStore.age`."""
        self._cache.age()

    def settle(self) -> None:
        """Flush what makes the newest batch visible; for a pause between commits. Writer thread.

        A crash later than this needs no salvage. Raises as `commit` does.
        """
        self._environment.sync()

    def close(self) -> None:
        """See `port.LogStore.close`. Nothing is waited for after an error."""
        sound, self._stopped = self._stopped is None, "it is closed"
        try:
            if sound:
                self._environment.sync()
            if self._checkpointer is not None:
                self._checkpointer.close(self._finished if sound and not self._in_flight else None)
        finally:
            self._environment.close()
