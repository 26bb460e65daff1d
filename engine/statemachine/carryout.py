"""How a flush goes into a transaction: data first, with its tallies, then the records that speak of it."""

from collections.abc import Iterable, Iterator

from ...raft.entry import EntryId
from ..errors import Corruption
from .applied import Point
from .flush import Flush, Pending
from .grouprecord import NO_DATA, GroupRecord, open_group_record
from .medium import Writer
from .paging import Pair
from .pieces import sorted_pieces
from .records import (
    HEAD_KEY,
    PREFIX,
    PROMISED,
    Head,
    Kind,
    checkpoint_pieces,
    checkpoint_range,
    encode_head,
    prefix_range,
    record_key,
    seal,
    unseal,
)
from .tally import Tallying

#: A call to the writer takes at most so many pairs and bytes: between two calls the loop's thread gets its
#: turn. Nor too few: each turn of a busy loop costs the flush a switch interval (5 ms).
CALL_PAIRS = 512
CALL_BYTES = 1 << 20

#: So many keys of abandoned data go with one flush: about ten milliseconds of work beside the flush itself.
RECLAIM_KEYS = 8192

_Piece = list[tuple[bytes, bytes, Tallying]]
"""Keys and values as they are stored, ascending, with the tally that each belongs to."""


def carry_out(flush: Flush, writer: Writer) -> None:
    """Put the whole flush into a transaction. May be run again, in a new transaction."""
    writer.put_many([(HEAD_KEY, seal(HEAD_KEY, encode_head(_head(flush))))])
    records, flush.damaged = _read_records(flush.groups, writer)
    tallies = _write_data({group: flush.groups[group] for group in records}, records, writer)
    for group, tallying in tallies.items():
        records[group] = records[group]._replace(tally=tallying.result())
    _write_records(flush.groups, records, writer)
    _write_promised(flush.promised, writer)
    flush.reclaimed = _reclaim(flush.reclaim, writer)


def _head(flush: Flush) -> Head:
    return Head(sequence=flush.sequence, next_prefix=flush.next_prefix)


# -- records -----------------------------------------------------------------------------------------


def _read_records(
    groups: dict[int, Pending], writer: Writer
) -> tuple[dict[int, GroupRecord], dict[int, Corruption]]:
    """What the disk says of each group, without what this flush takes away; and which records are damaged."""
    records: dict[int, GroupRecord] = {}
    damaged: dict[int, Corruption] = {}
    for group, pending in sorted(groups.items()):
        try:
            record = _read_record(group, writer)
        except Corruption as error:
            if not pending.replaces_all():
                damaged[group] = error
                continue
            record = GroupRecord()
        if pending.wipe:
            record = GroupRecord(record.prefix, record.tally)
        if pending.fresh:
            record = GroupRecord(point=record.point)
        if pending.prefix > NO_DATA:
            record = record._replace(prefix=pending.prefix)
        if pending.adopts is not None:
            record = record._replace(tally=pending.adopts)
        records[group] = record if pending.point is None else record.with_point(pending.point)
    return records, damaged


def _read_record(group: int, writer: Writer) -> GroupRecord:
    key = record_key(Kind.GROUP, group)
    stored = writer.get(key)
    return GroupRecord() if stored is None else open_group_record(key, unseal(key, stored, group), group)


def _write_records(groups: dict[int, Pending], records: dict[int, GroupRecord], writer: Writer) -> None:
    pairs: list[Pair] = []
    for group, record in records.items():
        pending, key = groups[group], record_key(Kind.GROUP, group)
        if record == GroupRecord():
            writer.delete(key)
        else:
            pairs.append((key, seal(key, record.encode())))
        if pending.adopts is not None:
            writer.delete(record_key(Kind.DEAD, pending.prefix))
        if pending.buries:
            dead = record_key(Kind.DEAD, pending.buries)
            pairs.append((dead, seal(dead, b"")))
        if pending.wipe or pending.checkpoint is not None:
            _replace_checkpoint(group, pending.checkpoint, writer)
    pairs.sort()
    put_in_pieces(pairs, writer)


def _write_promised(promised: dict[int, EntryId | None], writer: Writer) -> None:
    for group, entry in sorted(promised.items()):
        key = record_key(Kind.PROMISED, group)
        if entry is None:
            writer.delete(key)
        else:
            writer.put_many([(key, seal(key, PROMISED.pack(*entry)))])


def _replace_checkpoint(group: int, checkpoint: tuple[Point, bytes] | None, writer: Writer) -> None:
    start, stop = checkpoint_range(group)
    while writer.delete_range(start, stop, CALL_PAIRS):
        pass
    if checkpoint is not None:
        pieces = checkpoint_pieces(group, *checkpoint)
        put_in_pieces(((key, seal(key, content)) for key, content in pieces), writer)


def put_in_pieces(pairs: Iterable[Pair], writer: Writer) -> None:
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


# -- data --------------------------------------------------------------------------------------------


def _write_data(
    groups: dict[int, Pending], records: dict[int, GroupRecord], writer: Writer
) -> dict[int, Tallying]:
    """Write values and deletions. Returns the tally of each group that has any."""
    tallies: dict[int, Tallying] = {}
    layers: list[tuple[Pending, Tallying]] = []
    for group, pending in sorted(groups.items(), key=lambda item: item[1].prefix):
        if pending.table.entries:
            on_nothing = pending.fresh and pending.adopts is None
            tallies[group] = Tallying(None if on_nothing else records[group].tally)
            layers.append((pending, tallies[group]))
    for pending, tallying in layers:
        _delete(pending, tallying, writer)
    piece: _Piece = []
    size = 0
    for item in (item for pending, tallying in layers for item in _values(pending, tallying)):
        piece.append(item)
        size += len(item[1])
        if len(piece) >= CALL_PAIRS or size >= CALL_BYTES:
            _put_counted(piece, writer)
            piece, size = [], 0
    if piece:
        _put_counted(piece, writer)
    return tallies


def _delete(layer: Pending, tallying: Tallying, writer: Writer) -> None:
    low = PREFIX.pack(layer.prefix)
    for user_key in [key for key, value in layer.table.entries.items() if value is None]:
        key = low + user_key
        stored = writer.get(key)
        if stored is not None:
            writer.delete(key)
            if not tallying.fresh:
                tallying.remove(stored)


def _values(layer: Pending, tallying: Tallying) -> Iterator[tuple[bytes, bytes, Tallying]]:
    """The values of one group as they are stored, ascending."""
    entries = layer.table.entries
    low = PREFIX.pack(layer.prefix)
    for piece in sorted_pieces(entries):
        for user_key in piece:
            value = entries[user_key]
            if value is not None:
                key = low + user_key
                yield key, seal(key, value), tallying


def _put_counted(piece: _Piece, writer: Writer) -> None:
    """Set values, and count them in the place of those that they replace.

    These must be read for that: about half of what writing costs, on pages that are to be written anyway.
    """
    replaced = dict(writer.get_many([key for key, _, tallying in piece if not tallying.fresh]))
    for key, stored, tallying in piece:
        before = replaced.get(key)
        if before is not None:
            tallying.remove(before)
        tallying.add(stored)
    writer.put_many([(key, stored) for key, stored, _ in piece])


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
