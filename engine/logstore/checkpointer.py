"""Renews the checkpoint of a log's index while the log is written, a slice with each batch.

The loop's thread copies a slice out of the index; a thread of its own writes and flushes the file, and ends
with it. The loop never waits for it: while slices wait to be written, no further one is made.
"""

import logging
import os
import queue
import threading
from pathlib import Path
from typing import Final

from ...native.logdump import LogDump
from ...native.logindex import LogIndex
from .checkpoint import Mark, Marks, encode_block, encode_end, encode_header
from .files import put_in_place

logger = logging.getLogger(__name__)

RENEW_ENTRIES: Final = 1_000_000
"""A checkpoint is renewed when so many entries were appended behind it."""

_WAITING: Final = 4  # slices that may wait to be written
_FLUSHED: Final = 8 << 20  # bytes after which the file is flushed, so that the last flush is short


class _File:
    """One file being written, by a thread, from blocks; None as the last block: give it up."""

    def __init__(self, path: Path) -> None:
        self.blocks: queue.Queue[bytes | None] = queue.Queue(_WAITING + 2)
        self._path = path
        self._thread = threading.Thread(target=self._work, name="multiraft-log-index", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether blocks are taken at once, also the two that end a file."""
        return self.blocks.qsize() < _WAITING

    def join(self) -> None:
        """Wait until the file is there, or given up; its last block has been put."""
        self._thread.join()

    def _work(self) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            whole = self._write(temporary)
            if whole:
                put_in_place(temporary, self._path)
            else:
                temporary.unlink()
        except OSError as error:
            logger.warning("the checkpoint of the log's index was not written: %s", error)
            self._drain()

    def _write(self, temporary: Path) -> bool:
        """Write blocks up to the empty one that ends the file; False if it was given up."""
        unflushed = 0
        with open(temporary, "wb", buffering=0, opener=_private) as file:
            while block := self.blocks.get():
                file.write(block)
                unflushed += len(block)
                if unflushed >= _FLUSHED:
                    os.fdatasync(file.fileno())
                    unflushed = 0
            os.fsync(file.fileno())
        return block is not None

    def _drain(self) -> None:
        """Nobody must wait for a place in the queue."""
        while self.blocks.get():
            pass


class Checkpointer:
    """Keeps the checkpoint at `path` fresh. Everything is called on the loop's thread."""

    def __init__(self, path: Path, index: LogIndex) -> None:
        self._path = path
        self._index = index
        self._renewed_at = 0
        """How many entries the index had taken when the newest dump began."""
        self._file: _File | None = None
        self._ending: _File | None = None
        self._dump: LogDump | None = None
        self._first = self._last = Mark(0, 0)
        self._count = 0

    def step(self, finished: Mark, staged: int) -> None:
        """A batch is durable; `staged` is the newest one that was handed over."""
        if self._file is None:
            if self._index.totals().entries - self._renewed_at < RENEW_ENTRIES:
                return
            self._file = self._begin(finished)
        if self._dump is not None and self._file.ready:
            self._copy(self._file, self._dump, staged)
        if self._dump is None:
            if finished.seq == self._last.seq:
                self._last = finished
            if self._last.seq < finished.seq or (self._last == finished and self._file.ready):
                self._end(self._file)

    def give_up(self) -> None:
        """Batches that a dump may have seen were rolled back."""
        if self._file is not None:
            self._file.blocks.put(None)
            self._forget(self._file)

    def close(self, finished: Mark | None) -> None:
        """Write a checkpoint now, if nothing is in flight behind batch `finished`; None: write none."""
        self.give_up()
        if finished is None:
            self.wait()
            return
        file = self._begin(finished)
        while self._dump is not None:
            self._copy(file, self._dump, finished.seq)
        self._last = finished
        self._end(file)
        self.wait()

    def wait(self) -> None:
        """Until no thread is at work; nothing is under way but the end of a file."""
        if self._ending is not None:
            self._ending.join()

    def _begin(self, finished: Mark) -> _File:
        self.wait()
        file = _File(self._path)
        file.blocks.put(encode_header())
        self._dump = LogDump(self._index, finished.seq)
        self._first, self._count = finished, 0
        self._renewed_at = self._index.totals().entries
        return file

    def _copy(self, file: _File, dump: LogDump, staged: int) -> None:
        part = dump.slice(staged)
        if part is None:
            self._dump = None
            self._last = Mark(staged, 0)
        else:
            file.blocks.put(encode_block(*part))
            self._count += 1

    def _end(self, file: _File) -> None:
        file.blocks.put(encode_end(Marks(self._first, self._last), self._count))
        file.blocks.put(b"")
        self._forget(file)

    def _forget(self, file: _File) -> None:
        self._file = self._dump = None
        self._ending = file


def _private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read, as the stores' own are."""
    return os.open(path, flags, 0o600)
