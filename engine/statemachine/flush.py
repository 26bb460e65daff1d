"""One flush: what it takes along, and how it goes into a transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .applied import Point, encode_point
from .medium import Writer
from .memtable import Memtable
from .paging import Pair
from .records import (
    HEAD_KEY,
    PREFIX,
    Head,
    Kind,
    checkpoint_pieces,
    checkpoint_range,
    encode_head,
    prefix_range,
    record_key,
    seal,
)

#: A call to the writer takes at most so many pairs and bytes: between two calls the loop's thread gets its
#: turn. Nor too few: each turn of a busy loop costs the flush a switch interval (5 ms).
CALL_PAIRS = 512
CALL_BYTES = 1 << 20

#: So many keys of abandoned data go with one flush: about ten milliseconds of work beside the flush itself.
RECLAIM_KEYS = 8192

#: Prefix of a layer that goes on with the data of the layer beneath it, whatever prefix that has.
INHERITED: Final = -1

#: Prefix of a layer that holds no data (0 is the prefix of records, so no data can have it).
NO_DATA: Final = 0


@dataclass(slots=True)
class Pending:
    """What was written to one group between two freezes.

    ``fresh`` hides all older data, ``wipe`` all older records. ``maps`` says that ``prefix`` is new for the
    group, ``buries`` names the prefix whose data belongs to nobody after this flush (0 if none).
    Invariant: ``table`` has entries only if ``prefix > 0``; ``maps`` only if ``prefix > 0``.
    """

    table: Memtable = field(default_factory=Memtable)
    prefix: int = INHERITED
    fresh: bool = False
    maps: bool = False
    buries: int = NO_DATA
    wipe: bool = False
    point: Point | None = None
    checkpoint: tuple[Point, bytes] | None = None

    def index(self) -> int | None:
        """The applied index that this flush makes durable, None if it carries no record."""
        if self.point is not None:
            return self.point.applied.index
        return None if self.checkpoint is None else self.checkpoint[0].applied.index


@dataclass(slots=True)
class Flush:
    """Everything between two freezes. Nobody changes it but :func:`carry_out`, which fills ``reclaimed``."""

    sequence: int
    next_prefix: int
    groups: dict[int, Pending]
    reclaim: tuple[int, ...]
    reclaimed: list[int] = field(default_factory=list)


def carry_out(flush: Flush, writer: Writer) -> None:
    """Put the whole flush into a transaction. May be run again, in a new transaction."""
    writer.put_many([(HEAD_KEY, seal(HEAD_KEY, encode_head(_head(flush))))])
    _write_records(flush.groups, writer)
    _write_data(sorted(flush.groups.values(), key=lambda pending: pending.prefix), writer)
    flush.reclaimed = _reclaim(flush.reclaim, writer)


def _head(flush: Flush) -> Head:
    return Head(sequence=flush.sequence, next_prefix=flush.next_prefix)


def _write_records(groups: dict[int, Pending], writer: Writer) -> None:
    pairs: list[Pair] = []
    for group in sorted(groups):
        pending = groups[group]
        _delete_records(group, pending, writer)
        pairs.extend(_record_pairs(group, pending))
        if pending.checkpoint is not None:
            _write_checkpoint(group, pending.checkpoint, writer)
    pairs.sort()
    _put_in_pieces(pairs, writer)


def _delete_records(group: int, pending: Pending, writer: Writer) -> None:
    if pending.wipe:
        writer.delete(record_key(Kind.APPLIED, group))
    if pending.fresh:
        writer.delete(record_key(Kind.PREFIX, group))
    if pending.wipe or pending.checkpoint is not None:
        start, stop = checkpoint_range(group)
        while writer.delete_range(start, stop, CALL_PAIRS):
            pass


def _record_pairs(group: int, pending: Pending) -> list[Pair]:
    records: list[Pair] = []
    if pending.maps:
        records.append((record_key(Kind.PREFIX, group), PREFIX.pack(pending.prefix)))
    if pending.buries:
        records.append((record_key(Kind.DEAD, pending.buries), b""))
    if pending.point is not None:
        records.append((record_key(Kind.APPLIED, group), encode_point(pending.point)))
    return [(key, seal(key, content)) for key, content in records]


def _write_checkpoint(group: int, checkpoint: tuple[Point, bytes], writer: Writer) -> None:
    pieces = checkpoint_pieces(group, *checkpoint)
    _put_in_pieces(((key, seal(key, content)) for key, content in pieces), writer)


def _write_data(layers: list[Pending], writer: Writer) -> None:
    for layer in layers:
        for key in [key for key, value in layer.table.entries.items() if value is None]:
            writer.delete(PREFIX.pack(layer.prefix) + key)
    _put_in_pieces((pair for layer in layers for pair in _data_pairs(layer)), writer)


def _data_pairs(layer: Pending) -> Iterator[Pair]:
    """The values of one group as they are stored, ascending."""
    entries = layer.table.entries
    low = PREFIX.pack(layer.prefix) if entries else b""
    for user_key in sorted(entries):
        value = entries[user_key]
        if value is not None:
            key = low + user_key
            yield key, seal(key, value)


def _put_in_pieces(pairs: Iterable[Pair], writer: Writer) -> None:
    """Hand pairs over in pieces that take the writer about a millisecond."""
    piece: list[Pair] = []
    size = 0
    for pair in pairs:
        piece.append(pair)
        size += len(pair[1])
        if len(piece) >= CALL_PAIRS or size >= CALL_BYTES:
            writer.put_many(piece)
            piece, size = [], 0
    if piece:
        writer.put_many(piece)


def _reclaim(prefixes: tuple[int, ...], writer: Writer) -> list[int]:
    """Delete abandoned data within the budget. Returns the prefixes of which nothing is left."""
    budget, done = RECLAIM_KEYS, []
    for prefix in prefixes:
        start, stop = prefix_range(prefix)
        budget -= writer.delete_range(start, stop, budget)
        if budget <= 0:
            break
        writer.delete(record_key(Kind.DEAD, prefix))
        done.append(prefix)
    return done
