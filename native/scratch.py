"""Memory that C writes into, lent for one call and used again: fresh pages cost more than the work."""

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from ._native import ffi, lib

# Nothing reads what C has not written, so clearing the memory first would be for nothing.
new_uncleared: Final = ffi.new_allocator(should_clear_after_alloc=False)


class Scratch(Protocol):
    """Memory with room for ``room`` items."""

    @property
    def room(self) -> int:
        """Items that fit."""
        ...


S = TypeVar("S", bound=Scratch)


class Pool(Generic[S]):
    """Lends scratch memory.

    A taken item belongs to the taker alone until it is given back, so threads and nested calls never share
    one. As many items are kept as were ever out at the same time, each of at most ``keep`` room.
    """

    __slots__ = ("_idle", "_keep", "_make")

    def __init__(self, make: Callable[[int], S], keep: int) -> None:
        self._make = make
        self._keep = keep
        self._idle: list[S] = []

    def take(self, room: int) -> S:
        """An item with room for at least ``room``; its content is undefined."""
        try:
            item = self._idle.pop()
        except IndexError:
            return self._make(self._rounded(room))
        return item if item.room >= room else self._make(self._rounded(room))

    def give(self, item: S) -> None:
        """Take ``item`` back; the caller must not touch it again."""
        if item.room <= self._keep:
            self._idle.append(item)

    def _rounded(self, room: int) -> int:
        """A power of two, so that a slowly growing demand allocates seldom; exact if not to be kept."""
        return room if room > self._keep else max(64, 1 << (room - 1).bit_length())


class Output:
    """Bytes for an encoder: ``cells`` for C, ``view`` to slice the result from."""

    __slots__ = ("cells", "room", "view")

    def __init__(self, room: int) -> None:
        self.room = room
        self.cells = new_uncleared("uint8_t[]", room)
        self.view = ffi.buffer(self.cells)


class Numbers:
    """A column of u64."""

    __slots__ = ("cells", "room")

    def __init__(self, room: int) -> None:
        self.room = room
        self.cells = new_uncleared("uint64_t[]", room)


class EntryColumns:
    """Columns for the entries that a decoder finds, and the struct that shows them to C."""

    __slots__ = ("end", "index", "room", "run", "start", "struct", "term", "type", "types")

    def __init__(self, room: int) -> None:
        self.room = room
        self.run = ffi.new("struct mr_run *")
        self.term = new_uncleared("uint64_t[]", room)
        self.index = new_uncleared("uint64_t[]", room)
        self.type = new_uncleared("uint8_t[]", room)
        self.types = ffi.buffer(self.type)
        self.start = new_uncleared("uint32_t[]", room)
        self.end = new_uncleared("uint32_t[]", room)
        self.struct = ffi.new("struct mr_entry_columns *")
        self.struct.room = room
        for name in ("term", "index", "type", "start", "end"):
            setattr(self.struct, name, getattr(self, name))


NUMBER_COLUMNS: Final = ("group", "to", "from", "term", "log_term", "index", "commit", "reject_hint")
BYTE_COLUMNS: Final = ("type", "reject")
OFFSET_COLUMNS: Final = ("run_start", "extra_start", "extra_end", "entries_end")


class MessageColumns:
    """Columns for the messages that a decoder finds, and the structs that show them to C."""

    __slots__ = ("_cells", "bytes", "found", "numbers", "offsets", "room", "struct")

    def __init__(self, room: int) -> None:
        self.room = room
        self.found = ffi.new("struct mr_messages *")
        self.numbers = [new_uncleared("uint64_t[]", room) for _ in NUMBER_COLUMNS]
        self._cells = [new_uncleared("uint8_t[]", room) for _ in BYTE_COLUMNS]
        self.bytes = [ffi.buffer(cells) for cells in self._cells]
        self.offsets = [new_uncleared("uint32_t[]", room) for _ in OFFSET_COLUMNS]
        self.struct = ffi.new("struct mr_message_columns *")
        self.struct.room = room
        names = (*NUMBER_COLUMNS, *BYTE_COLUMNS, *OFFSET_COLUMNS)
        for name, cells in zip(names, (*self.numbers, *self._cells, *self.offsets), strict=True):
            setattr(self.struct, name, cells)


entry_columns: Final = Pool(EntryColumns, keep=lib.MR_MESSAGES_ENTRIES_MAX)
"""Shared by all decoders of entries."""
