"""The encoded batch: what one transaction of the log says, for all groups, as one sequence of bytes.

    blob     version u8 | flags u8 | sections u16 | 0 u32 | length u64 | previous, head u64 ; sections
    section  kind u8 | 0 u8 | 0 u16 | rows u32 | length u64 ; columns ; bytes ; padding to 8
    APPEND   group u64 | replica u64 | run length u32 | parts u8 ; runs ; hard state 3 u64 | truncation 2 u64
    REWRITE  group u64 | replica u64 | origin u64 | the rest as in APPEND
    NAMES    group u64, ascending
    META     group u64 | replica u64 | origin u64 | body length u32 | write u32 | kind u8 ; bodies

Little-endian; columns, and the runs together, are padded to 8 bytes. APPEND has a row for each write. A row
has a hard state or a truncation if its bit is set in `parts`; these stand in the order of the rows. `write`
is the APPEND row that a META row goes before; it means nothing in a rewritten one. `origin` is the batch in
which an item was first written, whatever blob carries it today; in APPEND it is the batch itself. `previous`
is the batch committed before and `head` the oldest one left by this transaction, so that a batch that
vanished is noticed. NAMES are the groups of the batch before, unless they are many: what is missing if that
one cannot be read. Its header says 0 rows.
"""

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from ...native.nursery import WriteColumns
from .metas import MetaKind

FORMAT_VERSION: Final = 1
SECTIONS_MAX: Final = 8
NAMES_MAX: Final = 512
"""A batch of more groups than this is not named by the next one: it would cost more than padding."""

_HEADER: Final = struct.Struct("<BBHIQQQ")
_SECTION: Final = struct.Struct("<BBHIQ")
_ROW_MIN: Final = 8 + 8 + 4 + 1


class SectionKind(IntEnum):
    """What the rows of a section are."""

    APPEND = 1
    REWRITE = 2
    META = 3
    NAMES = 4


class BadBatch(ValueError):
    """Bytes that passed their checksum do not have the shape of a batch."""


class NewerFormat(Exception):
    """The batch was written in a format that this version does not know."""


class MetaRow(NamedTuple):
    """A META row with its body still encoded."""

    group: int
    replica_id: int
    origin: int
    write: int
    kind: MetaKind
    body: bytes


class RowSection(NamedTuple):
    """An APPEND or REWRITE section of a blob; `native.logindex.Rows` reads it."""

    rewritten: bool
    rows: int
    at: int
    """Where its columns begin in the blob."""
    size: int
    """Its bytes."""


class BlobWriter:
    """Puts sections together, in the one memory from which the batch is read and written."""

    __slots__ = ("_blob", "_sections")

    def __init__(self) -> None:
        self._blob = bytearray(_HEADER.size)
        self._sections = 0

    @property
    def size(self) -> int:
        """Bytes so far; the next section begins there."""
        return len(self._blob)

    @property
    def next_base(self) -> int:
        """Where the columns of the section that is added next will stand."""
        return self.size + _SECTION.size

    def add_rows(
        self,
        groups: Sequence[int],
        replicas: Sequence[int],
        runs: Sequence[bytes],
        lengths: Sequence[int],
        parts: bytes,
        hard_states: Sequence[int],
        truncations: Sequence[int],
        columns: Sequence[WriteColumns] = (),
    ) -> tuple[memoryview, int]:
        """Add an APPEND section; returns its bytes and where they stand. Rows in `columns` come last.

        `lengths` are those of the runs. `hard_states` has three numbers, `truncations` two, for each row
        that has the part. The bytes must be let go of before anything else is added.
        """
        at, base = self.size, self.next_base
        rows = len(groups) + sum(more.rows for more in columns)
        size = sum(lengths) + sum(len(more.runs) for more in columns)
        self._blob = bytearray().join(
            (
                self._blob,
                bytes(_SECTION.size),
                _u64s(groups),
                *[more.groups for more in columns],
                _u64s(replicas),
                *[more.replicas for more in columns],
                _padded(b"".join((_u32s(lengths), *[more.lengths for more in columns]))),
                _padded(b"".join((parts, *[more.parts for more in columns]))),
                *runs,
                *[more.runs for more in columns],
                bytes(-size % 8),
                _u64s(hard_states),
                *[more.hard_states for more in columns],
                _u64s(truncations),
            )
        )
        _SECTION.pack_into(self._blob, at, SectionKind.APPEND, 0, 0, rows, self.size - base)
        self._sections += 1
        return memoryview(self._blob)[base:], base

    def add_rewritten(self, section: bytes, rows: int) -> None:
        """Add a REWRITE section, encoded for `next_base`."""
        self._add(SectionKind.REWRITE, rows, section)

    def add_metas(self, rows: Sequence[MetaRow]) -> None:
        """Add a section of META rows."""
        section = b"".join(
            (
                _u64s([row.group for row in rows]),
                _u64s([row.replica_id for row in rows]),
                _u64s([row.origin for row in rows]),
                _padded(_u32s([len(row.body) for row in rows])),
                _padded(_u32s([row.write for row in rows])),
                _padded(bytes([row.kind for row in rows])),
                _padded(b"".join([row.body for row in rows])),
            )
        )
        self._add(SectionKind.META, len(rows), section)

    def add_names(self, groups: Sequence[int]) -> None:
        """Name the groups of the batch before."""
        self._add(SectionKind.NAMES, 0, _u64s(groups))

    def finish(self, previous: int, head: int) -> bytearray:
        """The blob. `previous`: the batch committed before, or 0; `head`: the oldest batch that is left."""
        _HEADER.pack_into(self._blob, 0, FORMAT_VERSION, 0, self._sections, 0, self.size, previous, head)
        return self._blob

    def _add(self, kind: SectionKind, rows: int, section: bytes) -> None:
        self._blob += _SECTION.pack(kind, 0, 0, rows, len(section))
        self._blob += section
        self._sections += 1


