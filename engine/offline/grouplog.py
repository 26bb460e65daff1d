"""What a log holds of one group, put together from the batches that can be read."""

from bisect import bisect_right
from operator import attrgetter
from typing import NamedTuple

from ...raft.state import ConfState, HardState
from ..logstore.metas import decode_members, decode_snapshot_point
from ..logstore.port import Birth

NEWBORN = (1, 1)
"""Index and term of the point that a newborn group's log stands on."""


class Segment(NamedTuple):
    """Live entries [first, end) of a run."""

    first: int
    end: int
    carrier: int
    """The batch that holds the run today."""
    at: int
    """Offset of the run in the batch."""
    length: int
    """Bytes of the run; it begins with entry `first`."""
    body: int
    """The batch's `body_size`."""


class GroupLog:
    """The log of one replica as the batches tell it, in their order; what is damaged is missing from it.

    Batches are deleted oldest first, and one only when everything alive in it has been rewritten to a later
    one. So a rewritten run belongs into a gap between its neighbours, or in place of what it was copied from
    if that batch is still there; of small states the one with the later origin counts.
    """

    def __init__(self, group: int, replica: int) -> None:
        self.group = group
        self.replica = replica
        self.birth: Birth | None = None
        self.hard_state = HardState(0, 0, 1)
        self.point = NEWBORN
        """(index, term) that the log begins behind."""
        self.segments: list[Segment] = []
        self._members: ConfState | None = None
        self._origins: dict[str, int] = {}

    @property
    def first_index(self) -> int:
        """Index of the first entry that is present, or would be."""
        return self.point[0] + 1

    @property
    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 if there is none."""
        return self.segments[-1].end - 1 if self.segments else self.point[0]

    @property
    def members(self) -> ConfState | None:
        """The members at the last snapshot point, or else at the birth."""
        return self._members or (self.birth.conf_state if self.birth is not None else None)

    @property
    def run_bytes(self) -> int:
        """What the runs of its entries take."""
        return sum(segment.length for segment in self.segments)

    def gaps(self) -> list[tuple[int, int]]:
        """Entries [from, to) that should be there and are not."""
        missing, expected = [], self.first_index
        for segment in self.segments:
            if segment.first > expected:
                missing.append((expected, segment.first))
            expected = max(expected, segment.end)
        return missing

    def segments_of(self, low: int, high: int) -> list[Segment]:
        """The segments that hold entries of [low, high)."""
        return [segment for segment in self.segments if segment.first < high and segment.end > low]

    # -- what batches tell -----------------------------------------------------------------------

    def born(self, birth: Birth, origin: int) -> None:
        """The replica exists."""
        if self._is_newer("birth", origin):
            self.birth = birth

    def stands_on(self, body: bytes, origin: int) -> None:
        """The log was emptied and stands on a snapshot point. Raises `BadMeta`."""
        point = decode_snapshot_point(body)
        self.segments.clear()
        if self._is_newer("point", origin):
            self.point = (point.index, point.term)
        if self._is_newer("members", origin):
            self._members = point.conf_state

    def has_members(self, body: bytes, origin: int) -> None:
        """The members of the last snapshot point, rewritten. Raises `BadMeta`."""
        if self._is_newer("members", origin):
            self._members = decode_members(body)

    def voted(self, hard_state: tuple[int, int, int], origin: int) -> None:
        """Term, vote and commit."""
        if self._is_newer("hard", origin):
            self.hard_state = HardState(*hard_state)

    def cut(self, point: tuple[int, int], origin: int) -> None:
        """Entries up to a point were dropped."""
        if self._is_newer("point", origin):
            self.point = point
            self._drop_cut()

    def appended(self, segment: Segment) -> None:
        """A run in the batch that wrote it first: it replaces everything from its first entry on."""
        while self.segments and self.segments[-1].first >= segment.first:
            self.segments.pop()
        if self.segments and self.segments[-1].end > segment.first:
            self.segments[-1] = self.segments[-1]._replace(end=segment.first)
        self.segments.append(segment)
        self._drop_cut()

    def rewritten(self, segment: Segment) -> bool:
        """A run moved to a later batch. Returns whether there was a place for it."""
        place = bisect_right(self.segments, segment.first, key=attrgetter("first"))
        after_fits = place == len(self.segments) or self.segments[place].first >= segment.end
        if place and self.segments[place - 1].end > segment.first:
            original = self.segments[place - 1]
            is_copy = (max(original.first, self.first_index), original.end) == (segment.first, segment.end)
            if is_copy:
                self.segments[place - 1] = segment
            return is_copy
        if after_fits:
            self.segments.insert(place, segment)
        return after_fits

    def _drop_cut(self) -> None:
        gone = 0
        while gone < len(self.segments) and self.segments[gone].end <= self.point[0] + 1:
            gone += 1
        del self.segments[:gone]

    def _is_newer(self, state: str, origin: int) -> bool:
        if self._origins.get(state, 0) > origin:
            return False
        self._origins[state] = origin
        return True
