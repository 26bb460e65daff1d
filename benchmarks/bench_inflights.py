"""The inflight window: the C ring beside the core's own in Python, doing what a leader does per append."""

from collections.abc import Callable
from typing import Protocol

import pytest

from benchmarks.conftest import OPERATIONS, PerOperation, Round
from multiraft.native.inflights import Inflights as NativeInflights
from multiraft.raft.inflights import Inflights as CoreInflights

WINDOW = 256


class Window(Protocol):
    """What both have in common, as far as it is measured."""

    def add(self, index: int, size: int) -> None:
        """Note a message."""
        ...

    def free_le(self, index: int) -> None:
        """Forget the messages up to an index."""
        ...

    def full(self) -> bool:
        """Whether there is no room."""
        ...


@pytest.fixture(params=[CoreInflights, NativeInflights], ids=["core", "native"])
def make(request: pytest.FixtureRequest) -> Callable[[int], Window]:
    chosen: Callable[[int], Window] = request.param
    return chosen


@pytest.mark.parametrize("depth", [1, 200])
def test_append_and_answer(per_operation: PerOperation, make: Callable[[int], Window], depth: int) -> None:
    """Ask for room, note an append, and forget the one ``depth`` before it."""

    def prepare() -> Round:
        window = make(WINDOW)

        def work() -> None:
            for index in range(depth, depth + OPERATIONS):
                if not window.full():
                    window.add(index, 128)
                window.free_le(index - depth)

        return work

    per_operation(prepare)
