"""Writing a backup: whole and durable under its name, or not there at all."""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from .. import nodefile
from ..datadir import typed_errors
from ..errors import InvalidArgument
from ..statemachine.commands import check_key, check_value
from ..statemachine.paging import Pair
from .backupformat import (
    MAGIC,
    PAIRS_BYTES,
    BlockKind,
    Head,
    Totals,
    encode_block,
    encode_end,
    encode_head,
    encode_pairs,
    encode_range,
    pair_bytes,
)


class BackupWriter:
    """A backup being written under a temporary name; a context manager.

    :meth:`finish` makes it durable and gives it its name. Left without that, nothing stays behind.

    Raises `InvalidArgument` if something has the name already; `DiskFull`, `PermissionDenied` and
    `StorageFailed`, here and from every method.
    """

    def __init__(self, path: str | os.PathLike[str], cluster: str) -> None:
        self._path = Path(path).absolute()
        self._temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.part")
        self._number = 0
        self._totals = Totals()
        self._waiting: list[Pair] = []
        self._waiting_bytes = 0
        with typed_errors(self._path):
            self._refuse_existing()
            self._file: BinaryIO | None = _create(self._temporary)
        try:
            self._write(MAGIC)
            self._block(BlockKind.HEAD, encode_head(Head(cluster, int(time.time()))))
        except BaseException:
            self.discard()
            raise

    def begin_range(self, start: bytes, end: bytes | None) -> None:
        """The pairs that follow are those of the range [start, end). Ranges ascend. Raises KeyTooLarge."""
        check_key(start)
        check_key(end or b"")
        self._flush()
        self._block(BlockKind.RANGE, encode_range(start, end))
        self._totals = self._totals._replace(groups=self._totals.groups + 1)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Pairs of the range, ascending. Raises KeyTooLarge, ValueTooLarge: a node may have sent anything."""
        keys = size = 0
        for key, value in pairs:
            check_key(key)
            check_value(value)
            self._waiting.append((key, value))
            self._waiting_bytes += pair_bytes(key, value)
            keys += 1
            size += len(key) + len(value)
            if self._waiting_bytes >= PAIRS_BYTES:
                self._flush()
        groups, keys_before, bytes_before = self._totals
        self._totals = Totals(groups, keys_before + keys, bytes_before + size)

    @property
    def totals(self) -> Totals:
        """What was added so far."""
        return self._totals

    def finish(self) -> Totals:
        """That was all: write the end, make everything durable, and give it its name."""
        self._flush()
        self._block(BlockKind.END, encode_end(self._totals))
        file = self._file
        assert file is not None
        with typed_errors(self._path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._file = None
            self._refuse_existing()
            self._temporary.rename(self._path)
            nodefile.sync_directory(self._path.parent)
        return self._totals

    def discard(self) -> None:
        """Remove what is not finished. Idempotent."""
        self._temporary.unlink(missing_ok=True)
        if self._file is not None:
            with suppress(OSError):  # what its buffer holds is not wanted any more
                self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _flush(self) -> None:
        if self._waiting:
            self._block(BlockKind.PAIRS, encode_pairs(self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _block(self, kind: BlockKind, body: bytes) -> None:
        self._write(encode_block(kind, self._number, body))
        self._number += 1

    def _write(self, data: bytes) -> None:
        assert self._file is not None, "the backup is finished"
        with typed_errors(self._path):
            self._file.write(data)

    def _refuse_existing(self) -> None:
        if self._path.is_symlink() or self._path.exists():
            raise InvalidArgument(f"{self._path} exists already: a backup does not overwrite anything")


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o600), "wb")
