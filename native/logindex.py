"""The index of a log store: where the entries of every replica are, their terms, and small states.

One object for all replicas of a node; a replica that rests costs a row here and no Python object. Groups and
replicas are positive numbers of 64 bits. The thread that owns the log store makes all calls.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import index_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._native import CData

_NOWHERE: Final = lib.MR_PLACE_NONE
_SPANS: Final = 64
_MANY: Final = 512  # rows that take some 50 us, from where on it pays to let other threads run

PART_HARD_STATE: Final = lib.MR_PART_HARD
"""Bit of a row's parts: it has a hard state."""

PART_TRUNCATION: Final = lib.MR_PART_TRUNCATION
"""Bit of a row's parts: it has a truncation, or a rewritten point."""


class State(IntEnum):
    """The small states of a replica."""

    BIRTH = lib.MR_STATE_BIRTH
    MEMBERS = lib.MR_STATE_MEMBERS
    HARD = lib.MR_STATE_HARD
    POINT = lib.MR_STATE_POINT


class Totals(NamedTuple):
    """What an index holds altogether."""

    replicas: int
    tombstones: int
    batches: int
    stored_bytes: int
    live_bytes: int
    chunks: int
    entries: int
    """Appended, or found by recovery, since the index was made."""


class Stored(NamedTuple):
    """A batch of the log."""

    seq: int
    chunks: int
    size: int
    """In bytes."""
    live: int
    """Items in it that the index points to; at 0 the batch can go."""


class Tombstone(NamedTuple):
    """That a replica was removed."""

    group: int
    replica: int
    """The highest one removed here."""


class Span(NamedTuple):
    """Live entries [low, high) of the run in batch `carrier` that begins with `first`."""

    low: int
    high: int
    first: int
    carrier: int
    at: int
    """Offset of the run in its batch, in bytes."""
    length: int


class Carried(NamedTuple):
    """A run with live entries: of a group, from entry `first` up to `end`, at an offset in its batch."""

    group: int
    first: int
    end: int
    at: int
    length: int


class Rows:
    """A section of rows, opened. `position` tells how many have been read.

    Raises `Refused` if the section's parts do not add up.
    """

    __slots__ = ("_section", "count", "struct")

    def __init__(self, section: bytes | memoryview, base: int, count: int, *, rewritten: bool) -> None:
        """`section`: its columns and bytes. `base`: where it stands in its batch. `count`: its rows."""
        self._section = ffi.from_buffer(section)  # keeps the bytes alive, as the struct points into them
        self.count = count
        self.struct = ffi.new("struct mr_rows *")
        status = lib.mr_rows_open(self._section, len(section), base, count, rewritten, self.struct)
        if status:
            raise index_refusal(status)

    @property
    def position(self) -> int:
        """How many rows have been read."""
        position: int = self.struct.row
        return position

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(group, offset in the batch, length) of the run of each row; length 0: it has none."""
        cells = ffi.new("uint64_t[3]")
        while self.struct.row < self.count:
            lib.mr_rows_next_run(self.struct, cells)
            yield cells[0], cells[1], cells[2]


class LogView:
    """One replica's log as the index knows it; that of a replica that was removed is empty for good.

    What is asked for most looks by itself whether the replica is removed: a property costs as much as the
    answer.
    """

    __slots__ = ("_alive", "_head", "_index", "_life", "place")

    def __init__(self, index: CData, place: int) -> None:
        self._index = index
        self.place = place
        self._head = lib.mr_logindex_head(index, place)
        self._alive = lib.mr_logindex_life(index, place)
        self._life = self._alive[0]

    @property
    def removed(self) -> bool:
        """Whether the replica does not exist any more."""
        gone: bool = self._alive[0] != self._life
        return gone

    @property
    def replica(self) -> int:
        """Id of the replica; 0 once it is removed."""
        replica: int = 0 if self.removed else self._head.replica
        return replica

    @property
    def point(self) -> tuple[int, int]:
        """(index, term) that the log begins behind."""
        head = self._head
        return (1, 1) if self.removed else (head.point_index, head.point_term)

    @property
    def first_index(self) -> int:
        """Index of the first entry that is present, or would be."""
        first: int = self._head.point_index + 1 if self._alive[0] == self._life else 2
        return first

    @property
    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 if there is none."""
        last: int = self._head.last_index if self._alive[0] == self._life else 1
        return last

    @property
    def hard_state(self) -> tuple[int, int, int]:
        """Term, vote and commit."""
        head = self._head
        return (0, 0, 1) if self.removed else (head.hard_term, head.hard_vote, head.hard_commit)

    @property
    def size(self) -> int:
        """Bytes of its runs."""
        return 0 if self.removed else lib.mr_logindex_log_bytes(self._index, self.place)

    def term(self, index: int) -> int:
        """Term at `index`; 0 before the point and behind the last entry."""
        alive = self._alive[0] == self._life
        return lib.mr_logindex_term(self._index, self.place, index) if alive else 0

    def spans(self, low: int, high: int) -> Iterator[Span]:
        """Where the entries in [low, high), which are present, stand, ascending."""
        cells = ffi.new("struct mr_span[]", _SPANS)
        while low < high:
            found = lib.mr_logindex_spans(self._index, self.place, low, high, cells, _SPANS)
            assert found, f"entries [{low}, {high}) are not in the index"
            for number in range(found):
                one = cells[number]
                yield Span(one.low, one.high, one.first, one.carrier, one.at, one.length)
            low = cells[found - 1].high

    def birth(self) -> bytes:
        """The body of the birth; empty once the replica is removed."""
        return b"" if self.removed else _body(lib.mr_logindex_birth, self._index, self.place)

    def members(self) -> bytes:
        """The body of the members at the last snapshot point; empty: those of the birth."""
        return b"" if self.removed else _body(lib.mr_logindex_members, self._index, self.place)


