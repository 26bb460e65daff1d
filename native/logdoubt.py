"""Recovery of a log of which batches are missing: which replicas cannot be believed any more, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import index_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .logindex import LogIndex

DOUBT_HARD: Final = lib.MR_DOUBT_HARD
"""Its term or vote may be newer than what is known."""

DOUBT_END: Final = lib.MR_DOUBT_END
"""There may be entries behind the last one that is known."""

DOUBT_BIRTH: Final = lib.MR_DOUBT_BIRTH
"""Its birth is missing: the index does not have it."""


class Doubted(NamedTuple):
    """A replica of which a batch that is missing may have said more than is known."""

    group: int
    replica: int
    last_index: int
    """Its last entry, unless the end is in doubt; the log that is left may end before it."""
    last_term: int
    whole_from: int
    """Unless the end is in doubt: entries from here on are those that were promised."""
    doubts: int
    """Bits: `DOUBT_...`."""


def recover_gap(index: LogIndex, first: int, last: int, groups: Iterable[int] | None = None) -> None:
    """Batches `first` to `last`, behind the one taken last, are missing or cannot be read.

    `groups`: those that they said something of; None: nobody knows. Raises `MemoryError`.
    """
    if groups is None:
        lib.mr_logindex_recover_gap(index.handle, first, last)
        return
    for group in groups:
        status = lib.mr_logindex_recover_gap_of(index.handle, first, last, group)
        if status:
            raise index_refusal(status, group)


def doubted(index: LogIndex) -> Iterator[Doubted]:
    """After `LogIndex.recovered`: the replicas that these batches may have said more of than is known."""
    found = ffi.new("struct mr_doubted *")
    number = 0
    while True:
        lib.mr_logindex_doubted(index.handle, number, found)
        if not found.group:
            return
        last = found.last_index, found.last_term
        yield Doubted(found.group, found.replica, *last, found.whole_from, found.doubts)
        number += 1
