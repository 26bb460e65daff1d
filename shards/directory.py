"""The directory: every range of the cluster, in columns, and the nodes that hold them.

A hundred thousand ranges as objects would cost some 60 MB and every full garbage collection a walk over
them. So ranges are kept as parallel columns in the order of their starts, and a descriptor is made when
somebody asks for one.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from ..engine.errors import InvalidRanges
from .descriptor import RangeDescriptor, Replicas
from .keyrange import KeyRange, reaches, uncovered_parts

FIRST_USER_GROUP: Final = 2
"""Group 1 is the system group, which holds the directory itself."""

T = TypeVar("T")


class NodeRecord(NamedTuple):
    """What the cluster knows of a node."""

    store_uuid: bytes
    """16 bytes, made with the node's data directory: a wiped or copied node is known by them."""
    address: str
    """"host:port" of its listener."""


class Directory:
    """Ranges, nodes and counters at one version. Only the directory's machine changes it.

    Invariant: ``starts`` ascend, and no range reaches beyond the start of the next one.
    """

    def __init__(self) -> None:
        self.version = 0
        """Commands applied so far. Elsewhere this is what *directory index* means."""
        self.cluster_uuid: bytes | None = None
        """16 bytes, fixed by the first node that registers."""
        self.next_group = FIRST_USER_GROUP
        """The id that the next new range gets; greater than every group ever created."""
        self.nodes: dict[int, NodeRecord] = {}
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []
        self._groups = array("Q")
        self._epochs = array("Q")
        self._created = array("Q")
        self._replicas: list[Replicas] = []
        self._interned: dict[Replicas, Replicas] = {}
        self._sorted_groups = array("Q")
        self._start_of_group: list[bytes] = []
        """Beside each of the sorted groups the start of its range."""

    @property
    def ranges(self) -> int:
        """How many ranges there are."""
        return len(self._starts)

    @property
    def group_bounds(self) -> tuple[int, int]:
        """The lowest and the highest group that serves a range; (0, 0) if there is none."""
        groups = self._sorted_groups
        return (groups[0], groups[-1]) if groups else (0, 0)

    # -- asking ----------------------------------------------------------------------------------

    def lookup(self, key: bytes) -> RangeDescriptor | None:
        """The range that holds a key, None if none does."""
        at = bisect_right(self._starts, key) - 1
        if at < 0 or not reaches(self._ends[at], key):
            return None
        return self._at(at)

    def by_group(self, group: int) -> RangeDescriptor | None:
        """The range that a group serves, None if it serves none."""
        place = self._place_of(group)
        return None if place is None else self._at(place)

    def overlapping(
        self, start: bytes, stop: bytes | None, *, reverse: bool = False, limit: int | None = None
    ) -> list[RangeDescriptor]:
        """The ranges that hold a key of ``[start, stop)``, in order (descending if ``reverse``)."""
        places = self._places(start, stop)
        if reverse:
            places = places[::-1]
        return [self._at(place) for place in places[:limit]]

    def uncovered(self, start: bytes, end: bytes | None) -> list[KeyRange]:
        """The parts of ``[start, end)`` that no range covers, in order."""
        ranges = ((self._starts[place], self._ends[place]) for place in self._places(start, end))
        return list(uncovered_parts((start, end), ranges))

    def on_node(self, node: int) -> Iterator[RangeDescriptor]:
        """The ranges that have a replica on a node, by group. Nothing may be added meanwhile."""
        here = {replicas for replicas in self._interned if any(home == node for _, home in replicas)}
        for start in self._start_of_group:
            place = bisect_left(self._starts, start)
            if self._replicas[place] in here:
                yield self._at(place)

    def _place_of(self, group: int) -> int | None:
        place = bisect_left(self._sorted_groups, group)
        if place == len(self._sorted_groups) or self._sorted_groups[place] != group:
            return None
        return bisect_left(self._starts, self._start_of_group[place])

    def _places(self, start: bytes, stop: bytes | None) -> range:
        if KeyRange(start, stop).empty:
            return range(0)
        first = bisect_right(self._starts, start) - 1
        if first < 0 or not reaches(self._ends[first], start):
            first += 1
        return range(first, len(self._starts) if stop is None else bisect_left(self._starts, stop))

    def _at(self, place: int) -> RangeDescriptor:
        return RangeDescriptor(
            self._groups[place],
            self._starts[place],
            self._ends[place],
            self._epochs[place],
            self._replicas[place],
            self._created[place],
        )

    # -- changing --------------------------------------------------------------------------------

    def add(self, descriptors: Iterable[RangeDescriptor]) -> None:
        """Merge new ranges into the columns, in one pass over what stands behind the first of them.

        Raises:
            InvalidRanges: two ranges, new or old, overlap, or a group is there already. Nothing has changed.
        """
        added = sorted(descriptors, key=attrgetter("start"))
        places = [bisect_left(self._starts, one.start) for one in added]
        by_group = sorted(added, key=attrgetter("group"))
        group_places = [bisect_left(self._sorted_groups, one.group) for one in by_group]
        self._check_room(added, places)
        self._check_groups(by_group, group_places)
        cuts, starts = _cuts(places), _shared_starts(added)
        start_of = {one.group: start for one, start in zip(added, starts, strict=True)}
        _merge(self._starts, cuts, starts)
        _merge(self._ends, cuts, [one.end for one in added])
        _merge(self._groups, cuts, array("Q", [one.group for one in added]))
        _merge(self._epochs, cuts, array("Q", [one.epoch for one in added]))
        _merge(self._created, cuts, array("Q", [one.created for one in added]))
        intern = self._interned.setdefault
        _merge(self._replicas, cuts, [intern(one.replicas, one.replicas) for one in added])
        cuts = _cuts(group_places)
        _merge(self._sorted_groups, cuts, array("Q", [one.group for one in by_group]))
        _merge(self._start_of_group, cuts, [start_of[one.group] for one in by_group])

    def remove(self, groups: Iterable[int]) -> None:
        """Take the ranges of these groups, as far as they are here, out of the columns, in one pass."""
        found = [self._place_of(group) for group in set(groups)]
        places = sorted(place for place in found if place is not None)
        group_places = sorted(bisect_left(self._sorted_groups, self._groups[place]) for place in places)
        _cut_out(self._starts, places)
        _cut_out(self._ends, places)
        _cut_out(self._groups, places)
        _cut_out(self._epochs, places)
        _cut_out(self._created, places)
        _cut_out(self._replicas, places)
        _cut_out(self._sorted_groups, group_places)
        _cut_out(self._start_of_group, group_places)

    def become(self, other: "Directory") -> None:
        """Take over everything from another directory, which is of no use afterwards.

        Whoever holds this one sees the new state.
        """
        vars(self).update(vars(other))

    def _check_room(self, added: Sequence[RangeDescriptor], places: Sequence[int]) -> None:
        """Whether each new range lies between its neighbours, old and new."""
        last: RangeDescriptor | None = None
        for one, place in zip(added, places, strict=True):
            start, end = one.start, one.end
            if not reaches(end, start):
                raise InvalidRanges(f"the interval {one.bounds} is empty")
            other: RangeDescriptor | None = None
            if last is not None and reaches(last.end, start):
                other = last
            elif place > 0 and reaches(self._ends[place - 1], start):
                other = self._at(place - 1)
            elif place < self.ranges and reaches(end, self._starts[place]):
                other = self._at(place)
            if other is not None:
                raise InvalidRanges(f"the range {one.bounds} overlaps the range {other.bounds}")
            last = one

    def _check_groups(self, added: Sequence[RangeDescriptor], places: Sequence[int]) -> None:
        before = 0
        for one, place in zip(added, places, strict=True):
            known = place < len(self._sorted_groups) and self._sorted_groups[place] == one.group
            if known or one.group == before:
                raise InvalidRanges(f"group {one.group} serves two ranges")
            before = one.group


