"""What is left of a state store's file whose pages are damaged, and whose state is not whole any more.

A group of which keys are missing, or old ones back, is known by its tally. Its record is spoiled on purpose:
whoever opens it meets damage, and its state is made anew from the log or from a peer, as of any other.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import Corruption
from ..offline.lmdbfile import LmdbFile
from .grouprecord import NO_DATA, GroupRecord, open_group_record
from .paging import Pair
from .records import HEAD_KEY, PREFIX, RECORD, Kind, kind_range, record_number, unseal
from .tally import Tally, Tallying

logger = logging.getLogger(__name__)

SPOILED: Final = b"spoiled"
"""No stored value: its checksum is wrong."""


def remnants_of(path: Path) -> Iterator[Pair]:
    """Keys and values in a file, then spoiled records of groups that are not whole.

    Raises `Corruption` if records are missing, of which nothing else tells, or both meta pages are damaged.
    """
    tallies: defaultdict[int, Tallying] = defaultdict(lambda: Tallying(Tally()))
    records: list[Pair] = []
    dead: set[int] = set()
    has_head = False
    with LmdbFile(path) as file:
        for key, stored in file.items(on_damage=lambda what, _: logger.error("%s: %s", path, what)):
            prefix = PREFIX.unpack_from(key)[0] if len(key) >= PREFIX.size else 0
            if prefix:
                tallies[prefix].add(stored)
            elif _is_of(Kind.GROUP, key):
                records.append((key, stored))
            elif _is_of(Kind.DEAD, key):
                dead.add(record_number(key))
            has_head = has_head or key == HEAD_KEY
            yield key, stored
    opened = {key: _opened(key, stored) for key, stored in records}
    owned = {record.prefix for record in opened.values() if record is not None} | dead
    if not has_head or (None not in opened.values() and not owned.issuperset(tallies)):
        raise Corruption(f"{path} has lost records of groups")
    for key, record in opened.items():
        if record is None or record.prefix == NO_DATA or tallies[record.prefix].result() == record.tally:
            continue
        logger.error("group %d: its state is not whole", record_number(key))
        yield key, SPOILED


def _is_of(kind: Kind, key: bytes) -> bool:
    low, high = kind_range(kind)
    return low <= key < high and len(key) == RECORD.size


def _opened(key: bytes, stored: bytes) -> GroupRecord | None:
    """A record; None if it is damaged itself, as whoever opens it will find."""
    group = record_number(key)
    try:
        return open_group_record(key, unseal(key, stored, group), group)
    except Corruption:
        return None
