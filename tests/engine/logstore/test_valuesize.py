"""Values of one page when long ones take too much time, and long ones again later; both sizes in one log."""

import random
from itertools import count
from pathlib import Path

import pytest

from multiraft.engine.logstore.chunks import VALUE_MAX, chunk_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.store import LogStore
from multiraft.engine.logstore.valuesize import Patience, ValueSizes

from .builders import Alternating, all_entries, appended, born, make_entries, put
from .test_salvage import hide_newest
from .workload import life

PATIENCE = Patience(base_s=1.0, page_s=0.0, slow=3, hold=4, hold_max=16, trial=2)
QUICK, SLOW = 0.5, 2.0


def decided(seconds: list[float]) -> list[bool]:
    """Whether each of the batches that took so long had small values."""
    sizes = ValueSizes(lambda: 0.0, PATIENCE)
    small = []
    for took in seconds:
        small.append(sizes.small)
        sizes.written(10, took, small=sizes.small)
    return small


def holds(small: list[bool]) -> list[int]:
    """The lengths of the stretches with small values."""
    return [len(word) for word in "".join("s" if one else " " for one in small).split()]


def test_values_are_small_after_slow_commits_in_a_row_and_long_again_later():
    assert decided([SLOW, SLOW, QUICK, SLOW, SLOW, SLOW]) == [False] * 6
    assert decided([SLOW] * 3 + [QUICK] * 10) == [False] * 3 + [True] * 4 + [False] * 6


def test_what_a_commit_may_take_grows_with_its_pages():
    sizes = ValueSizes(lambda: 0.0, Patience(slow=1))
    sizes.written(800, 0.005, small=False)
    assert not sizes.small
    sizes.written(10, 0.005, small=False)
    assert sizes.small


def test_each_attempt_that_fails_doubles_the_wait_up_to_a_bound():
    sizes = ValueSizes(lambda: 0.0, PATIENCE)
    small = []
    for _ in range(100):
        small.append(sizes.small)
        sizes.written(10, QUICK if sizes.small else SLOW, small=sizes.small)
    assert small[:3] == [False] * 3
    assert holds(small)[:5] == [4, 8, 16, 16, 16]


def test_long_values_that_are_quick_again_for_a_while_start_it_anew():
    waits = [QUICK] * 4
    small = decided([SLOW] * 3 + waits + [SLOW] * 2 + waits * 2 + [QUICK] * 4 + [SLOW] * 3 + waits + [QUICK])
    assert holds(small) == [4, 8, 4]


def test_batches_that_were_encoded_before_a_decision_do_not_count():
    sizes = ValueSizes(lambda: 0.0, PATIENCE)
    for _ in range(10):
        sizes.written(10, SLOW, small=False)
    assert sizes.small
    for _ in range(4):
        sizes.written(10, QUICK, small=True)
    assert not sizes.small
    for _ in range(10):
        sizes.written(10, SLOW, small=True)
    assert not sizes.small


def test_a_store_cuts_its_batches_by_the_time_that_its_commits_take():
    """Batches of one page say nothing about long values, however long they take."""
    moments = count(0.0, SLOW)
    store = MemoryLogStore(sizes=ValueSizes(lambda: next(moments), PATIENCE))
    put(store, born(7))
    small = []
    for index in range(2, 12):
        small.append(put(store, appended(7, make_entries(index, 1, size=9_000))).small)
        put(store)
    assert small == [False] * 3 + [True] * 4 + [False] * 2 + [True]
    lengths = [len(value) for value in store.environment.values.values()]
    assert lengths.count(4080) == 2 * 5
    assert sum(length > 9_000 for length in lengths) == 5
    assert all_entries(store.crash(), 7) == list(make_entries(2, 10, size=9_000))


