"""The inflight window, by the table and against the obvious model."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from multiraft.raft import Inflights, Misuse


@pytest.mark.parametrize(
    ("size", "max_bytes", "full_at", "free_to", "again_at"),
    [
        (1, 0, 1, 1, 2),
        (1, 10, 1, 1, 2),
        (15, 0, 15, 6, 22),
        (8, 400, 4, 2, 7),
        (8, 406, 4, 3, 8),
        (15, 408, 5, 1, 6),
    ],
)
def test_full_by_count_or_bytes(size: int, max_bytes: int, full_at: int, free_to: int, again_at: int):
    """Appends of 100 + i bytes; after freeing some, the window fills up again at the index given."""
    window = Inflights(size, max_bytes)

    def fill(first: int) -> int:
        index = first
        while not window.full():
            window.add(index, 100 + index)
            index += 1
        return index

    assert fill(0) == full_at
    window.free_le(free_to)
    assert fill(full_at) == again_at
    with pytest.raises(Misuse, match="full window"):
        window.add(100, 1024)


def test_size_zero_is_always_full():
    window = Inflights(0)
    assert window.full()
    with pytest.raises(Misuse):
        window.add(1, 1)


def test_an_idle_window_takes_no_buffer():
    window = Inflights(256)
    assert window._buffer == []
    for index in range(1, 1000):
        window.add(index, 10)
        window.free_le(index)
    assert len(window._buffer) == 1, "a window that empties again and again is not grown"


def test_buffer_doubles_up_to_the_size():
    window, lengths = Inflights(11), []
    for index in range(1, 12):
        window.add(index, 0)
        lengths.append(len(window._buffer))
    assert lengths == [1, 2, 4, 4, 8, 8, 8, 8, 11, 11, 11]


def test_freeing_left_of_the_window_does_nothing():
    window = Inflights(4)
    for index in (5, 6, 7):
        window.add(index, index)
    window.free_le(4)
    assert (window.count, window.bytes) == (3, 18)
    window.free_le(6)
    assert (window.count, window.bytes) == (1, 7)
    window.free_first_one()
    window.free_first_one()
    assert (window.count, window.bytes) == (0, 0)


class AgainstModel(RuleBasedStateMachine):
    """Random use, wrapping and growing, beside a deque."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Inflights(6, 100)
        self.model: deque[tuple[int, int]] = deque()
        self.next = 1

    def model_full(self) -> bool:
        return len(self.model) == 6 or sum(size for _, size in self.model) >= 100

    @precondition(lambda self: not self.model_full())
    @rule(step=st.integers(1, 5), size=st.integers(0, 60))
    def add(self, step: int, size: int) -> None:
        self.next += step
        self.window.add(self.next, size)
        self.model.append((self.next, size))

    @rule(back=st.integers(-2, 25))
    def free_le(self, back: int) -> None:
        self.window.free_le(self.next - back)
        while self.model and self.model[0][0] <= self.next - back:
            self.model.popleft()

    @rule()
    def free_first_one(self) -> None:
        self.window.free_first_one()
        if self.model:
            self.model.popleft()

    @rule()
    def reset(self) -> None:
        self.window.reset()
        self.model.clear()

    @invariant()
    def same(self) -> None:
        assert self.window.count == len(self.model)
        assert self.window.bytes == sum(size for _, size in self.model)
        assert self.window.full() == self.model_full()


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(max_examples=60, stateful_step_count=40)
