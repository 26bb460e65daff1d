"""Resting groups of one pair of nodes: which, and a digest by which both sides see whether they agree."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import BadFrame, bad_frame, index_refusal
from .scratch import new_uncleared

if TYPE_CHECKING:
    from ._native import CData

LISTED_BYTES: Final = lib.MR_LISTED_SIZE
"""What a group takes in a list."""
END: Final = (1 << 64) - 1
"""Behind every group."""
_CHUNK: Final = 1024

_add = lib.mr_digest_add
_remove = lib.mr_digest_remove


class RestPoint(NamedTuple):
    """Where a group rests: its leader's term, and the index at which every log ends."""

    term: int
    commit: int


class RestDigest:
    """Groups and their points, and the sum over all of them, in which no order counts.

    A *list* is bytes: by ascending group, group, term and commit, 8 bytes each, little-endian.
    """

    __slots__ = ("_digest",)

    def __init__(self) -> None:
        digest = lib.mr_digest_new()
        if digest == ffi.NULL:
            raise MemoryError("no memory for a digest")
        self._digest = ffi.gc(digest, lib.mr_digest_free)

    @property
    def handle(self) -> "CData":
        """For `nursery`."""
        return self._digest

    def __len__(self) -> int:
        return lib.mr_digest_count(self._digest)

    def __contains__(self, group: int) -> bool:
        return self.point(group) is not None

    def __iter__(self) -> Iterator[int]:
        """The groups, ascending; one that comes or goes meanwhile may be missed."""
        low, room = 0, ffi.new("uint64_t[]", _CHUNK)
        while found := lib.mr_digest_unlike(self._digest, low, END, b"", 0, room, _CHUNK):
            groups = ffi.unpack(room, found)
            yield from groups
            low = groups[-1] + 1

    @property
    def total(self) -> int:
        """Sum over the groups of 64 bits in which every bit of group and point counts, modulo 2^64."""
        return lib.mr_digest_total(self._digest)

    def point(self, group: int) -> RestPoint | None:
        """Where a group rests, None if it does not."""
        point = ffi.new("uint64_t[2]")
        return RestPoint(point[0], point[1]) if lib.mr_digest_find(self._digest, group, point) else None

    def add(self, group: int, point: RestPoint) -> None:
        """A group rests that did not. Raises Refused if it did, or MemoryError."""
        status = _add(self._digest, group, point.term, point.commit)
        if status:
            raise index_refusal(status, group)

    def remove(self, group: int) -> None:
        """A group does not rest any more. Raises Refused if it did not before."""
        status = _remove(self._digest, group)
        if status:
            raise index_refusal(status, group)

    def lists(self, size: int, low: int = 0) -> Iterator[tuple[int, int, bytes]]:
        """All groups from ``low`` on in lists of at most ``size``: (low, high, those in [low, high)).

        Together the lists leave no number out, and of no groups there is one list. Nothing may come or go
        meanwhile.
        """
        room = new_uncleared("uint8_t[]", (size + 1) * LISTED_BYTES)
        while True:
            found = lib.mr_digest_list(self._digest, low, END, room, size + 1)
            listed = ffi.buffer(room)[: min(found, size) * LISTED_BYTES]
            if found <= size:
                yield low, END, listed
                return
            high = int.from_bytes(ffi.buffer(room)[size * LISTED_BYTES :][:8], "little")
            yield low, high, listed
            low = high

    def unlike(self, low: int, high: int, listed: bytes) -> list[int]:
        """The groups in [low, high), ascending, that a list does not have, or has at another point."""
        room, count = ffi.new("uint64_t[]", _CHUNK), len(listed) // LISTED_BYTES
        unlike: list[int] = []
        while True:
            found = lib.mr_digest_unlike(self._digest, low, high, listed, count, room, _CHUNK)
            unlike += ffi.unpack(room, found)
            if found < _CHUNK:
                return unlike
            low = unlike[-1] + 1

    def strange(self, listed: bytes) -> list[int]:
        """The groups of a list, ascending, that do not rest here."""
        count = len(listed) // LISTED_BYTES
        room = ffi.new("uint64_t[]", count)
        return ffi.unpack(room, lib.mr_digest_strange(self._digest, listed, count, room))


def check_list(listed: bytes, size: int) -> None:
    """Whether bytes are a list of at most ``size`` groups. Raises BadFrame."""
    if len(listed) > size * LISTED_BYTES:
        raise BadFrame(f"{len(listed)} bytes are no list of at most {size} resting groups")
    status = lib.mr_listed_check(listed, len(listed))
    if status:
        raise bad_frame(status, "a list of resting groups")
