"""The index of a log store as bytes, in slices between which it may change, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._native import ffi, lib
from .errors import GROW, index_refusal

if TYPE_CHECKING:
    from .logindex import LogIndex

LOGS: Final = 1
TOMBSTONES: Final = 2
BATCHES: Final = 3
"""What a slice holds."""

_ROOM: Final = 256 << 10  # bytes of a slice: a fraction of a millisecond; one log may need more


class LogDump:
    """One pass over an index: the logs, the tombstones, the batches up to `until`."""

    def __init__(self, index: LogIndex, until: int) -> None:
        self._index = index
        self._until = until
        self._dump = ffi.new("struct mr_log_dump *")
        self._room = _ROOM
        self._target = ffi.new("uint8_t[]", _ROOM)
        self._kind = LOGS

    def slice(self, as_of: int) -> tuple[int, bytes] | None:
        """The kind and bytes of the next slice, None behind the last. `as_of`: the batch staged last."""
        while self._kind <= BATCHES:
            status = self._write(as_of)
            if status == GROW:
                self._room = self._dump.written
                self._target = ffi.new("uint8_t[]", self._room)
                status = self._write(as_of)
            if status:
                raise index_refusal(status)
            if self._dump.written:
                return self._kind, ffi.buffer(self._target)[: self._dump.written]
            self._kind += 1
        return None

    def _write(self, as_of: int) -> int:
        index, dump, target, room = self._index.handle, self._dump, self._target, self._room
        if self._kind == LOGS:
            return lib.mr_logdump_logs(index, as_of, dump, target, room)
        if self._kind == TOMBSTONES:
            return lib.mr_logdump_tombstones(index, dump, target, room)
        return lib.mr_logdump_batches(index, self._until, dump, target, room)


def load_slice(index: LogIndex, kind: int, data: memoryview, oldest: int, newest: int) -> None:
    """Put a slice into an index that is being recovered.

    Nothing is stored in batches below `oldest` or above `newest`. Raises `Refused` for what is no slice of
    that kind; the index is of no use then.
    """
    with ffi.from_buffer(data) as view:
        if kind == LOGS:
            status = lib.mr_logload_logs(index.handle, view, len(view), oldest, newest)
        elif kind == TOMBSTONES:
            status = lib.mr_logload_tombstones(index.handle, view, len(view))
        else:
            status = lib.mr_logload_batches(index.handle, view, len(view), oldest)
    if status:
        raise index_refusal(status)