class LogIndex:
    """The index. What changes it is staged under a sequence number, and undone or finished under it.

    Every call may raise `Refused`, which names the group and index at fault, and `MemoryError`; after either
    the batch that was being staged must be undone.
    """

    def __init__(self) -> None:
        self._index = ffi.gc(lib.mr_logindex_new(), lib.mr_logindex_free)
        if self._index == ffi.NULL:
            raise MemoryError
        self._failure = ffi.new("struct mr_log_failure *")
        self._stored = ffi.new("struct mr_stored *")
        self._tombstone = ffi.new("struct mr_tombstone *")
        self._totals = ffi.new("struct mr_log_totals *")
        self._flag = ffi.new("int *")

    @property
    def handle(self) -> CData:
        """For `logrescue` and `logdump`."""
        return self._index

    # -- looking ---------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """What there is."""
        totals = self._totals
        lib.mr_logindex_totals(self._index, totals)
        return Totals(
            totals.replicas,
            totals.tombstones,
            totals.batches,
            totals.stored_bytes,
            totals.live_bytes,
            totals.chunks,
            totals.entries,
        )

    def memory(self) -> int:
        """Bytes of memory that the index takes, about."""
        return lib.mr_logindex_memory(self._index)

    def log(self, group: int) -> LogView | None:
        """The log of the group's replica, if there is one."""
        place = lib.mr_logindex_find(self._index, group)
        return None if place == _NOWHERE else LogView(self._index, place)

    def log_at(self, place: int) -> LogView:
        """The log at a place that is in use."""
        return LogView(self._index, place)

    def groups(self) -> Iterator[int]:
        """The groups that have a replica, in no particular order; nothing may change meanwhile."""
        index = self._index
        for place in range(lib.mr_logindex_places(index)):
            group = lib.mr_logindex_group(index, place)
            if group:
                yield group

    def tombstone(self, group: int) -> Tombstone | None:
        """That of a group, if there is one."""
        lib.mr_logindex_tombstone(self._index, group, self._tombstone)
        return Tombstone(group, self._tombstone.replica) if self._tombstone.group else None

    def tombstones(self) -> Iterator[Tombstone]:
        """All of them, in no particular order; nothing may change meanwhile."""
        for number in range(self.totals().tombstones):
            found = self._tombstone
            lib.mr_logindex_tombstone_at(self._index, number, found)
            yield Tombstone(found.group, found.replica)

    def oldest(self) -> Stored | None:
        """The oldest batch."""
        return self._batch(lib.mr_logindex_batch, 0)

    def batch_after(self, seq: int) -> Stored | None:
        """The batch that follows batch `seq`."""
        return self._batch(lib.mr_logindex_batch_after, seq)

    def carried(self, seq: int) -> Iterator[Carried]:
        """The live runs in batch `seq`; looks at every log. Nothing may change meanwhile."""
        found = ffi.new("struct mr_carried *")
        while lib.mr_logindex_carried(self._index, seq, found):
            yield Carried(found.group, found.first, found.end, found.at, found.length)

    def _batch(self, look: CData, seq: int) -> Stored | None:
        stored = self._stored
        look(self._index, seq, stored)
        return Stored(stored.seq, stored.chunks, stored.size, stored.live) if stored.seq else None

    # -- staging ---------------------------------------------------------------------------------

    def begin(self, seq: int) -> None:
        """A batch is being staged; its number is above all others."""
        self._check(lib.mr_logindex_begin(self._index, seq))

    def measure(self, seq: int, chunks: int, size: int) -> None:
        """It is encoded and takes so many values and bytes."""
        self._check(lib.mr_logindex_measure(self._index, seq, chunks, size))

    def finish(self, seq: int) -> None:
        """The oldest batch in flight is durable."""
        self._check(lib.mr_logindex_finish(self._index, seq))

    def undo(self, seq: int) -> None:
        """The newest batch in flight will never be: everything is as it was before."""
        self._check(lib.mr_logindex_undo(self._index, seq))

    def bear(self, group: int, replica: int, body: bytes) -> None:
        """A replica begins to exist."""
        self._check(lib.mr_logindex_bear(self._index, group, replica, body, len(body)), group)

    def reset(self, group: int, replica: int, index: int, term: int, members: bytes) -> None:
        """A log is emptied and stands at a snapshot."""
        status = lib.mr_logindex_reset(self._index, group, replica, index, term, members, len(members))
        self._check(status, group)

    def bury(self, group: int, replica: int) -> bool:
        """A replica is removed. ``False``: that is written already."""
        self._check(lib.mr_logindex_bury(self._index, group, replica, self._flag), group)
        return not self._flag[0]

    def append(self, rows: Rows, until: int) -> None:
        """Take appended rows, up to row `until`. The GIL is released meanwhile if they are many."""
        few = until - rows.position < _MANY
        take = lib.mr_logindex_append if few else lib.mr_logindex_append_released
        status = take(self._index, rows.struct, until, self._failure)
        if status:
            raise index_refusal(status, self._failure.group, self._failure.index)

    def move_state(self, place: int, state: int) -> None:
        """A small state is written again in the batch being staged."""
        self._check(lib.mr_logindex_move_state(self._index, place, state))

    def move_tombstone(self, group: int) -> None:
        """A tombstone likewise."""
        self._check(lib.mr_logindex_move_tombstone(self._index, group), group)

    def retire(self, seq: int) -> Stored:
        """The oldest batch, wholly dead, is deleted together with the writing of batch `seq`."""
        oldest = self.oldest()
        self._check(lib.mr_logindex_retire(self._index))
        assert oldest is not None, f"batch {seq} retires a batch"
        return oldest

    # -- recovery: every stored batch, oldest first ----------------------------------------------

    def recover_batch(self, seq: int, chunks: int, size: int) -> None:
        """A batch was found."""
        self._check(lib.mr_logindex_recover_batch(self._index, seq, chunks, size))

    def recover_birth(self, group: int, replica: int, carrier: int, origin: int, body: bytes) -> None:
        """A birth, in the batch that wrote it first or in a later one."""
        status = lib.mr_logindex_recover_birth(self._index, group, replica, carrier, origin, body, len(body))
        self._check(status, group)

    def recover_point(self, group: int, replica: int, seq: int, point: tuple[int, int], body: bytes) -> None:
        """A snapshot point (index, term), with its members as body."""
        status = lib.mr_logindex_recover_point(self._index, group, replica, seq, *point, body, len(body))
        self._check(status, group)

    def recover_members(self, group: int, replica: int, carrier: int, origin: int, body: bytes) -> None:
        """The members of the last snapshot point, rewritten without it."""
        status = lib.mr_logindex_recover_members(
            self._index, group, replica, carrier, origin, body, len(body)
        )
        self._check(status, group)

    def recover_tombstone(self, group: int, replica: int, carrier: int, origin: int) -> None:
        """A tombstone."""
        status = lib.mr_logindex_recover_tombstone(self._index, group, replica, carrier, origin)
        self._check(status, group)

    def recover_rows(self, seq: int, rows: Rows, until: int) -> None:
        """Rows of batch `seq`, up to row `until`."""
        status = lib.mr_logindex_recover_rows(self._index, seq, rows.struct, until, self._failure)
        if status:
            raise index_refusal(status, self._failure.group, self._failure.index)

    def recovered(self) -> None:
        """That was all: every log is checked, and what is alive is counted."""
        status = lib.mr_logindex_recovered(self._index, self._failure)
        if status:
            raise index_refusal(status, self._failure.group, self._failure.index)

    def _check(self, status: int, group: int = 0) -> None:
        if status:
            raise index_refusal(status, group)


def _body(look: CData, index: CData, place: int) -> bytes:
    pointer = ffi.new("const uint8_t **")
    length = look(index, place, pointer)
    return ffi.buffer(pointer[0], length)[:] if length else b""
