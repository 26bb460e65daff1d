"""The group table against a dictionary, and what it refuses."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from multiraft.native.errors import NativeBug, Refused
from multiraft.native.grouptable import NEVER, DormantRow, GroupTable

GROUPS = st.integers(1, 12) | st.integers(2**32 + 1, 2**32 + 12)
ROWS = st.builds(
    DormantRow,
    st.integers(1, 2**64 - 1),
    *[st.integers(0, 2**64 - 1)] * 4,
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
TICKS = st.one_of(st.integers(0, 20), st.just(NEVER - 1))


def test_a_row_is_never_due_until_it_is_said_when():
    table = GroupTable()
    place = table.add(7)
    assert table.due(NEVER - 1) == []
    table.due_at(place, 5)
    assert table.due(4) == []
    assert table.due(5) == table.due(6) == [7]


def test_a_pass_over_the_rows_finds_out_when_somebody_is_due_next():
    table = GroupTable()
    first, second = table.add(7), table.add(8)
    table.due_at(first, 5)
    table.due_at(second, 9)
    table.due_at(first, 11)
    assert table.soonest <= 5, "a bound, without a pass"
    assert table.due(6) == []
    assert table.soonest == 9
    table.due_at(first, 8)
    assert table.soonest == 8
    table.remove(8)
    assert table.due(8) == [7]
    table.due_at(first, NEVER)
    assert table.due(9) == []
    assert table.soonest == NEVER


def test_what_is_due_comes_by_place_however_many_there_are():
    table = GroupTable()
    groups = list(range(10_000, 0, -1))
    for group in groups:
        table.due_at(table.add(group), group % 2)
    assert table.due(0) == [group for group in groups if group % 2 == 0]
    assert table.due(1) == groups


def test_large_numbers_are_groups_as_well():
    """The first of them makes the map behind the table another one, when it has room left and when not."""
    for small in range(40):
        table = GroupTable()
        groups = [*range(1, small + 1), 2**32 + 1, 1 << 32, 2**64 - 1, *range(1000, 1040)]
        for group in groups:
            table.due_at(table.add(group), 1)
        assert table.due(1) == groups
        for group in groups[::2]:
            table.remove(group)
            with pytest.raises(Refused):
                table.remove(group)
        assert table.due(1) == groups[1::2]


def test_a_second_row_and_one_that_is_not_there_are_refused():
    table = GroupTable()
    table.add(7)
    with pytest.raises(Refused, match="another replica"):
        table.add(7)
    with pytest.raises(Refused, match="no such replica"):
        table.remove(8)
    assert len(table) == 1


def test_a_free_place_never_comes_due():
    table = GroupTable()
    place = table.add(7)
    table.due_at(place, 1)
    table.remove(7)
    assert table.due(1) == []
    for free in (place, place + 1):
        with pytest.raises(NativeBug):
            table.due_at(free, 1)
    assert table.add(9) == place, "places are used again"
    assert table.due(NEVER - 1) == [], "with nothing left of who was there"


def test_a_replica_that_is_put_away_never_comes_due_and_comes_back_as_it_was():
    table = GroupTable()
    place = table.add(7)
    table.due_at(place, 5)
    row = DormantRow(2, 1, 3, 40, 38, 17, leads=False)
    table.put_away(place, row)
    assert table.due(NEVER - 1) == []
    assert table.look(7) == (place, row)
    assert table.list_dormant() == [7]
    for wrong in (lambda: table.put_away(place, row), lambda: table.due_at(place, 1)):
        with pytest.raises(NativeBug):
            wrong()
    table.take_up(place)
    assert table.look(7) is None
    assert table.dormant == 0
    with pytest.raises(NativeBug):
        table.take_up(place)


def test_a_row_that_is_removed_takes_what_it_holds_with_it():
    table = GroupTable()
    place = table.add(7)
    table.put_away(place, DormantRow(2, 1, 3, 40, 38, 17, leads=True))
    table.remove(7)
    assert table.dormant == 0
    assert table.add(8) == place
    assert table.look(8) is None


class TableMachine(RuleBasedStateMachine):
    """Rows come and go, come due and don't."""

    def __init__(self) -> None:
        super().__init__()
        self.table = GroupTable()
        self.rows: dict[int, tuple[int, int]] = {}  # group -> (place, due tick)
        self.dormant: dict[int, DormantRow] = {}

    @rule(group=GROUPS)
    def add(self, group: int):
        if group in self.rows:
            return
        place = self.table.add(group)
        assert place not in {one for one, _ in self.rows.values()}
        self.rows[group] = place, NEVER

    @rule(group=GROUPS)
    def remove(self, group: int):
        if self.rows.pop(group, None):
            self.table.remove(group)
            self.dormant.pop(group, None)

    @rule(group=GROUPS, tick=TICKS)
    def due_at(self, group: int, tick: int):
        if group in self.rows and group not in self.dormant:
            place, _ = self.rows[group]
            self.table.due_at(place, tick)
            self.rows[group] = place, tick

    @rule(group=GROUPS, row=ROWS)
    def put_away(self, group: int, row: DormantRow):
        if group in self.rows and group not in self.dormant:
            place, _ = self.rows[group]
            self.table.put_away(place, row)
            self.rows[group] = place, NEVER
            self.dormant[group] = row

    @rule(group=GROUPS)
    def take_up(self, group: int):
        row = self.dormant.pop(group, None)
        found = self.table.look(group)
        assert found == (None if row is None else (self.rows[group][0], row))
        if found is not None:
            self.table.take_up(found[0])

    @rule(tick=TICKS)
    def due(self, tick: int):
        due = sorted((place, group) for group, (place, at) in self.rows.items() if at <= tick)
        assert self.table.soonest <= min((at for _, at in self.rows.values()), default=NEVER)
        assert self.table.due(tick) == [group for _, group in due]
        assert len(self.table) == len(self.rows)
        assert sorted(self.table.list_dormant()) == sorted(self.dormant)
        assert self.table.dormant == len(self.dormant)

    @rule()
    def sum_dormant(self):
        rows = list(self.dormant.values())
        ready = [row for row in rows if row.index > 1]
        assert self.table.sum_dormant() == (
            sum(row.leads for row in rows),
            len(ready),
            sum(row.leads for row in ready),
            sum(row.index - 1 for row in ready) % 2**64,
            max((row.term for row in rows), default=0),
        )


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
