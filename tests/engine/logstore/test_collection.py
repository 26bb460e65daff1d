"""Old batches go, what lives in them stays, and the file keeps to its bounds."""

from contextlib import AbstractContextManager
from pathlib import Path

from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.environment import Get
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.state import HardState

from .builders import all_entries, appended, born, make_birth, make_entries, put, resume

QUIET = 50
"""Groups that write once and then never again."""


def run_busy_group(store: LogStore, first: int, batches: int, keep: int = 20) -> None:
    """Group 1 appends an entry a batch and keeps the last `keep`."""
    for index in range(first, first + batches):
        write = appended(1, make_entries(index, 1, size=1000), HardState(1, 1, index))
        if index > keep + 1:
            write.truncate = (index - keep, 1)
        put(store, write)


def test_a_long_run_keeps_the_file_bounded_though_quiet_groups_live_in_the_oldest_batch(tmp_path: Path):
    policy = CollectionPolicy(factor=3.0, slack=256 << 10)
    store = LogStore.open(tmp_path, "none", collection=policy)
    put(store, *[born(group) for group in range(1, QUIET + 2)])
    for group in range(2, QUIET + 2):
        put(store, appended(group, make_entries(2, 2), HardState(3, group, 2)))
    sizes = []
    for round_ in range(6):
        run_busy_group(store, 2 + 500 * round_, 500)
        usage = store.usage
        assert usage.stored_bytes < 3 * usage.live_bytes + policy.slack + (64 << 10)
        sizes.append((tmp_path / "data.mdb").stat().st_size)
    assert max(sizes[3:]) <= 1.2 * sizes[1] < 2 << 20
    assert store.damage is None
    store.close()
    store = LogStore.open(tmp_path, "none")
    for group in range(2, QUIET + 2):
        assert store.group(group).hard_state == HardState(3, group, 2)
        assert all_entries(store, group) == list(make_entries(2, 2))
        assert store.group(group).birth == make_birth(group)
    store.close()


def test_wholly_dead_batches_go_without_being_read():
    store = MemoryLogStore(cache_bytes=0, collection=CollectionPolicy(0.0, 4000))
    put(store, born(1))
    run_busy_group(store, 2, 30, keep=2)
    reads: list[str] = []
    values = store.environment.values
    reading = store.environment.reading

    def counted() -> AbstractContextManager[Get]:
        reads.append("")
        return reading()

    store.environment.reading = counted
    before = len(values)
    run_busy_group(store, 32, 30, keep=2)
    assert len(values) <= before + 1
    assert len(reads) < 30


def test_work_with_one_append_is_bounded():
    policy = CollectionPolicy(factor=0.0, slack=0, batches=4, live_bytes=1000)
    store = MemoryLogStore(collection=CollectionPolicy(slack=1 << 30))
    put(store, *[born(group) for group in range(1, 30)])
    for group in range(1, 30):
        put(store, appended(group, make_entries(2, 1, size=400)))
    store = MemoryLogStore(store.environment, collection=policy)
    for _ in range(30):
        batch = put(store)
        assert len(batch.retired) <= 4
        assert batch.size < 5000
    assert len(store.births()) == 29


def test_a_large_batch_moves_piece_by_piece_and_a_crash_or_failure_between_loses_nothing():
    """No append reads or moves much more than it may, and each moves what the others have left."""
    policy = CollectionPolicy(0.0, 0, batches=4, live_bytes=3000, read_bytes=100_000, chunks=2)
    store = MemoryLogStore()
    groups = range(1, 301)
    large = put(store, *[born(group) for group in groups], appended(1, make_entries(2, 5, size=60_000)))
    put(store, *[appended(group, make_entries(2, 1, size=400)) for group in groups[1:]])
    store = MemoryLogStore(store.environment, collection=policy)
    moved = []
    for number in range(150):
        batch = store.stage([])
        moved.append(batch.size)
        if number % 7 == 3:
            store.roll_back([batch])
            resume(store)
            continue
        store.commit(batch)
        store.finish(batch)
        if number % 20 == 5:
            store = MemoryLogStore(MemoryEnvironment(store.environment.values), collection=policy)
        for group in (1, 2, 150, 300):
            assert len(all_entries(store, group)) == (5 if group == 1 else 1)
    assert all(size < 20_000 or 300_000 < size < 320_000 for size in moved), "one run of 300 kB moves whole"
    assert large.seq < store._index.oldest().seq
    assert dict(store.births()) == {group: make_birth(group) for group in groups}


def test_a_batch_whose_rows_do_not_mention_what_lives_in_it_is_no_trap():
    """It would be looked through again and again; what the index knows of it moves instead."""
    store = MemoryLogStore()
    put(store, born(1), appended(1, make_entries(2, 3)))
    other = MemoryLogStore()
    put(other, born(2), appended(2, make_entries(2, 3)))
    key = chunk_key(2, 0)
    store.environment.values[key] = other.environment.values[key]
    store._collector._policy = CollectionPolicy(0.0, 0)
    for _ in range(10):
        put(store)
    assert store.group(1).birth == make_birth(1)
    assert store.group(1).last_index() == 4
    assert store.usage.batches < 4
    assert 2 in store.environment.aside


def test_batches_in_flight_are_not_collected():
    store = MemoryLogStore(collection=CollectionPolicy(0.0, 0))
    put(store, born(1))
    flying = [store.stage([appended(1, make_entries(2, 1, term=term))]) for term in range(1, 9)]
    retired = [stored.seq for batch in flying for stored in batch.retired]
    assert max(retired) < flying[0].seq


def test_a_batch_in_flight_of_which_nothing_is_left_is_not_deleted_before_it_is_there():
    """The next ones may fail: then what it wrote counts again."""
    store = MemoryLogStore(collection=CollectionPolicy(1e9, 1 << 40))
    put(store, born(1))
    flying = [store.stage([appended(1, make_entries(2, 1, term=1))])]
    store._collector._policy = CollectionPolicy(0.0, 0)
    flying += [store.stage([appended(1, make_entries(2, 1, term=term))]) for term in range(2, 6)]
    retired = [stored.seq for batch in flying for stored in batch.retired]
    assert retired
    assert max(retired) < flying[0].seq


def test_tombstones_outlive_every_collection():
    store = MemoryLogStore(collection=CollectionPolicy(0.0, 0))
    put(store, born(1), born(2, 5), born(3))
    put(store, GroupWrite(2, 5, tombstone=True))
    put(store, GroupWrite(3, 1, tombstone=True))
    run_busy_group(store, 2, 50)
    store = store.crash()
    run_busy_group(store, 52, 50)
    assert store.crash().tombstones() == {2: 5, 3: 1}


def test_groups_that_hold_the_oldest_batches_are_named():
    store = MemoryLogStore()
    put(store, born(7), born(8), born(9))
    put(store, appended(7, make_entries(2, 2)), appended(8, make_entries(2, 1, size=900)))
    put(store, appended(9, make_entries(2, 1)))
    held = store.holders(batches=3)
    assert list(held) == [8, 7]
    assert held[8] > 900 > held[7] > 0
    assert list(store.holders()) == [8, 7, 9]
    put(store, GroupWrite(8, 1, truncate=(2, 1)), appended(7, make_entries(2, 1, term=2)))
    assert not store.holders(batches=3)
    assert list(store.holders()) == [7, 9]