def _shared_starts(added: Sequence[RangeDescriptor]) -> list[bytes]:
    """The starts; one that is the end of the range before is the same object, which halves their memory."""
    starts, end = [], None
    for one in added:
        starts.append(end if end is not None and end == one.start else one.start)
        end = one.end
    return starts


Cut = tuple[int, int, int]
"""Insert, before this place of the old column, this slice (from, to) of the new items."""


def _cuts(places: Sequence[int]) -> list[Cut]:
    """Where the new items go, neighbours together: creating in bulk fills one gap, hence one cut."""
    borders = [at for at, place in enumerate(places) if at == 0 or places[at - 1] != place]
    return [(places[at], at, end) for at, end in pairwise([*borders, len(places)])]


def _merge(column: MutableSequence[T], cuts: Sequence[Cut], added: Sequence[T]) -> None:
    """Insert into a column. What stands before the first cut is not touched, what follows moves once."""
    if not cuts:
        return
    first = cuts[0][0]
    tail = column[first:]
    del column[first:]
    moved = 0
    for place, low, high in cuts:
        column.extend(tail[moved : place - first])
        column.extend(added[low:high])
        moved = place - first
    column.extend(tail[moved:])


def _cut_out(column: MutableSequence[T], places: Sequence[int]) -> None:
    """Take out what stands at these places, ascending. What stands before the first is not touched."""
    if not places:
        return
    first = places[0]
    tail = column[first:]
    del column[first:]
    for place, following in pairwise([*places, first + len(tail)]):
        column.extend(tail[place - first + 1 : following - first])
