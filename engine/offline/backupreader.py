"""Reading a backup that may be cut off, damaged, or none at all: nothing in it is believed unchecked."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from ...native.checksum import crc32c
from ..datadir import typed_errors
from ..errors import Corruption, InvalidArgument, VersionMismatch
from ..statemachine.paging import Pair
from .backupformat import (
    FORMAT_VERSION,
    FRAME,
    FRAME_BYTES,
    MAGIC,
    BlockKind,
    Head,
    Totals,
    decode_end,
    decode_head,
    decode_pairs,
    decode_range,
    open_frame,
)


class BackupRange(NamedTuple):
    """A range, and some of its pairs: those of the blocks before came with the same range."""

    start: bytes
    end: bytes | None
    pairs: list[Pair]


class BackupContents(NamedTuple):
    """What a whole backup holds."""

    ranges: list[tuple[bytes, bytes | None]]
    totals: Totals


class BackupReader:
    """An open backup; a context manager.

    Raises:
        InvalidArgument: the file is no backup.
        VersionMismatch: a newer version made it.
        Corruption: it is damaged or cut off, as far as that shows in its head.
        PermissionDenied, StorageFailed: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._number = 0
        with typed_errors(self._path):
            self._file = _open(self._path)
            try:
                self.head = self._read_head()
                self._first = self._file.tell()
            except BaseException:
                self._file.close()
                raise

    def parts(self) -> Iterator[BackupRange]:
        """Everything, from the beginning; each range comes without pairs first. Totals are compared last.

        Raises `Corruption`, `StorageFailed`.
        """
        with typed_errors(self._path), self._blame_bytes():
            self._file.seek(self._first)
            self._number = 1
            yield from self._parts()

    def check(self) -> BackupContents:
        """Read all of it. Raises as `parts`."""
        ranges = []
        keys = size = 0
        for part in self.parts():
            if not part.pairs:
                ranges.append((part.start, part.end))
            keys += len(part.pairs)
            size += sum(len(key) + len(value) for key, value in part.pairs)
        return BackupContents(ranges, Totals(len(ranges), keys, size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _blame_bytes(self) -> Iterator[None]:
        """What does not decode is damage, though its checksum holds."""
        try:
            yield
        except ValueError as error:
            raise Corruption(f"{self._path}: block {self._number - 1} is damaged: {error}") from error

    def _read_head(self) -> Head:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise InvalidArgument(f"{self._path} is not a backup of multiraft")
        kind, body = self._block()
        with self._blame_bytes():
            head = decode_head(body)
        if kind != BlockKind.HEAD:
            raise Corruption(f"{self._path}: the backup does not begin with its head")
        if head.version != FORMAT_VERSION:
            raise VersionMismatch(
                f"{self._path} has format {head.version}, this version of multiraft reads {FORMAT_VERSION}"
            )
        return head

    def _parts(self) -> Iterator[BackupRange]:
        checker = _Checker()
        while True:
            kind, body = self._block()
            if kind == BlockKind.END:
                break
            if kind == BlockKind.RANGE:
                yield checker.range(*decode_range(body))
            elif kind == BlockKind.PAIRS:
                yield checker.pairs(list(decode_pairs(body)))
            else:
                raise ValueError(f"blocks of kind {kind} do not exist")
        if decode_end(body) != checker.totals:
            raise ValueError("its totals are others than what it holds")
        if self._file.read(1):
            raise ValueError("something follows the end")

    def _block(self) -> tuple[int, bytes]:
        """Kind and body of the next block. Raises `Corruption`."""
        frame = self._file.read(FRAME_BYTES)
        if len(frame) < FRAME_BYTES:
            raise Corruption(f"{self._path} is cut off after block {self._number - 1}")
        kind, length, checksum = open_frame(frame, self._number)
        body = self._file.read(length)
        if len(body) < length:
            raise Corruption(f"{self._path} is cut off in block {self._number}")
        if crc32c(body, crc32c(frame[: FRAME.size])) != checksum:
            raise Corruption(f"{self._path}: block {self._number} is damaged: its checksum is wrong")
        self._number += 1
        return kind, body


class _Checker:
    """Holds ranges and pairs against what must be true of all of them. Its methods raise ValueError."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._range: BackupRange | None = None
        self._last: bytes | None = None

    def range(self, start: bytes, end: bytes | None) -> BackupRange:
        """The next range."""
        before = self._range
        if before is not None and (before.end is None or start < before.end):
            raise ValueError("its ranges overlap, or do not ascend")
        self._range, self._last = BackupRange(start, end, []), None
        self.totals = self.totals._replace(groups=self.totals.groups + 1)
        return self._range

    def pairs(self, pairs: list[Pair]) -> BackupRange:
        """More pairs of the range."""
        if self._range is None or not pairs:
            raise ValueError("there are pairs of no range, or a block without pairs")
        start, end, _ = self._range
        size = 0
        for key, value in pairs:
            if key < start or (end is not None and key >= end):
                raise ValueError("a key lies outside its range")
            if self._last is not None and key <= self._last:
                raise ValueError("its keys do not ascend")
            self._last = key
            size += len(key) + len(value)
        groups, keys_before, bytes_before = self.totals
        self.totals = Totals(groups, keys_before + len(pairs), bytes_before + size)
        return BackupRange(start, end, pairs)


def _open(path: Path) -> BinaryIO:
    """Open a plain file: reading from a pipe would wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidArgument(f"{path} is not a backup of multiraft: it is not a file")
    return open(descriptor, "rb")
