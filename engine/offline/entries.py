"""Single entries of a stopped node's log, intact ones beside damaged ones."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...native.entries import ENTRY_OVERHEAD, RUN_HEADER_SIZE, decode_run
from ...native.errors import Damaged
from ...raft.entry import Entry, EntryType
from ..errors import Corruption
from ..logstore.chunks import HEADER_SIZE, chunk_key, spans
from .grouplog import GroupLog, Segment
from .logfile import LogFile

_RUN: Final = struct.Struct("<QII")
_ROW: Final = struct.Struct("<QII")
_LENGTH_MASK: Final = 0xFF_FFFF


class Found(NamedTuple):
    """One place of a log: the entry, or what is wrong with it."""

    index: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride] # hides tuple.index
    entry: Entry | None
    damage: str | None
    carrier: int
    """The batch that holds it; 0: none does."""


class _UnknownType(Exception):
    """An intact entry is of a type that a later version made."""


def read_entries(file: LogFile, log: GroupLog, low: int, high: int) -> Iterator[Found]:
    """What stands at [low, high) of a log, in order; ``high`` is at most the last index + 1."""
    expected = low
    for segment in log.segments_of(low, high):
        yield from (_missing(index) for index in range(expected, max(expected, segment.first)))
        start, stop = max(low, segment.first), min(high, segment.end)
        yield from (found for found in _of_segment(file, segment) if start <= found.index < stop)
        expected = stop
    yield from (_missing(index) for index in range(expected, high))


def whole_entries(file: LogFile, log: GroupLog, low: int, high: int) -> Iterator[list[Entry]]:
    """The entries of [low, high), run by run. Raises `Corruption`, naming the first that is not whole."""
    expected = low
    for segment in log.segments_of(low, high):
        entries = []
        for found in _of_segment(file, segment):
            if not expected <= found.index < high:
                continue
            if found.entry is None or found.index != expected:
                raise Corruption(f"group {log.group}: {found.damage}", log.group, expected)
            entries.append(found.entry)
            expected += 1
        yield entries
    if expected < high:
        raise Corruption(f"group {log.group}: entry {expected} is missing", log.group, expected)


def term_at(file: LogFile, log: GroupLog, index: int) -> int | None:
    """The term at an index of a log; None if that cannot be told."""
    if index == log.point[0]:
        return log.point[1]
    for found in read_entries(file, log, index, index + 1):
        return None if found.entry is None else found.entry.term
    return None


def _of_segment(file: LogFile, segment: Segment) -> Iterator[Found]:
    """The live entries of a segment."""
    carrier = segment.carrier
    try:
        run = _read(file, segment)
    except Corruption as error:
        for index in range(segment.first, segment.end):
            yield Found(index, None, str(error), carrier)
        return
    try:
        for entry in decode_run(run, _make_entry):
            if entry.index < segment.end:
                yield Found(entry.index, entry, None, carrier)
    except (Damaged, _UnknownType):
        yield from (found for found in _one_by_one(run, carrier) if found.index < segment.end)


def _one_by_one(run: bytes, carrier: int) -> Iterator[Found]:
    """The entries of a run each by itself. The run's lengths add up: the scan has looked."""
    first, count, _ = _RUN.unpack_from(run)
    at = RUN_HEADER_SIZE + count * ENTRY_OVERHEAD
    for number in range(count):
        row_at = RUN_HEADER_SIZE + number * ENTRY_OVERHEAD
        length = _ROW.unpack_from(run, row_at)[1] & _LENGTH_MASK
        row, payload = run[row_at : row_at + ENTRY_OVERHEAD], run[at : at + length]
        at += length
        index = first + number
        try:
            entry = decode_run(_RUN.pack(index, 1, length) + row + payload, _make_entry)[0]
            yield Found(index, entry, None, carrier)
        except Damaged:
            yield Found(index, None, "fails its checksum", carrier)
        except _UnknownType as error:
            yield Found(index, None, str(error), carrier)


def _read(file: LogFile, segment: Segment) -> bytes:
    """The bytes of a segment's run. Raises `Corruption`."""
    pieces = []
    for number, start, stop in spans(segment.at, segment.length, segment.body):
        value = file.get(chunk_key(segment.carrier, number))
        if value is None or len(value) < max(stop, HEADER_SIZE):
            raise Corruption(f"chunk {number} of batch {segment.carrier} is missing")
        pieces.append(value[start:stop])
    return b"".join(pieces)


def _make_entry(term: int, index: int, kind: int, data: bytes) -> Entry:
    try:
        return Entry(term, index, EntryType(kind), data)
    except ValueError as error:
        raise _UnknownType(f"of type {kind}, which this version does not know") from error


def _missing(index: int) -> Found:
    return Found(index, None, "missing", 0)
