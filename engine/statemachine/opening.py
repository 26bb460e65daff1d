"""What a state store reads of its records: all of them lie under prefix 0."""

import logging
from collections.abc import Iterator

from ...raft.entry import EntryId
from ..errors import Corruption, VersionMismatch
from .applied import Point, is_unmarked
from .grouprecord import NO_DATA, GroupRecord, open_group_record
from .keys import successor
from .medium import Medium, Moment
from .paging import LAST_PAGE, Pair
from .records import (
    FORMAT_VERSION,
    HEAD,
    HEAD_KEY,
    PREFIX,
    PROMISED,
    Head,
    Kind,
    checkpoint_range,
    damaged,
    encode_head,
    kind_range,
    open_checkpoint_head,
    prefix_range,
    record_key,
    record_number,
    seal,
    unseal,
)
from .tally import Tallying, tally_problem

log = logging.getLogger(__name__)

#: Above every key of the file: prefixes are counted up from 1.
TOP = b"\xff" * 9

MAX_NUMBER = 2**64 - 1


def read_head(medium: Medium) -> Head:
    """The head of the file; writes the first one into an empty file.

    Raises VersionMismatch if a newer version wrote the file, Corruption if it is no state file.
    """
    stored = medium.get(HEAD_KEY)
    if stored is None:
        if medium.page(b"", TOP, 1, reverse=False).pairs:
            raise Corruption("the state store has no head: damaged, or not a state store of multiraft")
        head = Head()
        content = seal(HEAD_KEY, encode_head(head))
        medium.commit(lambda writer: writer.put_many([(HEAD_KEY, content)]))
        return head
    try:
        content = unseal(HEAD_KEY, stored, None)
    except Corruption:
        return _rebuilt_head(medium)
    version = int.from_bytes(content[:2], "little")
    if version != FORMAT_VERSION:
        raise VersionMismatch(
            f"the state store has format {version}, this version of multiraft reads format {FORMAT_VERSION}"
        )
    return Head(*HEAD.unpack(content))


def _rebuilt_head(medium: Medium) -> Head:
    """A head in place of a damaged one. One flipped bit there must not cost all groups of the node.

    All that it carries for later is which prefixes are free, and that can be told from those in use.
    """
    last = medium.page(b"", TOP, 1, reverse=True).pairs
    used = [PREFIX.unpack_from(last[0][0])[0] if last else 0]
    used += [record_number(key) for key, _ in _records(medium, Kind.DEAD)]
    for key, stored in _records(medium, Kind.GROUP):
        try:
            used.append(_open_record(key, stored, record_number(key)).prefix)
        except Corruption:
            continue  # its data counts by itself, and what it says is followed by nobody
    log.error("the head of the state store is damaged: rebuilt from %d prefixes in use", len(used))
    return Head(next_prefix=max(used) + 1)


def read_dead_prefixes(medium: Medium) -> list[int]:
    """The prefixes whose data is still to be deleted."""
    return [record_number(key) for key, _ in _records(medium, Kind.DEAD)]


def groups_with_records(medium: Medium) -> set[int]:
    """The groups with an applied record or a checkpoint on the disk, damaged or not."""
    known = set(_numbers(medium, Kind.CHECKPOINT))
    for key, stored in _records(medium, Kind.GROUP):
        group = record_number(key)
        try:
            if _open_record(key, stored, group).point:
                known.add(group)
        except Corruption:
            known.add(group)
    return known


def read_group_record(medium: Medium | Moment, group: int) -> GroupRecord | None:
    """What the disk says of a group's data. Raises Corruption."""
    key = record_key(Kind.GROUP, group)
    stored = medium.get(key)
    return None if stored is None else _open_record(key, stored, group)


def half_done(medium: Medium) -> set[int]:
    """The groups whose records tell of a damaged log, a snapshot installed or a checkpoint, or are bad.

    Raises Corruption if the records cannot be listed.
    """
    found = set(_numbers(medium, Kind.PROMISED))
    for key, stored in _records(medium, Kind.GROUP):
        group = record_number(key)
        try:
            point = _open_record(key, stored, group).point
        except Corruption:
            found.add(group)
        else:
            if point and not is_unmarked(point):
                found.add(group)
    return found | set(_numbers(medium, Kind.CHECKPOINT))


def _open_record(key: bytes, stored: bytes, group: int) -> GroupRecord:
    return open_group_record(key, unseal(key, stored, group), group)


def read_point(medium: Medium | Moment, group: int) -> Point | None:
    """The applied record on the disk. Raises Corruption."""
    record = read_group_record(medium, group)
    return None if record is None else record.open_point(record_key(Kind.GROUP, group), group)


def read_promised(medium: Medium, group: int) -> EntryId | None:
    """The last entry that a group's log held when it was damaged, None if it is whole. Raises Corruption."""
    key = record_key(Kind.PROMISED, group)
    stored = medium.get(key)
    if stored is None:
        return None
    content = unseal(key, stored, group)
    if len(content) != PROMISED.size:
        raise damaged(key, group, "not a place in a log")
    return EntryId(*PROMISED.unpack(content))


def check_tally(medium: Medium, group: int) -> None:
    """Read all of a group's data and compare it with what its record says of it. Raises Corruption."""
    record = read_group_record(medium, group) or GroupRecord()
    found = Tallying()
    if record.prefix != NO_DATA:
        for key, stored in read_pairs(medium, *prefix_range(record.prefix)):
            unseal(key, stored, group)
            found.add(stored)
    if found.result() != record.tally:
        problem = tally_problem(record.tally, found.result())
        raise damaged(record_key(Kind.GROUP, group), group, problem)


def read_checkpoint_point(medium: Medium | Moment, group: int) -> Point | None:
    """The point of the checkpoint on the disk, without its data. Raises Corruption."""
    key, _ = checkpoint_range(group)
    stored = medium.get(key)
    return None if stored is None else open_checkpoint_head(key, unseal(key, stored, group), group)[0]


def read_checkpoint(medium: Medium, group: int) -> tuple[Point, bytes] | None:
    """The checkpoint on the disk. Raises Corruption."""
    start, stop = checkpoint_range(group)
    pieces = [(key, unseal(key, stored, group)) for key, stored in read_pairs(medium, start, stop)]
    if not pieces:
        return None
    point, data_bytes = open_checkpoint_head(*pieces[0], group)
    data = b"".join([content for _, content in pieces[1:]])
    if len(data) != data_bytes:
        raise damaged(start, group, "pieces of a checkpoint are missing")
    return point, data


def _numbers(medium: Medium, kind: Kind) -> Iterator[int]:
    """The groups with a record of this kind; jumps over the pieces of checkpoints."""
    start, stop = kind_range(kind)
    while start < stop and (pairs := medium.page(start, stop, 1, reverse=False).pairs):
        number = record_number(pairs[0][0])
        yield number
        start = record_key(kind, number + 1) if number < MAX_NUMBER else stop


def _records(medium: Medium, kind: Kind) -> Iterator[Pair]:
    yield from read_pairs(medium, *kind_range(kind))


def read_pairs(medium: Medium, start: bytes, stop: bytes) -> Iterator[Pair]:
    """Every stored pair of ``[start, stop)``, page by page."""
    while True:
        page = medium.page(start, stop, LAST_PAGE, reverse=False)
        yield from page.pairs
        if page.bound is None:
            return
        start = successor(page.bound)
