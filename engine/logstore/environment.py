"""Where batches are kept: the port to an ordered store of values, and the real one on LMDB."""

import errno
import logging
import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import lmdb

from ...native.pages import find_in_pages
from .. import renewal
from ..creation import DATA, create_environment
from ..errors import AlreadyOpen, Corruption, DiskFull, PermissionDenied, StorageFailed, VersionMismatch
from ..mapped import Appended
from ..mending import mend
from .chunks import VALUE_MAX, Buffer
from .files import replace_file
from .metapages import prepare
from .remnants import remnants_of
from .runway import SMALL, Runway

logger = logging.getLogger(__name__)

Get = Callable[[bytes], Buffer | None]

MAP_SIZE: Final = 1 << 40
NO_ROOM: Final = (os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))
"""How errors of the operating system end that have a text but no class in LMDB."""
ASIDE: Final = "salvaged"
"""A batch that was not in the tree, while it is written again."""

DAMAGED: Final = "damaged-"
"""Batches that collection could not read, each in a file with its sequence number."""
PAGES_BYTES: Final = 256 << 10
"""What a transaction may write beside its values: pages of the tree, and the list of free ones."""

PAGE_HEADER: Final = 16
"""Where a value begins that has pages of its own."""

_LEAF_PLACE: Final = 2 + 8 + 8 + 8  # of a leaf page, for a value elsewhere: offset, node, key, page number


