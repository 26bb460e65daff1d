"""The group table: a row for each replica of a node, so that time costs only those that it concerns."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import index_refusal, refusal
from .scratch import new_uncleared

if TYPE_CHECKING:
    from ._native import CData

NEVER: Final = lib.MR_NEVER
"""A tick that never comes."""
_CHUNK: Final = 4096
"""Groups that one call hands out at most."""


class DormantRow(NamedTuple):
    """What a row says of a replica that is put away: ``struct mr_dormant``."""

    term: int
    vote: int
    lead: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    commands: int
    timeout: int
    leads: bool


class DormantTotals(NamedTuple):
    """What the rows of all replicas that are put away say together."""

    leading: int
    ready: int
    """Those whose log holds an entry: it ends behind index 1, where every group is born."""
    led_ready: int
    """Those that lead, among them."""
    entries: int
    """Behind that index, modulo 2^64."""
    max_term: int
    """0 if there are none."""


_due_at = lib.mr_groups_due_at


class GroupTable:
    """Rows by place, a number that a group keeps as long as it has a row; groups are numbered from 1."""

    __slots__ = ("_dormant", "_groups", "_place", "_table", "_totals")

    def __init__(self) -> None:
        table = lib.mr_groups_new()
        if table == ffi.NULL:
            raise MemoryError("no memory for a group table")
        self._table = ffi.gc(table, lib.mr_groups_free)
        self._place = ffi.new("uint32_t *")
        self._groups = new_uncleared("uint64_t[]", _CHUNK)
        self._dormant = ffi.new("struct mr_dormant *")
        self._totals = ffi.new("struct mr_dormant_totals *")

    @property
    def handle(self) -> "CData":
        """For `nursery`."""
        return self._table

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
        return self._all(lambda *room: lib.mr_groups_due(self._table, tick, *room))

    @property
    def soonest(self) -> int:
        """A tick before which nobody comes due; somebody who was to come due may have been put off since."""
        found: int = lib.mr_groups_soonest(self._table)
        return found

    # -- replicas without an object --------------------------------------------------------------

    @property
    def dormant(self) -> int:
        """Rows whose replica is put away."""
        return lib.mr_groups_dormant(self._table)

    def sum_dormant(self) -> DormantTotals:
        """One pass over all rows: 0.1 ms for 100,000 of them."""
        totals = self._totals
        lib.mr_groups_sum_dormant(self._table, totals)
        return DormantTotals(totals.leading, totals.ready, totals.led_ready, totals.entries, totals.max_term)

    def put_away(self, place: int, row: DormantRow) -> None:
        """The row at this place holds a replica from now on, of a term that is not 0; it never comes due."""
        dormant = self._dormant
        dormant.term, dormant.vote, dormant.lead, dormant.index, dormant.commands = row[:5]
        dormant.timeout, dormant.leads = row.timeout, row.leads
        status = lib.mr_groups_put_away(self._table, place, dormant)
        if status:
            raise refusal(status, f"the row at {place}")

    def look(self, group: int) -> tuple[int, DormantRow] | None:
        """Place and row of a replica that is put away, None if this one is not."""
        dormant = self._dormant
        if lib.mr_groups_look(self._table, group, self._place, dormant):
            return None
        return self._place[0], DormantRow(
            dormant.term,
            dormant.vote,
            dormant.lead,
            dormant.index,
            dormant.commands,
            dormant.timeout,
            bool(dormant.leads),
        )

    def take_up(self, place: int) -> None:
        """The row at this place holds a replica no more."""
        status = lib.mr_groups_take_up(self._table, place)
        if status:
            raise refusal(status, f"the row at {place}")

    def list_dormant(self) -> list[int]:
        """The groups whose replicas are put away, in the order of their places."""
        return self._all(lambda *room: lib.mr_groups_list_dormant(self._table, *room))

    def _all(self, some: Callable[..., int]) -> list[int]:
        """What ``some`` hands out piece by piece into (place, groups, room)."""
        place, groups = self._place, self._groups
        place[0] = 0
        found: list[int] = []
        while True:
            count = some(place, groups, _CHUNK)
            found += ffi.unpack(groups, count)
            if count < _CHUNK:
                return found
