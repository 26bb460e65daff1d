"""What a store keeps in memory of groups that nobody works on: nothing, and no more of those that were."""

import gc
import tracemalloc
import weakref

import pytest

from multiraft.engine.errors import DiskFull
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.recent import Recent
from tests.engine.statemachine.helpers import at, flush


def test_a_flushed_group_that_nobody_holds_has_no_object():
    store = MemoryStateStore()
    space = store.group(1)
    space.put(b"k", b"v")
    store.set_applied(1, at(1))
    gone = weakref.ref(space)
    del space
    assert gone() is not None, "what is not flushed is held"
    taken = store.freeze()
    assert taken is not None
    assert gone() is not None, "what is being flushed is held"
    assert store.group(1).get(b"k") == b"v"
    store.write(taken)
    store.flushed(taken)
    assert gone() is None
    assert store.group(1).get(b"k") == b"v"
    assert store.applied(1) == at(1)
    assert store.durable_applied(1) == 1


def test_everybody_who_holds_a_group_holds_the_same():
    store = MemoryStateStore()
    mine = store.group(1)
    mine.put(b"k", b"1")
    store.set_applied(1, at(1))
    flush(store)
    assert store.group(1) is mine
    store.group(1).put(b"k", b"2")
    assert mine.get(b"k") == b"2"


def test_what_is_asked_of_resting_groups_leaves_nothing_behind():
    store = MemoryStateStore()
    for group in range(1, 3001):
        store.set_applied(group, at(1))
    flush(store)
    while store._spent:
        store.tidy()

    def ask() -> None:
        for group in range(1, 3001):
            assert store.applied(group) == at(1)
            assert store.checkpoint(group) is None
            assert store.install_marker(group) is None
            assert store.durable_applied(group) == 1

    ask()
    gc.collect()
    tracemalloc.start()
    try:
        ask()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()


def test_a_file_that_may_have_lost_a_flush_is_not_asked_what_of_it_is_durable():
    """After a failed flush the file may show a state that a crash takes back: no log is cut by it."""
    store = MemoryStateStore()
    store.set_applied(1, at(1))
    flush(store)
    store._durable = Recent()
    store.set_applied(1, at(5))
    taken = store.freeze()
    assert taken is not None

    def show_and_fail() -> None:
        store.medium.fault = None
        store.write(taken)
        raise DiskFull("the flush was seen, and failed")

    store.medium.fault = show_and_fail
    with pytest.raises(DiskFull):
        store.write(taken)
    assert store.durable_applied(1) < 5
    store.write(taken)
    store.flushed(taken)
    assert store.durable_applied(1) == 5


def test_the_last_numbers_are_remembered_and_the_first_are_not():
    memory = Recent(10)
    for group in range(100):
        memory.set(group, group + 1)
        memory.get(0)
    assert [memory.get(group) for group in range(91, 100)] == list(range(92, 101))
    assert memory.get(0) == 1, "it was asked for all the time"
    assert memory.get(50) is None


@pytest.mark.parametrize("many", [3, 9, 10, 35])
def test_of_many_numbers_at_once_the_new_ones_count(many: int):
    memory = Recent(10)
    for group in range(8):
        memory.set(group, 1)
    memory.update(dict.fromkeys(range(many), 2))
    last = range(max(0, many - 9), many)
    assert [memory.get(group) for group in last] == [2] * len(last)
    assert 1 not in [memory.get(group) for group in range(many)]
