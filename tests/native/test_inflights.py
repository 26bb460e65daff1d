"""The window: the reference's table, a state machine against the twin, memory, and broken invariants."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from multiraft.native.errors import Full, NativeBug, OutOfOrder
from multiraft.native.inflights import Inflights
from tests.native import models

# size, byte limit, full after so many messages, free up to, full again at
FULL_TABLE = [
    (1, 0, 1, 1, 2),
    (1, 10, 1, 1, 2),
    (15, 0, 15, 6, 22),
    (8, 400, 4, 2, 7),
    (8, 406, 4, 3, 8),
    (15, 408, 5, 1, 6),
]


def fill(window: Inflights | models.Inflights, start: int):
    """Add messages of 100 + index bytes until the window is full; return the index of the next one."""
    index = start
    while not window.full():
        window.add(index, 100 + index)
        index += 1
    return index


@pytest.mark.parametrize("kind", [Inflights, models.Inflights])
@pytest.mark.parametrize(("size", "max_bytes", "full_at", "freed", "full_again_at"), FULL_TABLE)
def test_the_window_fills_where_the_reference_fills(
    kind: type, size: int, max_bytes: int, full_at: int, freed: int, full_again_at: int
):
    window = kind(size, max_bytes)
    assert fill(window, 0) == full_at
    window.free_le(freed)
    assert fill(window, full_at) == full_again_at


def test_a_window_of_size_zero_is_always_full():
    window = Inflights(0)
    assert window.full()
    with pytest.raises(Full):
        window.add(1, 1)
    window.free_le(5)
    window.free_first_one()
    window.reset()
    assert window.full()


@pytest.mark.parametrize(("size", "max_bytes"), [(3, 0), (100, 30)])
def test_adding_to_a_full_window_raises_and_changes_nothing(size: int, max_bytes: int):
    window = Inflights(size, max_bytes)
    for index in range(3):
        window.add(index, 10)
    with pytest.raises(Full) as caught:
        window.add(3, 10)
    assert caught.value.reason == "MR_FULL"
    assert (window.count, window.bytes) == (3, 30)


@pytest.mark.parametrize("index", [0, 4, 5])
def test_indexes_must_increase(index: int):
    window = Inflights(10)
    window.add(5, 1)
    with pytest.raises(OutOfOrder):
        window.add(index, 1)
    assert (window.count, window.bytes) == (1, 1)


def test_freeing_left_of_the_window_does_nothing():
    window = Inflights(10)
    window.add(5, 1)
    window.free_le(4)
    assert window.count == 1


def test_an_unused_window_and_one_after_reset_hold_no_memory():
    window = Inflights(256)
    assert window.capacity == 0
    fill(window, 1)
    assert window.capacity == 256
    window.reset()
    assert (window.count, window.bytes, window.capacity) == (0, 0, 0)
    assert not window.full()


def test_capacity_doubles_up_to_the_size():
    window = Inflights(5)
    seen = []
    for index in range(5):
        window.add(index, 1)
        seen.append(window.capacity)
    assert seen == [1, 2, 4, 4, 5]


def test_a_window_that_keeps_emptying_does_not_grow():
    window = Inflights(256)
    for index in range(1000):
        window.add(index, 1)
        window.free_le(index)
    assert window.capacity == 1


def test_the_ring_survives_growing_while_it_is_wrapped():
    window = Inflights(8)
    for index in range(4):
        window.add(index, index)
    window.free_le(1)
    for index in range(4, 8):
        window.add(index, index)  # the fifth message makes the wrapped ring grow
    for freed in range(2, 8):
        assert window.bytes == sum(range(freed, 8))
        window.free_first_one()
    assert window.count == 0


def test_sizes_at_the_end_of_their_range():
    window = Inflights(2**32 - 1, 2**64 - 1)
    window.add(2**64 - 2, 2**63)
    with pytest.raises(NativeBug, match="UINT64_MAX"):
        window.add(2**64 - 1, 2**63)
    assert (window.count, window.bytes) == (1, 2**63)
    with pytest.raises(OverflowError):
        Inflights(2**32)


@pytest.mark.parametrize(
    ("field", "value"), [("count", 9), ("capacity", 100), ("start", 8), ("bytes", 1)], ids=str
)
def test_a_broken_invariant_is_reported_and_nothing_is_touched(field: str, value: int):
    """The assertion lives although setuptools compiles with NDEBUG, and it neither aborts nor corrupts."""
    window = Inflights(8)
    fill(window, 1)
    setattr(window._window, field, value)
    before = [window.count, window.bytes, window.capacity]
    with pytest.raises(NativeBug, match=r"mr_inflights\.c:\d+: "):
        window.free_le(8)
    assert [window.count, window.bytes, window.capacity] == before


class InflightsMachine(RuleBasedStateMachine):
    """Random adds, frees and resets on the ring and on its twin; they agree after each."""

    @initialize(
        size=st.integers(0, 9), max_bytes=st.sampled_from([0, 0, 7, 20]), first=st.integers(0, 2**64 - 400)
    )
    def start(self, size: int, max_bytes: int, first: int):
        self.ring = Inflights(size, max_bytes)
        self.twin = models.Inflights(size, max_bytes)
        self.newest = first

    @precondition(lambda self: not self.twin.full())
    @rule(gap=st.integers(1, 3), size=st.integers(0, 9))
    def add(self, gap: int, size: int):
        self.newest += gap
        self.ring.add(self.newest, size)
        self.twin.add(self.newest, size)

    @precondition(lambda self: self.twin.full())
    @rule()
    def add_when_full(self):
        with pytest.raises(Full):
            self.ring.add(self.newest + 1, 1)

    @rule(distance=st.integers(-2, 12))
    def free_le(self, distance: int):
        index = max(0, self.newest - distance)
        self.ring.free_le(index)
        self.twin.free_le(index)

    @rule()
    def free_first_one(self):
        self.ring.free_first_one()
        self.twin.free_first_one()

    @rule()
    def reset(self):
        self.ring.reset()
        self.twin.reset()

    @invariant()
    def agree(self):
        if not hasattr(self, "ring"):
            return
        assert self.ring.count == self.twin.count
        assert self.ring.bytes == self.twin.bytes
        assert self.ring.full() == self.twin.full()
        assert self.contents() == self.twin.messages
        assert self.ring.capacity == self.twin.capacity
        assert self.ring.count > 0 or self.ring._window.start == 0

    def contents(self):
        window = self.ring._window
        places = [(window.start + i) % window.capacity for i in range(window.count)]
        return [(window.records[place].index, window.records[place].bytes) for place in places]


InflightsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestInflightsMachine = InflightsMachine.TestCase
