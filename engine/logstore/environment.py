"""Where batches are kept: the port to an ordered store of values, and the real one on LMDB."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import lmdb

from ..errors import AlreadyOpen, Corruption, DiskFull, PermissionDenied, StorageFailed, VersionMismatch

Buffer = bytes | memoryview
Get = Callable[[bytes], Buffer | None]

MAP_SIZE: Final = 1 << 40


class Environment(Protocol):
    """Keys and values in order, written in transactions, by one thread at a time."""

    def write(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """Delete and add in one transaction, durable on return. Added keys are above all that exist.

        Raises `DiskFull`, `StorageFailed`, and `Corruption` if a key to delete or to add does not fit.
        """

    def reading(self) -> AbstractContextManager[Get]:
        """A read view for the span of a `with` block: key → value or None.

        Values are valid inside the block only. The view may not be kept open: it holds back deleted pages.
        """
        ...

    def scan(self) -> Iterator[tuple[Buffer, Buffer]]:
        """All keys and values in order; each is valid until the next is asked for."""
        ...

    def close(self) -> None:
        """Give the files back."""


class LmdbEnvironment:
    """An LMDB environment that holds nothing but the log, in its unnamed database."""

    def __init__(self, path: Path, durability: str) -> None:
        """Open or create it. `durability`: "sync" (two flushes a transaction) or "none".

        The map is far larger than any log and never resized, which no reader would survive.
        """
        if durability not in ("sync", "none"):
            raise ValueError(f"durability is 'sync' or 'none', not {durability!r}")
        self._path = path
        synced = durability == "sync"
        with _opening(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._env = lmdb.open(
                os.fspath(path),
                map_size=MAP_SIZE,
                max_dbs=0,
                mode=0o600,
                sync=synced,
                metasync=synced,
                writemap=False,
            )
            self._env.reader_check()

    def write(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """See `Environment.write`."""
        try:
            self._write(dropped, added)
        except StorageFailed as error:
            # LMDB calls a write that was cut short by a full disk an input/output error.
            if _free_bytes(self._path) < sum(len(value) for _, value in added):
                raise DiskFull(f"no space for the log in {self._path}") from error
            raise

    def _write(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        with _typed_errors(), self._env.begin(write=True) as transaction:
            for key in dropped:
                if not transaction.delete(key):
                    raise Corruption(f"the log has lost its key {key.hex()}")
            for key, value in added:
                # A key that does not ascend is not stored, and only the result says so.
                if not transaction.put(key, value, append=True):
                    raise Corruption(f"the log holds a key beyond {key.hex()}, which is not its own")

    @contextmanager
    def reading(self) -> Iterator[Get]:
        """See `Environment.reading`."""
        with _typed_errors(), self._env.begin(buffers=True) as transaction:
            yield transaction.get

    def scan(self) -> Iterator[tuple[Buffer, Buffer]]:
        """See `Environment.scan`."""
        with _typed_errors(), self._env.begin(buffers=True) as transaction, transaction.cursor() as cursor:
            yield from cursor

    def close(self) -> None:
        """See `Environment.close`."""
        self._env.close()


def _free_bytes(path: Path) -> int:
    """What this user may still write to the file system."""
    file_system = os.statvfs(path)
    return file_system.f_bavail * file_system.f_frsize


@contextmanager
def _typed_errors() -> Iterator[None]:
    """LMDB's errors as ours."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.DiskError) as error:
        raise DiskFull(f"no space for the log: {error}") from error
    except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError) as error:
        raise Corruption(f"the log's environment is damaged: {error}") from error
    except lmdb.Error as error:
        raise StorageFailed(f"the log's environment failed: {error}") from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """What can go wrong at the beginning, named."""
    try:
        with _typed_errors():
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
