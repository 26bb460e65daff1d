"""The group table: a row for each replica of a node, so that time costs only those that it concerns."""

from typing import Final

from ._native import ffi, lib
from .errors import index_refusal, refusal
from .scratch import new_uncleared

NEVER: Final = lib.MR_NEVER
"""A tick that never comes."""
_CHUNK: Final = 4096
"""Groups that one call hands out at most."""

_due_at = lib.mr_groups_due_at


class GroupTable:
    """Rows by place, a number that a group keeps as long as it has a row; groups are numbered from 1."""

    __slots__ = ("_groups", "_place", "_table")

    def __init__(self) -> None:
        table = lib.mr_groups_new()
        if table == ffi.NULL:
            raise MemoryError("no memory for a group table")
        self._table = ffi.gc(table, lib.mr_groups_free)
        self._place = ffi.new("uint32_t *")
        self._groups = new_uncleared("uint64_t[]", _CHUNK)

    def __len__(self) -> int:
        return lib.mr_groups_count(self._table)

    def add(self, group: int) -> int:
        """Give a group a row, which never comes due. Returns its place.

        Raises Refused if it has one, or MemoryError.
        """
        status = lib.mr_groups_add(self._table, group, self._place)
        if status:
            raise index_refusal(status, group)
        place: int = self._place[0]
        return place

    def remove(self, group: int) -> None:
        """Take a group's row back. Raises Refused if it has none."""
        status = lib.mr_groups_remove(self._table, group)
        if status:
            raise index_refusal(status, group)

    def due_at(self, place: int, tick: int) -> None:
        """The row at this place comes due at a tick, and stays so until another one is said."""
        status = _due_at(self._table, place, tick)
        if status:
            raise refusal(status, f"the row at {place}")

    def due(self, tick: int) -> list[int]:
        """The groups whose tick is this one or has passed, in the order of their places."""
        table, place, groups = self._table, self._place, self._groups
        place[0] = 0
        due: list[int] = []
        while True:
            found = lib.mr_groups_due(table, tick, place, groups, _CHUNK)
            due += ffi.unpack(groups, found)
            if found < _CHUNK:
                return due