class Environment(Protocol):
    """Keys and values in order, written in transactions, by one thread at a time."""

    def write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None = None,
    ) -> None:
        """Delete and add in one transaction, durable on return: in the tree, or among what `remains`.

        Added keys are above all that exist. Of what is deleted nothing is needed: a key that is lost already
        is passed over. `before_flush` is called when nothing but to flush it is left.

        Raises `DiskFull`, `StorageFailed`, and `Corruption` if a key to add does not fit.
        """

    def write_again(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """As `write`, for what `remains` has given: a crash at any moment leaves it to be found."""

    def set_aside(self, seq: int, values: Sequence[bytes]) -> None:
        """Keep the values of a batch that is damaged, durably, for whoever looks for what is lost.

        Raises `DiskFull`, `StorageFailed`.
        """

    def sync(self) -> None:
        """Flush what makes the newest transaction visible; without it a crash may hide that one.

        Raises `DiskFull`, `StorageFailed`.
        """

    def remains(self, wanted: bytes) -> Iterator[Buffer]:
        """Values that no key leads to, and others, that begin with `wanted`; each may be cut short or torn.

        Each is valid until the next is asked for. To be asked before the first `write`.
        """
        ...

    @property
    def value_min(self) -> int:
        """The least size of a value that `remains` can find."""
        ...

    @property
    def value_small(self) -> int:
        """The size of a value that fills one page."""
        ...

    def footprint(self, size: int) -> int:
        """Bytes of the file that a value of `size` bytes takes with its key."""
        ...

    def reading(self) -> AbstractContextManager[Get]:
        """A read view for the span of a `with` block: key → value or None.

        Values are valid inside the block only. The view may not be kept open: it holds back deleted pages.
        """
        ...

    def last_key(self) -> bytes | None:
        """The greatest key."""
        ...

    @property
    def count(self) -> int:
        """How many keys there are."""
        ...

    def scan(self, start: bytes = b"") -> Iterator[tuple[Buffer, Buffer]]:
        """All keys and values in order, from `start` on; each is valid until the next is asked for."""
        ...

    def close(self) -> None:
        """Give the files back."""


class LiveEnvironment(Environment, Protocol):
    """One that a node writes to: it goes on after an error of the disk."""

    def reopen(self) -> None:
        """Open the files anew, as after a failed `write`. Nobody writes or reads meanwhile.

        Raises `DiskFull`, `StorageFailed`, `Corruption`.
        """

    def copy(self) -> None:
        """Write all keys and values to new files, flush and compare them. Nobody writes meanwhile.

        Raises `DiskFull`, `StorageFailed`, `Corruption`; then there are no new files.
        """

    def adopt(self) -> None:
        """Put what `copy` has written in the place of the files, and go on with it, as in `reopen`."""


class LmdbEnvironment:
    """An LMDB environment that holds nothing but the log, in its unnamed database."""

    def __init__(self, path: Path, durability: str) -> None:
        """Open or create it. `durability`: "sync" (one flush a transaction) or "none".

        The map is far larger than any log and never resized, which no reader would survive.
        """
        if durability not in ("sync", "none"):
            raise ValueError(f"durability is 'sync' or 'none', not {durability!r}")
        self._path = path
        self._synced = durability == "sync"
        self._writing = threading.Lock()
        """Held by whoever writes, and by whoever closes the environment to open it anew."""
        self._mapped = Appended(path / DATA)
        with _opening(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (path / DATA).exists():
                create_environment(path)
            if prepare(path / DATA):
                mend(path / DATA, remnants_of)
            self._env, self._runway = self._open()
            self._page_size: int = self._env.stat()["psize"]

    def _open(self) -> tuple[lmdb.Environment, Runway | None]:
        prepare(self._path / DATA)
        environment = lmdb.open(
            os.fspath(self._path),
            map_size=MAP_SIZE,
            max_dbs=0,
            mode=0o600,
            sync=self._synced,
            metasync=False,
            writemap=False,
        )
        environment.reader_check()
        return environment, Runway(self._path / DATA) if self._synced else None

    def write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None = None,
    ) -> None:
        """See `Environment.write`."""
        try:
            self._write(dropped, added, before_flush)
        except StorageFailed as error:
            # LMDB calls a write that was cut short by a full disk an input/output error.
            if _free_bytes(self._path) < PAGES_BYTES + sum(len(value) for _, value in added):
                raise DiskFull(f"no space for the log in {self._path}") from error
            raise

    def _write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None,
    ) -> None:
        with typed_errors(), self._writing:
            self._prepare_space(added)
            with self._env.begin(write=True) as transaction:
                self._put(transaction, dropped, added)
                if before_flush is not None:
                    before_flush()
            self._mapped.wrote(sum(len(value) for _, value in added))

    def _put(
        self,
        transaction: lmdb.Transaction,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
    ) -> None:
        for key in dropped:
            if not transaction.delete(key):
                logger.error("%s: key %s, to be deleted, had been lost already", self._path, key.hex())
        for key, value in added:
            # A key that does not ascend is not stored, and only the result says so.
            if not transaction.put(key, value, append=True):
                raise Corruption(f"the log holds a key beyond {key.hex()}, which is not its own")

    def _prepare_space(self, added: Sequence[tuple[bytes, Buffer]]) -> None:
        if self._runway is None or len(added) > 1 or not added or len(added[0][1]) > SMALL:
            return
        used = (self._env.info()["last_pgno"] + 1) * self._page_size
        self._runway.prepare(used, len(added[0][1]))

    def write_again(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """See `Environment.write_again`. A file keeps the values while their pages may be overwritten."""
        aside = self._path / ASIDE
        with typed_errors():
            replace_file(aside, _as_pages([value for _, value in added], self._page_size))
        self.write(dropped, added)
        self.sync()
        aside.unlink()

    def set_aside(self, seq: int, values: Sequence[bytes]) -> None:
        """See `Environment.set_aside`. In a file of its own, as they stood in pages."""
        with typed_errors():
            replace_file(self._path / f"{DAMAGED}{seq}", _as_pages(values, self._page_size))

    def sync(self) -> None:
        """See `Environment.sync`."""
        with typed_errors(), self._writing:
            if self._synced:
                self._env.sync(True)
            self._mapped.pause()

    def reopen(self) -> None:
        """See `LiveEnvironment.reopen`."""
        with _opening(self._path), self._writing:
            self.close()
            self._env, self._runway = self._open()

    def copy(self) -> None:
        """See `LiveEnvironment.copy`."""
        with typed_errors():
            renewal.copy(self._env, self._path / DATA)

    def adopt(self) -> None:
        """See `LiveEnvironment.adopt`."""
        with _opening(self._path), self._writing:
            self.close()
            renewal.adopt(self._path / DATA)
            self._env, self._runway = self._open()

    def remains(self, wanted: bytes) -> Iterator[Buffer]:
        """See `Environment.remains`."""
        for name in (DATA, ASIDE):
            if (self._path / name).exists():
                yield from _values_in(self._path / name, self._page_size, wanted)

    @property
    def value_min(self) -> int:
        """See `Environment.value_min`. Values of half a page have pages of their own."""
        return self._page_size // 2

    @property
    def value_small(self) -> int:
        """See `Environment.value_small`."""
        return min(self._page_size - PAGE_HEADER, VALUE_MAX)

    def footprint(self, size: int) -> int:
        """See `Environment.footprint`. Whole pages, and a place in a leaf."""
        pages = -(-(PAGE_HEADER + max(size, self.value_min)) // self._page_size)
        return pages * self._page_size + _LEAF_PLACE

    def last_key(self) -> bytes | None:
        """See `Environment.last_key`."""
        with typed_errors(), self._env.begin() as transaction, transaction.cursor() as cursor:
            return bytes(cursor.key()) if cursor.last() else None

    @contextmanager
    def reading(self) -> Iterator[Get]:
        """See `Environment.reading`."""
        with typed_errors(), self._begin_read() as transaction:
            yield transaction.get

    def _begin_read(self) -> lmdb.Transaction:
        try:
            return self._env.begin(buffers=True)
        except lmdb.PanicError:
            # A meta page was refused: LMDB does nothing more with this opening, not even read.
            self.reopen()
            return self._env.begin(buffers=True)

    @property
    def count(self) -> int:
        """See `Environment.count`."""
        entries: int = self._env.stat()["entries"]
        return entries

    def scan(self, start: bytes = b"") -> Iterator[tuple[Buffer, Buffer]]:
        """See `Environment.scan`."""
        with typed_errors(), self._env.begin(buffers=True) as transaction, transaction.cursor() as cursor:
            if cursor.set_range(start):
                yield from cursor

    def close(self) -> None:
        """See `Environment.close`."""
        if self._runway is not None:
            self._runway.close()
            self._runway = None
        self._env.close()


def _values_in(path: Path, page_size: int, wanted: bytes) -> Iterator[Buffer]:
    """What begins with `wanted` where a value with pages of its own may begin."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < page_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            with memoryview(data) as pages:
                places = list(find_in_pages(pages, page_size, PAGE_HEADER, wanted))
            for page in places:
                yield data[page + PAGE_HEADER : page + PAGE_HEADER + VALUE_MAX]


def _as_pages(values: Sequence[bytes], page_size: int) -> bytes:
    """Values as they stand in the pages of an environment."""
    pages = [bytes(PAGE_HEADER) + value for value in values]
    return b"".join([page + bytes(-len(page) % page_size) for page in pages])


def _free_bytes(path: Path) -> int:
    """What this user may still write to the file system."""
    file_system = os.statvfs(path)
    return file_system.f_bavail * file_system.f_frsize


@contextmanager
def typed_errors() -> Iterator[None]:
    """LMDB's errors as ours."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.DiskError) as error:
        raise DiskFull(f"no space for the log: {error}") from error
    except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError) as error:
        raise Corruption(f"the log's environment is damaged: {error}") from error
    except lmdb.Error as error:
        if str(error).endswith(NO_ROOM):
            raise DiskFull(f"no space for the log: {error}") from error
        raise StorageFailed(f"the log's environment failed: {error}") from error
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageFailed
        raise kind(f"the log's environment failed: {error}") from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """What can go wrong at the beginning, named."""
    try:
        with typed_errors():
            yield
    except PermissionError as error:
        raise PermissionDenied(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror}") from error
    except StorageFailed as error:
        cause = error.__cause__
        if isinstance(cause, lmdb.VersionMismatchError):
            raise VersionMismatch(f"{path} was written by another version of LMDB") from cause
        if "already open" in str(cause):
            raise AlreadyOpen(f"{path} is open in this process already") from cause
        if isinstance(cause, lmdb.ReadonlyError) or "Permission denied" in str(cause):
            raise PermissionDenied(f"{path} cannot be read and written by this user") from cause
        raise
