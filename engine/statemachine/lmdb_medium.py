"""The ordered file on LMDB: one environment that holds one unnamed database."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal, TypeAlias, cast

import lmdb

from .. import renewal
from ..creation import DATA, create_environment
from ..errors import (
    AlreadyOpen,
    Closed,
    Corruption,
    DiskFull,
    Error,
    PermissionDenied,
    StorageFailed,
    VersionMismatch,
)
from ..logstore.metapages import prepare
from ..mapped import bound_memory
from ..mending import mend
from .medium import Writer
from .paging import PAGE_BYTES, Page, Pair
from .readers import ReaderWatch
from .remnants import remnants_of

Durability: TypeAlias = Literal["sync", "none"]

#: Address space, not disk space: resizing a map under an open reader kills the process, so it never happens.
MAP_BYTES = 1 << 40

#: Errors of the operating system that have a text but no class in LMDB.
NO_ROOM = (os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))
INPUT_OUTPUT = os.strerror(errno.EIO)

#: With less than this free, an input/output error is taken for a full disk.
SCARCE_BYTES = 16 << 20

Bytes: TypeAlias = bytes | memoryview


class LmdbMedium:
    """The environment in the directory ``path``. Reads copy; only that of a moment outlives its call."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path = path
        self._sync = durability == "sync"
        self._committing = threading.Lock()
        self._closed = False
        self._environment = self._open(first=True)
        self._readers = ReaderWatch()
        self._moments: set[LmdbMoment] = set()

    def get(self, key: bytes) -> bytes | None:
        """The value as a copy, or None."""
        try:
            with self._begin_read() as transaction:
                return cast("bytes | None", transaction.get(key))
        except lmdb.Error as error:
            raise self._translated(error) from error

    def page(self, start: bytes, stop: bytes, limit: int, *, reverse: bool) -> Page:
        """At most ``limit`` pairs and about ``PAGE_BYTES`` bytes of ``[start, stop)``."""
        with self._errors(), self._begin_read() as transaction:
            return _page(transaction, start, stop, limit, reverse=reverse)

    def around(self, start: bytes, stop: bytes) -> list[Pair]:
        """The pairs next to ``[start, stop)``, as copies."""
        try:
            with self._begin_read() as transaction:
                cursor = transaction.cursor()
                placed = cursor.set_range(stop)
                pairs = [cursor.item()] if placed else []
                if start != stop:
                    placed = cursor.set_range(start)
                if cursor.prev() if placed else cursor.last():
                    pairs.append(cursor.item())
                return cast("list[Pair]", pairs)
        except lmdb.Error as error:
            raise self._translated(error) from error

    def moment(self) -> "LmdbMoment":
        """A read transaction that lives until it is closed."""
        with self._errors():
            moment = LmdbMoment(self._begin_read(), self._errors, self._bound_memory, self._moments.discard)
        self._moments.add(moment)
        return moment

    def commit(self, work: Callable[[Writer], None]) -> None:
        """Run ``work`` in one transaction and make it durable."""
        with self._committing, self._errors(), self._environment.begin(write=True) as transaction:
            work(LmdbWriter(transaction, self._bound_memory))
        with self._committing, self._errors():
            if not self._closed:
                self._readers.look(self._environment, lambda: (self._path / DATA).stat().st_size)
                self._bound_memory()

    def _bound_memory(self) -> None:
        """Only while nobody can close the environment."""
        bound_memory(self._path / DATA)

    def reopen(self) -> None:
        """Close the environment and open it anew: LMDB refuses to go on after a failed meta page."""
        with self._committing:
            if self._closed:
                raise Closed(f"state store {self._path} is closed")
            self._end_moments()
            self._environment.close()
            self._environment = self._open()

    def copy(self) -> None:
        """Write everything to a new file, flush and compare it."""
        with self._errors():
            renewal.copy(self._environment, self._path / DATA)

    def adopt(self) -> None:
        """Put what ``copy`` has written in the place of the file, and go on with it."""
        with self._committing, self._errors():
            if self._closed:
                raise Closed(f"state store {self._path} is closed")
            self._end_moments()
            self._environment.close()
            renewal.adopt(self._path / DATA)
            self._environment = self._open()

    def _begin_read(self) -> lmdb.Transaction:
        try:
            return self._environment.begin()
        except lmdb.PanicError:
            # A meta page was refused: LMDB does nothing more with this opening, not even read.
            self.reopen()
            return self._environment.begin()

    def close(self) -> None:
        """Release the environment; waits for a commit in progress."""
        with self._committing:
            self._closed = True
            self._end_moments()
            self._environment.close()

    def _end_moments(self) -> None:
        """A transaction must not be in use, in another thread, when its environment goes."""
        for moment in list(self._moments):
            moment.close()

    def _open(self, *, first: bool = False) -> lmdb.Environment:
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self._path / DATA).exists():
                create_environment(self._path)
            # What this falls back or loses, the log knows, or a peer.
            if prepare(self._path / DATA) and first:
                mend(self._path / DATA, remnants_of)
            environment = lmdb.open(
                str(self._path),
                map_size=MAP_BYTES,
                max_dbs=0,
                mode=0o600,
                sync=self._sync,
                metasync=self._sync,
            )
            environment.reader_check()
        except PermissionError as error:
            raise PermissionDenied(f"state store {self._path}: {error.strerror}") from error
        except OSError as error:
            raise StorageFailed(f"state store {self._path}: {error.strerror}") from error
        except lmdb.Error as error:
            raise self._open_error(error) from error
        return environment

    def _open_error(self, error: lmdb.Error) -> Error:
        what = f"state store {self._path}: {error}"
        if "already open" in str(error):
            return AlreadyOpen(what)
        if isinstance(error, lmdb.ReadonlyError) or "Permission denied" in str(error):
            return PermissionDenied(what)
        if isinstance(error, lmdb.VersionMismatchError):
            return VersionMismatch(what)
        return self._translated(error)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            raise (DiskFull if full else StorageFailed)(f"state store {self._path}: {error}") from error

    def _translated(self, error: lmdb.Error) -> Error:
        what = f"state store {self._path}: {error}"
        if self._closed:
            return Closed(what)
        if isinstance(error, (lmdb.DiskError, lmdb.MapFullError)) or self._has_no_room(str(error)):
            return DiskFull(what)
        if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)):
            return Corruption(what)
        return StorageFailed(what)

    def _has_no_room(self, text: str) -> bool:
        """Whether an error means that the disk, or this user's share of it, is full.

        LMDB reports a write that was cut short as EIO, and that is how most full disks begin.
        """
        if text.endswith(INPUT_OUTPUT):
            space = os.statvfs(self._path)
            return space.f_bavail * space.f_frsize < SCARCE_BYTES
        return text.endswith(NO_ROOM)


