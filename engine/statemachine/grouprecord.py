"""The record of a group whose data is in the state store: where it lies, and what it amounts to."""

import struct
from typing import Final, NamedTuple

from .applied import Point, encode_point
from .records import damaged, open_point
from .tally import Tally

_DATA: Final = struct.Struct("<QQQ")

NO_DATA: Final = 0
"""Prefix of a group without data (0 is the prefix of records, so no data can have it)."""


class GroupRecord(NamedTuple):
    """``point`` is an encoded applied record, empty if there is none yet.

    Invariant: ``tally`` counts the keys under ``prefix``, all of them and no others.
    """

    prefix: int = NO_DATA
    tally: Tally = Tally()
    point: bytes = b""

    def open_point(self, key: bytes, group: int) -> Point | None:
        """The applied record. Raises Corruption."""
        return open_point(key, self.point, group) if self.point else None

    def encode(self) -> bytes:
        """The content that is stored."""
        return _DATA.pack(self.prefix, *self.tally) + self.point

    def with_point(self, point: Point) -> "GroupRecord":
        """The same with another applied record."""
        return self._replace(point=encode_point(point))


def open_group_record(key: bytes, content: bytes, group: int) -> GroupRecord:
    """The record in intact bytes. Raises Corruption."""
    if len(content) < _DATA.size:
        raise damaged(key, group, "a group's record is cut short")
    prefix, keys, total = _DATA.unpack_from(content)
    return GroupRecord(prefix, Tally(keys, total), content[_DATA.size :])
