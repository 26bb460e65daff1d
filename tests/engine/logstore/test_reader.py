"""Reading ranges: each batch is looked at once, no more is read than is wanted, the cache stays as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multiraft.engine.logstore.environment import Get
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.entry import Entry

from .builders import all_entries, appended, born, make_entries, put


class Counting(MemoryEnvironment):
    """Counts how often it is looked into, and for how many values."""

    looks = 0
    values_read = 0

    @contextmanager
    def reading(self) -> Iterator[Get]:
        self.looks += 1

        def get(key: bytes) -> bytes | None:
            self.values_read += 1
            return self.values.get(key)

        yield get


def scattered(cache_bytes: int = 0, batches: int = 300) -> tuple[Counting, MemoryLogStore]:
    """A log with an entry in each of many batches, beside another group's."""
    environment = Counting()
    store = MemoryLogStore(environment, cache_bytes=cache_bytes)
    put(store, born(7), born(8))
    for index in range(2, 2 + batches):
        put(store, *[appended(group, make_entries(index, 1, size=100)) for group in (7, 8)])
    environment.looks = environment.values_read = 0
    return environment, store


def test_a_long_range_is_read_in_few_looks_and_each_batch_once():
    environment, store = scattered()
    assert all_entries(store, 7) == list(make_entries(2, 300, size=100))
    assert environment.looks == 3
    assert environment.values_read == 300


def test_a_read_with_a_limit_looks_at_little_more_than_it_gives():
    environment, store = scattered()
    found = store.group(7).entries(2, 302, 1000)
    assert 8 <= len(found) <= 10
    assert environment.values_read <= 12
    assert list(store.group(7).entries(50, 302, 0)) == list(make_entries(50, 1, size=100))
    assert environment.values_read <= 14


def test_runs_that_lie_side_by_side_are_read_with_one_value():
    environment = Counting()
    store = MemoryLogStore(environment, cache_bytes=0)
    put(store, born(7))
    put(store, *[appended(7, make_entries(index, 1)) for index in range(2, 30)])
    environment.values_read = 0
    assert len(all_entries(store, 7)) == 28
    assert environment.values_read == 1


def test_what_is_read_from_disk_does_not_drive_out_what_was_written_last():
    environment, store = scattered(cache_bytes=20_000)
    kept = list(store._cache._batches)
    assert 20 < len(kept) < 100
    all_entries(store, 7)
    assert list(store._cache._batches) == kept
    environment.values_read = 0
    log = store.group(8)
    log.entries(302 - len(kept), 302, None)
    assert environment.values_read == 0


def test_the_cache_keeps_to_its_bytes_over_all_groups():
    store = MemoryLogStore(cache_bytes=50_000)
    put(store, *[born(group) for group in range(1, 40)])
    for index in range(2, 60):
        put(store, *[appended(group, make_entries(index, 1, size=10 * group)) for group in range(1, 40)])
        assert store._cache._bytes <= 50_000
    runs = [run for batch in store._cache._batches.values() for run in batch._appended]
    assert 10_000 < sum(len(entry.data) for run in runs for entry in run) < 50_000
    put(store, appended(1, make_entries(60, 1, size=100_000)))
    assert store._cache._bytes <= 50_000


def test_batches_in_flight_are_read_from_their_bytes():
    environment, store = scattered(batches=3)
    flying = [store.stage([appended(7, make_entries(index, 1))]) for index in (5, 6)]
    assert list(store.group(7).entries(5, 7, None)) == list(make_entries(5, 2))
    assert environment.values_read == 0
    for batch in flying:
        store.commit(batch)
        store.finish(batch)
    assert list(store.group(7).entries(5, 7, None)) == list(make_entries(5, 2))
    assert environment.values_read == 2


def test_runs_of_many_values_are_read_back_whole(tmp_path: Path):
    """From a mapped file, whose pages are asked for first; a run may begin and end anywhere in a value."""
    store = LogStore.open(tmp_path, "none", cache_bytes=0)
    put(store, born(7), born(8))
    wanted: list[Entry] = []
    for index in range(2, 40):
        entry = make_entries(index, 1, size=3000 * index)
        wanted += entry
        put(store, appended(8, make_entries(index, 1, size=10 * index)), appended(7, entry))
    assert all_entries(store, 7) == wanted
    store.close()


def test_what_nobody_reads_soon_leaves_the_cache():
    store = MemoryLogStore()
    put(store, born(7))
    put(store, appended(7, make_entries(2, 1)))
    store.age()
    put(store, appended(7, make_entries(3, 1)))
    assert len(store._cache._batches) == 2, "an entry stays from one call to the next at least"
    store.age()
    assert next(iter(store._cache._batches.values())).get(7) == tuple(make_entries(3, 1))
    store.age()
    assert not store._cache._batches
    assert store._cache._bytes == 0
    assert all_entries(store, 7) == list(make_entries(2, 2))
    put(store, appended(7, make_entries(4, 1)))
    assert len(store._cache._batches) == 1
