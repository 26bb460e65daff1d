"""The encoded batch: what one transaction of the log says, for all groups, as one sequence of bytes.

    blob     version u8 | flags u8 | sections u16 | 0 u32 | length u64 | previous, head u64 ; sections
    section  kind u8 | 0 u8 | 0 u16 | rows u32 | length u64 ; columns ; bytes ; padding to 8
    APPEND   group u64 | replica u64 | run length u32 | parts u8 ; runs ; hard state 3 u64 | truncation 2 u64
    REWRITE  group u64 | replica u64 | origin u64 | the rest as in APPEND
    META     group u64 | replica u64 | origin u64 | body length u32 | write u32 | kind u8 ; bodies

Little-endian; columns, and the runs together, are padded to 8 bytes. APPEND has a row for each write. A row
has a hard state or a truncation if its bit is set in `parts`; these stand in the order of the rows. `write`
is the APPEND row that a META row goes before; it means nothing in a rewritten one. `origin` is the batch in
which an item was first written, whatever blob carries it today; in APPEND it is the batch itself. `previous`
is the batch committed before and `head` the oldest one left by this transaction, so that a batch that
vanished is noticed.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Final, NamedTuple

from ...raft.state import HardState
from .metas import MetaKind

FORMAT_VERSION: Final = 1
SECTIONS_MAX: Final = 8

_HEADER: Final = struct.Struct("<BBHIQQQ")
_SECTION: Final = struct.Struct("<BBHIQ")
_ROW_MIN: Final = 8 + 8 + 4 + 1

PART_HARD_STATE: Final = 1
PART_TRUNCATION: Final = 2


class SectionKind(IntEnum):
    """What the rows of a section are."""

    APPEND = 1
    REWRITE = 2
    META = 3


class BadBatch(ValueError):
    """Bytes that passed their checksum do not have the shape of a batch."""


class NewerFormat(Exception):
    """The batch was written in a format that this version does not know."""


class Row(NamedTuple):
    """What one write, or one rewritten item, says about a group."""

    group: int
    replica_id: int
    origin: int
    hard_state: HardState | None
    truncation: tuple[int, int] | None
    run_at: int
    """Offset of the run in the blob."""
    run_length: int
    """0: no run."""


class MetaRow(NamedTuple):
    """A META row with its body still encoded."""

    group: int
    replica_id: int
    origin: int
    write: int
    kind: MetaKind
    body: bytes


@dataclass(slots=True)
class RowColumns:
    """The columns of an APPEND or REWRITE section, before encoding or after decoding."""

    groups: Sequence[int]
    replicas: Sequence[int]
    lengths: Sequence[int]
    parts: bytes
    hard_states: Sequence[int]
    """Three numbers for each row that has the part."""
    truncations: Sequence[int]
    """Two numbers for each row that has the part."""
    origins: Sequence[int] | None = None
    """None in an APPEND section."""


class BlobWriter:
    """Puts sections together and tells where each run will stand."""

    __slots__ = ("_parts", "_sections", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = [b""]
        self._sections = 0
        self.size = _HEADER.size
        """Bytes so far; the next section begins there."""

    def runs_at(self, rows: int, *, rewritten: bool = False) -> int:
        """Where the first run of a section will stand if it is added next and has so many rows."""
        numbers = 3 if rewritten else 2
        return self.size + _SECTION.size + 8 * numbers * rows + _even(4 * rows) + _even(rows)

    def add_rows(self, columns: RowColumns, runs: Sequence[bytes]) -> None:
        """Add a section. Runs follow each other without a gap."""
        kind = SectionKind.APPEND if columns.origins is None else SectionKind.REWRITE
        parts = [_u64s(columns.groups), _u64s(columns.replicas)]
        if columns.origins is not None:
            parts.append(_u64s(columns.origins))
        parts += (_padded(_u32s(columns.lengths)), _padded(columns.parts), *runs)
        parts += (
            bytes(-sum(columns.lengths) % 8),
            _u64s(columns.hard_states),
            _u64s(columns.truncations),
        )
        self._add(kind, len(columns.groups), parts)

    def add_metas(self, rows: Sequence[MetaRow]) -> None:
        """Add a section of META rows."""
        columns = [
            _u64s([row.group for row in rows]),
            _u64s([row.replica_id for row in rows]),
            _u64s([row.origin for row in rows]),
            _padded(_u32s([len(row.body) for row in rows])),
            _padded(_u32s([row.write for row in rows])),
            _padded(bytes([row.kind for row in rows])),
            _padded(b"".join([row.body for row in rows])),
        ]
        self._add(SectionKind.META, len(rows), columns)

    def finish(self, previous: int, head: int) -> bytes:
        """The blob. `previous`: the batch committed before, or 0; `head`: the oldest batch that is left."""
        self._parts[0] = _HEADER.pack(FORMAT_VERSION, 0, self._sections, 0, self.size, previous, head)
        return b"".join(self._parts)

    def _add(self, kind: SectionKind, rows: int, parts: list[bytes]) -> None:
        length = sum(map(len, parts))
        self._parts.append(_SECTION.pack(kind, 0, 0, rows, length))
        self._parts += parts
        self._sections += 1
        self.size += _SECTION.size + length


class Rows(NamedTuple):
    """A decoded APPEND or REWRITE section."""

    columns: RowColumns
    runs_at: int

    def read(self, seq: int) -> Iterator[Row]:
        """The rows in order; `seq` is the batch that carries them."""
        columns = self.columns
        origins = columns.origins or [seq] * len(columns.groups)
        hard_states = iter(columns.hard_states)
        truncations = iter(columns.truncations)
        at = self.runs_at
        for group, replica, origin, length, parts in zip(
            columns.groups, columns.replicas, origins, columns.lengths, columns.parts, strict=True
        ):
            hard_state = truncation = None
            if parts & PART_HARD_STATE:
                hard_state = HardState(next(hard_states), next(hard_states), next(hard_states))
            if parts & PART_TRUNCATION:
                truncation = (next(truncations), next(truncations))
            yield Row(group, replica, origin, hard_state, truncation, at, length)
            at += length


class Contents(NamedTuple):
    """A decoded blob. Runs are not looked into: their entries carry their own checksums."""

    previous: int
    head: int
    appended: list[Rows]
    rewritten: list[Rows]
    metas: list[MetaRow]


def decode_blob(blob: bytes) -> Contents:
    """Take a blob apart. Raises `NewerFormat`, and `BadBatch` if lengths or kinds do not add up."""
    if len(blob) < _HEADER.size:
        raise BadBatch("shorter than its header")
    version, flags, sections, reserved, length, previous, head = _HEADER.unpack_from(blob)
    if version > FORMAT_VERSION:
        raise NewerFormat(version)
    if version != FORMAT_VERSION or flags or reserved or sections > SECTIONS_MAX or length != len(blob):
        raise BadBatch("its header does not describe it")
    contents = Contents(previous, head, [], [], [])
    at = _HEADER.size
    for _ in range(sections):
        if len(blob) - at < _SECTION.size:
            raise BadBatch("a section is cut off")
        kind, _zero, _zeros, rows, size = _SECTION.unpack_from(blob, at)
        at += _SECTION.size
        if size > len(blob) - at or rows * _ROW_MIN > size:
            raise BadBatch("a section claims more than there is")
        _decode_section(_Reader(blob, at, at + size), kind, rows, contents)
        at += size
    if at != len(blob):
        raise BadBatch("bytes are left over")
    return contents


def _decode_section(reader: "_Reader", kind: int, rows: int, contents: Contents) -> None:
    if kind == SectionKind.APPEND:
        contents.appended.append(_decode_rows(reader, rows, has_origins=False))
    elif kind == SectionKind.REWRITE:
        contents.rewritten.append(_decode_rows(reader, rows, has_origins=True))
    elif kind == SectionKind.META:
        contents.metas.extend(_decode_metas(reader, rows))
    else:
        raise BadBatch(f"section kind {kind}")


def _decode_rows(reader: "_Reader", rows: int, *, has_origins: bool) -> Rows:
    groups, replicas = reader.u64s(rows), reader.u64s(rows)
    origins = reader.u64s(rows) if has_origins else None
    lengths, parts = reader.u32s(rows), reader.u8s(rows)
    runs_at = reader.at
    reader.skip(_even(sum(lengths)))
    hard_states = reader.u64s(3 * _count(parts, PART_HARD_STATE))
    truncations = reader.u64s(2 * _count(parts, PART_TRUNCATION))
    return Rows(RowColumns(groups, replicas, lengths, parts, hard_states, truncations, origins), runs_at)


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


def flat(tuples: Sequence[tuple[int, ...]]) -> list[int]:
    """The numbers of all tuples in a row: how a column of several numbers is stored."""
    return list(chain.from_iterable(tuples))


def _count(parts: bytes, part: int) -> int:
    """How many rows have the part."""
    return sum(1 for bits in parts if bits & part)


def _u64s(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def _u32s(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _even(length: int) -> int:
    """`length` with its padding."""
    return length + -length % 8


def _padded(column: bytes) -> bytes:
    return column + bytes(-len(column) % 8)