def mixed(path: Path | None = None) -> LogStore:
    """Two groups; batches of two and more values of either size, in turn."""
    sizes, policy = Alternating(), CollectionPolicy(slack=1 << 30)
    if path is None:
        store: LogStore = MemoryLogStore(cache_bytes=0, sizes=sizes, collection=policy)
    else:
        store = LogStore.open(path, cache_bytes=0, sizes=sizes, collection=policy)
    put(store, born(7), born(8))
    for number in range(6):
        size = 3_000 + 40_000 * (number // 2)
        put(store, *[appended(group, make_entries(2 + 3 * number, 3, size=size)) for group in (7, 8)])
    return store


def expected() -> list[object]:
    return [entry for n in range(6) for entry in make_entries(2 + 3 * n, 3, size=3_000 + 40_000 * (n // 2))]


def test_both_sizes_in_one_log_are_read_and_recovered():
    store = mixed()
    assert isinstance(store, MemoryLogStore)
    counts = [len(value) for value in store.environment.values.values()]
    assert counts.count(4080) > 50
    assert counts.count(VALUE_MAX) > 5
    for _ in range(2):
        for group in (7, 8):
            assert all_entries(store, group) == expected()
            for index in range(2, 20):
                assert list(store.group(group).entries(index, index + 1, None)) == [expected()[index - 2]]
        store = store.crash()


@pytest.mark.parametrize("size", [2_000, 4_040, 60_000, 400_000])
def test_a_hidden_batch_of_small_values_is_put_back(tmp_path: Path, size: int):
    sizes = Alternating()
    store = LogStore.open(tmp_path, sizes=sizes)
    put(store, born(7), appended(7, make_entries(2, 1)))
    sizes.small = True
    entries = make_entries(3, 1, size=size)
    hide_newest(tmp_path, store, appended(7, entries))
    store = LogStore.open(tmp_path, cache_bytes=0)
    assert all_entries(store, 7) == [*make_entries(2, 1), *entries]
    store.close()


def test_a_damaged_chunk_of_a_small_batch_names_its_entry_and_costs_no_other():
    store = mixed()
    assert isinstance(store, MemoryLogStore)
    values = store.environment.values
    damaged = bytearray(values[chunk_key(4, 3)])
    assert len(damaged) == 4080
    damaged[2_000] ^= 1
    values[chunk_key(4, 3)] = bytes(damaged)
    (found,) = MemoryLogStore(MemoryEnvironment(values)).take_losses()
    store._collector._policy = CollectionPolicy(0.0, 0)
    for _ in range(30):
        put(store)
    (loss,) = store.take_losses()
    assert loss == found == (8, loss.first, loss.first)
    assert all_entries(store, 7) == expected()
    for entry in expected():
        if entry.index != loss.first:
            assert list(store.group(8).entries(entry.index, entry.index + 1, None)) == [entry]


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_lost_chunk_of_a_small_batch_costs_only_what_was_in_it(number: int):
    store = mixed()
    assert isinstance(store, MemoryLogStore)
    del store.environment.values[chunk_key(4, number)]
    store._collector._policy = CollectionPolicy(0.0, 0)
    for _ in range(30):
        put(store)
    lost = {(loss.group, index) for loss in store.take_losses() for index in range(loss.first, loss.last + 1)}
    assert 0 < len(lost) <= 3
    for group in (7, 8):
        for entry in expected():
            if (group, entry.index) not in lost:
                assert list(store.group(group).entries(entry.index, entry.index + 1, None)) == [entry]


@pytest.mark.parametrize("seed", range(4))
def test_a_life_with_both_sizes_is_what_the_model_says(tmp_path: Path, seed: int):
    batches, models = life(seed, 60)
    draw = random.Random(seed)
    policy = CollectionPolicy(1.5, 20_000)
    store = LogStore.open(tmp_path, "none", sizes=Alternating(), collection=policy)
    collected = 0
    for number, writes in enumerate(batches):
        collected += len(put(store, *writes).retired)
        if draw.random() < 0.2:
            store.close()
            store = LogStore.open(tmp_path, "none", sizes=Alternating(), collection=policy)
            models[number + 1].check(store)
    models[-1].check(store)
    store.close()
    assert collected