class Contents(NamedTuple):
    """A decoded blob. Rows are not looked into: the index reads them."""

    previous: int
    head: int
    sections: list[RowSection]
    """APPEND before REWRITE."""
    metas: list[MetaRow]
    names: tuple[int, ...] | None
    """The groups of the batch before, if it tells."""


def decode_blob(blob: bytes) -> Contents:
    """Take a blob apart. Raises `NewerFormat`, and `BadBatch` if lengths or kinds do not add up."""
    if len(blob) < _HEADER.size:
        raise BadBatch("shorter than its header")
    version, flags, sections, reserved, length, previous, head = _HEADER.unpack_from(blob)
    if version > FORMAT_VERSION:
        raise NewerFormat(version)
    if version != FORMAT_VERSION or flags or reserved or sections > SECTIONS_MAX or length != len(blob):
        raise BadBatch("its header does not describe it")
    names: tuple[int, ...] | None = None
    row_sections: list[RowSection] = []
    metas: list[MetaRow] = []
    at = _HEADER.size
    for _ in range(sections):
        if len(blob) - at < _SECTION.size:
            raise BadBatch("a section is cut off")
        kind, _zero, _zeros, rows, size = _SECTION.unpack_from(blob, at)
        at += _SECTION.size
        if size > len(blob) - at or rows * _ROW_MIN > size:
            raise BadBatch("a section claims more than there is")
        if kind == SectionKind.META:
            metas.extend(_decode_metas(_Reader(blob, at, at + size), rows))
        elif kind in (SectionKind.APPEND, SectionKind.REWRITE):
            row_sections.append(RowSection(kind == SectionKind.REWRITE, rows, at, size))
        elif kind == SectionKind.NAMES and names is None and not rows:
            names = _Reader(blob, at, at + size).u64s(size // 8)
        else:
            raise BadBatch(f"section kind {kind}")
        at += size
    if at != len(blob):
        raise BadBatch("bytes are left over")
    return Contents(previous, head, sorted(row_sections), metas, names)


def previous_and_head(blob: bytes) -> tuple[int, int]:
    """The batch before, and the oldest one left, from the beginning of a batch that is not damaged."""
    *_, previous, head = _HEADER.unpack_from(blob)
    return previous, head


def groups_in(section: bytes, rows: int) -> tuple[int, ...]:
    """The group of each row of an APPEND or REWRITE section."""
    return _Reader(section, 0, len(section)).u64s(rows)


def name_groups(*groups: Sequence[int]) -> list[int] | None:
    """Groups as the next batch names them, ascending; None if they are too many for that."""
    if sum(map(len, groups)) > NAMES_MAX:
        return None
    return sorted({one for some in groups for one in some})


def groups_of(blob: bytes, contents: Contents) -> list[int] | None:
    """The groups that a batch says something of, as the next one names them."""
    parts = [groups_in(blob[one.at : one.at + one.size], one.rows) for one in contents.sections]
    return name_groups([meta.group for meta in contents.metas], *parts)


def _decode_metas(reader: "_Reader", rows: int) -> Iterator[MetaRow]:
    groups, replicas, origins = reader.u64s(rows), reader.u64s(rows), reader.u64s(rows)
    lengths, writes, kinds = reader.u32s(rows), reader.u32s(rows), reader.u8s(rows)
    for group, replica, origin, length, write, kind in zip(
        groups, replicas, origins, lengths, writes, kinds, strict=True
    ):
        try:
            meta_kind = MetaKind(kind)
        except ValueError as error:
            raise BadBatch(f"META kind {kind}") from error
        yield MetaRow(group, replica, origin, write, meta_kind, reader.take(length))


class _Reader:
    """Reads columns from a section and never beyond its end."""

    __slots__ = ("_blob", "_end", "at")

    def __init__(self, blob: bytes, at: int, end: int) -> None:
        self._blob = blob
        self._end = end
        self.at = at

    def skip(self, length: int) -> None:
        if length > self._end - self.at:
            raise BadBatch("a column or body is cut off")
        self.at += length

    def take(self, length: int) -> bytes:
        self.skip(length)
        return self._blob[self.at - length : self.at]

    def u64s(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def u32s(self, count: int) -> tuple[int, ...]:
        numbers = struct.unpack(f"<{count}I", self.take(4 * count))
        self.skip(-4 * count % 8)
        return numbers

    def u8s(self, count: int) -> bytes:
        column = self.take(count)
        self.skip(-count % 8)
        return column


def _u64s(numbers: Sequence[int]) -> bytes:
    return _column("Q", numbers)


def _u32s(numbers: Sequence[int]) -> bytes:
    return _column("I", numbers)


def _column(code: str, numbers: Sequence[int]) -> bytes:
    column = array(code, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _padded(column: bytes) -> bytes:
    return column + bytes(-len(column) % 8)
