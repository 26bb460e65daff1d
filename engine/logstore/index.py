"""The index in memory: per group, which batch holds which entries, and the group's small states."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from ...raft.errors import Compacted, Unavailable
from ...raft.state import ConfState, HardState
from .port import Birth

NEWBORN_POINT: Final = (1, 1)
NEWBORN_STATE: Final = HardState(0, 0, 1)

LENGTH_BITS: Final = 32
"""Of the number that packs offset and length of a run."""
_LENGTH_MASK: Final = (1 << LENGTH_BITS) - 1

T = TypeVar("T")


class Kept(NamedTuple, Generic[T]):
    """A small state of a group and where it is written."""

    value: T
    carrier: int
    """The batch that holds it today; 0 if it follows from the birth and is written nowhere."""
    origin: int
    """The batch in which it was first written: of two, the one with the greater origin counts."""


class Segment(NamedTuple):
    """Live entries [low, high) of one group in one batch."""

    low: int
    high: int
    carrier: int
    first: int
    """Index of the first entry of the run that they are part of; at most `low`."""
    run_at: int
    run_length: int


class GroupIndex:
    """One replica's part of the index.

    Invariant: point index + 1 == first index <= last index + 1; segments cover [first, last] without a
    hole, each up to where the next one begins; origins of the small states are at least the birth's.
    """

    __slots__ = (
        "birth",
        "carriers",
        "conf_state",
        "firsts",
        "hard_state",
        "last_index",
        "places",
        "point",
        "replica_id",
        "term_firsts",
        "terms",
    )

    def __init__(self, birth: Kept[Birth]) -> None:
        """A newborn: an empty log at snapshot point (1, 1)."""
        origin = birth.origin
        self.birth = birth
        self.replica_id = birth.value.replica_id
        self.conf_state: Kept[ConfState] = Kept(birth.value.conf_state, 0, origin)
        self.hard_state: Kept[HardState] = Kept(NEWBORN_STATE, 0, origin)
        self.point: Kept[tuple[int, int]] = Kept(NEWBORN_POINT, 0, origin)
        self.last_index = NEWBORN_POINT[0]
        self.firsts = array("Q")
        """First index of each segment's run, ascending."""
        self.carriers = array("Q")
        """The batch that holds each segment's run."""
        self.places = array("Q")
        """Offset of the run in its batch << 32 | its length."""
        self.term_firsts = array("Q")
        """Where a new term begins; may begin before the first index."""
        self.terms = array("Q")

    @property
    def first_index(self) -> int:
        """Index of the first entry that is present, or would be."""
        return self.point.value[0] + 1

    @property
    def last_term(self) -> int:
        """Term of the last entry, or of the point."""
        return self.terms[-1] if self.terms else self.point.value[1]

    def term(self, index: int) -> int:
        """Term at `index`. Raises `Compacted`, `Unavailable`."""
        point, point_term = self.point.value
        if index == point:
            return point_term
        if index < point:
            raise Compacted(index, point + 1)
        if index > self.last_index:
            raise Unavailable(index, self.last_index)
        return self.terms[bisect_right(self.term_firsts, index) - 1]

    def segments(self, low: int, high: int) -> Iterator[Segment]:
        """The segments that hold [low, high), ascending, cut to it; these entries are present."""
        position = bisect_right(self.firsts, low) - 1
        while low < high:
            following = position + 1
            end = self.firsts[following] if following < len(self.firsts) else self.last_index + 1
            run_at, run_length = unplace(self.places[position])
            first, carrier = self.firsts[position], self.carriers[position]
            yield Segment(low, min(end, high), carrier, first, run_at, run_length)
            low, position = end, following

    def position_of(self, first: int, carrier: int, run_at: int) -> int | None:
        """Which segment lives in the run that begins with `first` and stands at `run_at` of `carrier`."""
        position = bisect_right(self.firsts, first) - 1
        if position < 0 or self.firsts[position] != first or self.carriers[position] != carrier:
            return None
        return position if unplace(self.places[position])[0] == run_at else None

    def live_part(self, position: int) -> tuple[int, int]:
        """[low, high) of the entries that live in a segment."""
        following = position + 1
        end = self.firsts[following] if following < len(self.firsts) else self.last_index + 1
        return max(self.firsts[position], self.first_index), end


def place(run_at: int, run_length: int) -> int:
    """Offset and length of a run as one number."""
    return run_at << LENGTH_BITS | run_length


def unplace(packed: int) -> tuple[int, int]:
    """(offset, length) of a run."""
    return packed >> LENGTH_BITS, packed & _LENGTH_MASK


def placed_bytes(packed: "array[int]") -> int:
    """Sum of the lengths of runs."""
    return sum(number & _LENGTH_MASK for number in packed)