class LmdbMoment:
    """One read transaction."""

    def __init__(
        self,
        transaction: lmdb.Transaction,
        errors: Callable[[], AbstractContextManager[None]],
        bound_memory: Callable[[], None],
        on_close: Callable[["LmdbMoment"], None],
    ) -> None:
        self._transaction: lmdb.Transaction | None = transaction
        self._errors = errors
        self._bound_memory = bound_memory
        self._on_close = on_close
        self._in_use = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        """The value as a copy, or None."""
        with self._in_use, self._errors():
            return cast("bytes | None", self._open().get(key))

    def page(self, start: bytes, stop: bytes, limit: int) -> Page:
        """At most ``limit`` pairs and about ``PAGE_BYTES`` bytes of ``[start, stop)``, ascending."""
        with self._in_use, self._errors():
            page = _page(self._open(), start, stop, limit, reverse=False)
            self._bound_memory()
            return page

    def close(self) -> None:
        """End the transaction; waits for a page that is being read."""
        with self._in_use:
            if self._transaction is not None:
                self._transaction.abort()
                self._transaction = None
        self._on_close(self)

    def _open(self) -> lmdb.Transaction:
        if self._transaction is None:
            raise StorageFailed("the state store was reopened while it was read")
        return self._transaction


class LmdbWriter:
    """One write transaction; it belongs to the thread that began it."""

    def __init__(self, transaction: lmdb.Transaction, bound_memory: Callable[[], None]) -> None:
        self._cursor = transaction.cursor()
        self._transaction = transaction
        self._bound_memory = bound_memory

    def get(self, key: bytes) -> bytes | None:
        """The value as of now in this transaction, or None."""
        return cast("bytes | None", self._transaction.get(key))

    def get_many(self, keys: list[bytes]) -> list[Pair]:
        """The pairs of those keys that are there."""
        return cast("list[Pair]", self._cursor.getmulti(keys))

    def put_many(self, pairs: list[Pair]) -> None:
        """Set every pair, then give the loop's thread its turn."""
        self._cursor.putmulti(pairs)
        self._bound_memory()  # the pages of some hundred keys may be megabytes, and there may be many calls
        time.sleep(
            0
        )  # lets go of the interpreter; without it a large flush holds it for whole switch intervals

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        self._transaction.delete(key)

    def delete_range(self, start: bytes, stop: bytes, limit: int) -> int:
        """Remove at most ``limit`` keys of ``[start, stop)``, lowest first."""
        cursor, removed = self._cursor, 0
        found = cursor.set_range(start)
        while found and removed < limit and bytes(cursor.key()) < stop:
            found = cursor.delete()
            removed += 1
        self._bound_memory()
        return removed


def _page(transaction: lmdb.Transaction, start: bytes, stop: bytes, limit: int, *, reverse: bool) -> Page:
    cursor = transaction.cursor()
    walk = _downwards(cursor, start, stop) if reverse else _upwards(cursor, start, stop)
    pairs: list[Pair] = []
    total = 0
    for pair in islice(walk, limit):
        pairs.append(pair)
        total += len(pair[1])
        if total >= PAGE_BYTES:
            break
    more = len(pairs) == limit or total >= PAGE_BYTES
    return Page(pairs, pairs[-1][0] if more else None)


def _upwards(cursor: lmdb.Cursor, start: bytes, stop: bytes) -> Iterator[Pair]:
    if cursor.set_range(start):
        yield from takewhile(lambda pair: pair[0] < stop, _copies(cursor.iternext()))


def _downwards(cursor: lmdb.Cursor, start: bytes, stop: bytes) -> Iterator[Pair]:
    # The cursor comes to rest on the first key at or above stop; the range ends one before it.
    if cursor.prev() if cursor.set_range(stop) else cursor.last():
        yield from takewhile(lambda pair: pair[0] >= start, _copies(cursor.iterprev()))


def _copies(pairs: Iterator[tuple[Bytes, Bytes]]) -> Iterator[Pair]:
    """State for type checkers what holds for transactions without ``buffers``: they give out copies."""
    return cast("Iterator[Pair]", pairs)
