"""What ``bench logstore`` appends, and the sides that it appends to: the log store, and a plain file."""

import errno
import os
import queue
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from ...engine.logstore.blob import BlobWriter
from ...engine.logstore.chunks import Buffer
from ...engine.logstore.environment import LmdbEnvironment
from ...engine.logstore.handover import Columns
from ...engine.logstore.port import Birth, GroupWrite
from ...engine.logstore.store import LogStore, StagedBatch
from ...engine.logstore.valuesize import ValueSizes
from ...engine.logstore.writer import LogWriter
from ...native.entries import encode_runs
from ...raft.entry import Entry
from ...raft.state import ConfState, HardState

KEPT: Final = 64
"""With truncation: each group keeps the entries of so many batches ..."""
SHARES: Final = 16
"""... and of this many parts of the groups each batch truncates one."""

IN_FLIGHT: Final = 4
"""Batches of the store that are staged and not durable yet."""

APPENDED_MAX: Final = 512 << 20
PREALLOCATED: Final = 64 << 20


class Load:
    """Entries for the same groups in every batch. Batches are counted from 0."""

    def __init__(self, groups: int, payload: int, entries: int, *, truncated: bool = False) -> None:
        self.groups: Final = range(1, groups + 1)
        self.payload: Final = os.urandom(payload)
        self._entries = entries
        self.truncated: Final = truncated

    @property
    def batch_entries(self) -> int:
        """Entries in a batch, all groups together."""
        return len(self.groups) * self._entries

    def last_index(self, batches: int) -> int:
        """Where each log ends after so many batches."""
        return 1 + batches * self._entries

    def births(self) -> list[GroupWrite]:
        """What makes the groups."""
        return births(self.groups)

    def writes(self, batch: int) -> list[GroupWrite]:
        """A batch, not encoded but for the runs of its entries, which the engine makes for its peers too."""
        first = 1 + self.last_index(batch)
        indexes = range(first, first + self._entries)
        entries = [tuple([Entry(1, index, data=self.payload) for index in indexes]) for _ in self.groups]
        state = HardState(1, 1, first - 1)
        writes = [
            GroupWrite(group, 1, state, appended, run)
            for group, appended, run in zip(self.groups, entries, encode_runs(entries), strict=True)
        ]
        if self.truncated and batch > KEPT:
            cut = (self.last_index(batch - KEPT), 1)
            for write in writes[batch % SHARES :: SHARES]:
                write.truncate = cut
        return writes


class Side(Protocol):
    """What takes the batches of a load, one after the other."""

    def append(self) -> None:
        """Make the next batch, encode it and make it durable, or begin to."""

    def wait(self) -> None:
        """Until every batch is durable."""

    def rest(self) -> None:
        """Tidy up while nothing is timed."""


class CountedEnvironment(LmdbEnvironment):
    """Counts what it flushes: as LMDB is told to here, a transaction is one flush."""

    flushes = 0

    def write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None = None,
    ) -> None:
        """See `Environment.write`."""
        self.flushes += 1
        super().write(dropped, added, before_flush)

    def sync(self) -> None:
        """See `Environment.sync`."""
        self.flushes += 1
        super().sync()


class StoreSide:
    """The log store as a node uses it, with its writer's thread; implements `Side`."""

    def __init__(self, path: Path, load: Load) -> None:
        self._path = path
        self._load = load
        self.batches = 0
        self.environment = CountedEnvironment(path / "log", "sync")
        self.store = LogStore(self.environment, checkpoint=path / "index", sizes=ValueSizes(time.thread_time))
        append(self.store, load.births())
        self._heard: queue.SimpleQueue[tuple[StagedBatch, Exception | None]] = queue.SimpleQueue()
        self._writer = LogWriter(self.store, lambda batch, error: self._heard.put((batch, error)))
        self._in_flight = 0

    def append(self) -> None:
        """See `Side.append`. The batch is encoded while those before it are written."""
        self._wait_for(IN_FLIGHT - 1)
        self._writer.submit(self.store.stage(self._load.writes(self.batches)))
        self._in_flight += 1
        self.batches += 1

    def wait(self) -> None:
        """See `Side.wait`."""
        self._wait_for(0)

    def _wait_for(self, in_flight: int) -> None:
        """Until no more than so many batches are in flight."""
        while self._in_flight > in_flight:
            batch, error = self._heard.get()
            if error is not None:
                raise error
            self.store.finish(batch)
            self._in_flight -= 1

    def rest(self) -> None:
        """See `Side.rest`."""

    def is_all_there(self) -> bool:
        """Close the store, open it again, and compare where the logs end and what their last entries are."""
        self._writer.close()
        self.store.close()
        store = LogStore.open(self._path / "log", checkpoint=self._path / "index")
        try:
            last = self._load.last_index(self.batches)
            wanted = [Entry(1, last, data=self._load.payload)]
            for group in self._load.groups:
                log = store.group(group)
                if log.last_index() != last or list(log.entries(last, last + 1, None)) != wanted:
                    return False
            return True
        finally:
            store.close()


class FileSide:
    """A file that gets the bytes of such batches, each with one write and one flush; implements `Side`."""

    def __init__(self, path: Path, load: Load, *, preallocated: bool) -> None:
        self._load = load
        self._batches = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._size = PREALLOCATED if preallocated else APPENDED_MAX
        self._preallocated = preallocated
        self._end = 0
        if preallocated:
            os.write(self._file, bytes(PREALLOCATED))
            os.fsync(self._file)
            os.lseek(self._file, 0, os.SEEK_SET)

    def append(self) -> None:
        """See `Side.append`."""
        batch = encode(self._load.writes(self._batches), self._batches)
        if self._preallocated and self._end + len(batch) > self._size:
            self._end = os.lseek(self._file, 0, os.SEEK_SET)
        if os.write(self._file, batch) < len(batch):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(self._file)
        self._end += len(batch)
        self._batches += 1

    def wait(self) -> None:
        """See `Side.wait`."""

    def rest(self) -> None:
        """See `Side.rest`. A file that is appended to would fill the disk."""
        if not self._preallocated and self._end > self._size:
            os.ftruncate(self._file, 0)
            os.fsync(self._file)
            self._end = os.lseek(self._file, 0, os.SEEK_SET)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def births(groups: range) -> list[GroupWrite]:
    """What makes these groups, each with one replica."""
    conf = ConfState((1,))
    born = [Birth(group, 1, conf, ((1, 1),), b"", None, 1, 1, "kv") for group in groups]
    return [GroupWrite(birth.group, 1, birth=birth) for birth in born]


def append(store: LogStore, writes: list[GroupWrite]) -> None:
    """Make a batch durable."""
    batch = store.stage(writes)
    store.commit(batch)
    store.finish(batch)


def encode(writes: list[GroupWrite], previous: int) -> bytearray:
    """The batch that a store makes of the writes, without a store."""
    blob = BlobWriter()
    columns = Columns.of(writes)
    columns.add_to(blob, columns.truncates)
    return blob.finish(previous, 1)
