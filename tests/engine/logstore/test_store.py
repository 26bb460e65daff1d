"""The log store's promises, one at a time."""

from pathlib import Path

import pytest

from multiraft.engine.errors import Closed, DiskFull, StorageFailed
from multiraft.engine.logstore.chunks import chunk_key, read_header, split_key
from multiraft.engine.logstore.memory import MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.native.entries import encode_runs
from multiraft.raft.errors import Compacted, Misuse, SnapshotTemporarilyUnavailable, Unavailable
from multiraft.raft.state import ConfState, HardState, Snapshot

from .builders import MEMBERS, all_entries, appended, born, make_birth, make_entries, put, resume


@pytest.fixture
def store() -> MemoryLogStore:
    return MemoryLogStore()


def refuse() -> None:
    raise DiskFull("no space")


def test_a_newborn_stands_at_its_snapshot_point(store: MemoryLogStore):
    put(store, born(7))
    log = store.group(7)
    assert log.initial_state() == (HardState(0, 0, 1), MEMBERS)
    assert (log.first_index(), log.last_index(), log.term(1)) == (2, 1, 1)
    assert log.birth == make_birth(7)
    assert log.entries(2, 2, None) == []


def test_a_batch_names_its_groups_and_its_size(store: MemoryLogStore):
    batch = store.stage([born(7), born(9)])
    assert list(batch.groups) == [7, 9]
    assert batch.size == len(batch.blob)


def test_positions_outside_the_log_are_told_apart(store: MemoryLogStore):
    put(store, born(7), appended(7, make_entries(2, 5)), GroupWrite(7, 1, truncate=(3, 1)))
    log = store.group(7)
    for call in (lambda: log.term(2), lambda: log.entries(3, 5, None)):
        with pytest.raises(Compacted):
            call()
    for call in (lambda: log.term(7), lambda: log.entries(5, 8, None)):
        with pytest.raises(Unavailable):
            call()
    assert log.term(3) == 1


def test_a_snapshot_comes_from_whoever_can_make_one(store: MemoryLogStore):
    put(store, born(7))
    log = store.group(7)
    with pytest.raises(SnapshotTemporarilyUnavailable):
        log.snapshot()
    snapshot = Snapshot(5, 1, MEMBERS, b"state")
    log.snapshot_source = lambda: snapshot
    assert log.snapshot() is snapshot


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_reads_of_batches_in_flight_show_what_was_staged(cache_bytes: int):
    store = MemoryLogStore(cache_bytes=cache_bytes)
    put(store, born(7))
    first = store.stage([appended(7, make_entries(2, 3))])
    second = store.stage([appended(7, make_entries(3, 2, term=2))])
    wanted = [*make_entries(2, 1), *make_entries(3, 2, term=2)]
    assert all_entries(store, 7) == wanted
    for batch in (first, second):
        store.commit(batch)
    assert all_entries(store, 7) == wanted
    for batch in (first, second):
        store.finish(batch)
    assert all_entries(store, 7) == wanted


def test_applying_right_after_the_commit_reads_no_value(store: MemoryLogStore):
    put(store, born(7))
    put(store, appended(7, make_entries(2, 3)))
    store.environment.values.clear()
    assert all_entries(store, 7) == list(make_entries(2, 3))


def test_the_cache_keeps_to_its_budget_and_forgets_the_oldest():
    store = MemoryLogStore(cache_bytes=5000)
    put(store, born(7))
    for index in range(2, 12):
        put(store, appended(7, make_entries(index, 1, size=1000)))
    store.environment.values = {}
    log = store.group(7)
    assert len(log.entries(9, 12, None)) == 3
    with pytest.raises(Exception, match="missing"):
        log.entries(2, 3, None)


def test_a_list_that_changes_later_changes_nothing(store: MemoryLogStore):
    put(store, born(7))
    entries = list(make_entries(2, 2))
    put(store, GroupWrite(7, 1, None, entries, encode_runs([entries])[0]))
    entries.clear()
    assert all_entries(store, 7) == list(make_entries(2, 2))


def test_after_truncation_is_staged_the_entries_are_gone_at_once(store: MemoryLogStore):
    put(store, born(7), appended(7, make_entries(2, 9)))
    store.stage([GroupWrite(7, 1, truncate=(6, 1))])
    assert store.group(7).first_index() == 7
    assert all_entries(store, 7) == list(make_entries(7, 4))


def test_a_truncation_that_comes_late_is_ignored_for_good(store: MemoryLogStore):
    put(store, born(7), appended(7, make_entries(2, 9)), GroupWrite(7, 1, truncate=(6, 1)))
    put(store, GroupWrite(7, 1, truncate=(4, 1)))
    assert store.group(7).first_index() == 7
    assert store.crash().group(7).first_index() == 7


WRONG = {
    "gap": appended(7, make_entries(9, 1)),
    "compacted": appended(7, make_entries(3, 1)),
    "unknown group": appended(8, make_entries(2, 1)),
    "other replica": appended(7, make_entries(6, 1), replica_id=2),
    "born twice": born(7),
    "other replica's birth": GroupWrite(8, 1, birth=make_birth(9)),
    "truncation beyond the log": GroupWrite(7, 1, truncate=(9, 1)),
    "truncation at another term": GroupWrite(7, 1, truncate=(5, 3)),
    "removal of another replica": GroupWrite(7, 2, tombstone=True),
    "removal and more": GroupWrite(7, 1, HardState(1, 1, 1), tombstone=True),
    "snapshot of an unknown group": GroupWrite(8, 1, snapshot_point=(5, 1, MEMBERS)),
    "removed replica": born(6, 2),
    "run without entries": GroupWrite(7, 1, run=encode_runs([make_entries(6, 1)])[0]),
    "entries without run": GroupWrite(7, 1, entries=make_entries(6, 1), run=bytes(40)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_write_that_contradicts_the_log_stages_nothing(store: MemoryLogStore, wrong: GroupWrite):
    put(store, born(7), born(6, 2), GroupWrite(6, 2, tombstone=True))
    put(store, appended(7, make_entries(2, 4)), GroupWrite(7, 1, truncate=(4, 1)))
    usage = store.usage
    with pytest.raises(Misuse):
        store.stage([appended(7, make_entries(5, 2, term=2)), wrong])
    assert store.usage == usage
    assert all_entries(store, 7) == list(make_entries(5, 1))
    put(store, appended(7, make_entries(6, 1)))
    assert all_entries(store.crash(), 7) == list(make_entries(5, 2))


def test_a_removed_replica_stays_removed_and_a_newer_one_may_come(store: MemoryLogStore):
    put(store, born(7, 3), appended(7, make_entries(2, 2), replica_id=3))
    log = store.group(7)
    put(store, GroupWrite(7, 3, tombstone=True))
    put(store, GroupWrite(7, 2, tombstone=True))
    assert (log.first_index(), log.last_index()) == (2, 1)
    with pytest.raises(KeyError):
        store.group(7)
    store = store.crash()
    assert store.tombstones() == {7: 3}
    with pytest.raises(Misuse):
        store.stage([born(7, 3)])
    put(store, born(7, 4))
    assert store.crash().births() == {7: make_birth(7, 4)}


def test_a_replica_may_be_removed_before_it_was_born(store: MemoryLogStore):
    put(store, GroupWrite(7, 3, tombstone=True))
    assert store.crash().tombstones() == {7: 3}


def test_a_replica_added_later_begins_empty(store: MemoryLogStore):
    late = born(7, 4)
    late.snapshot_point = (0, 0, ConfState())
    late.hard_state = HardState()
    put(store, late)
    for opened in (store, store.crash()):
        log = opened.group(7)
        assert log.initial_state() == (HardState(), ConfState())
        assert (log.first_index(), log.last_index(), log.term(0)) == (1, 0, 0)


def test_a_commit_says_when_its_flush_begins_and_at_once_if_it_has_many_values(store: MemoryLogStore):
    put(store, born(7))
    values = store.environment.values
    for size, first in ((10, False), (200_000, True)):
        events: list[str] = []
        store.environment.before_write = lambda events=events: events.append("write")
        batch = store.stage([appended(7, make_entries(2, 1, size=size))])
        before = len(values)
        store.commit(batch, lambda events=events, before=before: events.append(f"+{len(values) - before}"))
        assert events == (["+0", "write"] if first else ["write", "+0"])
        store.finish(batch)
        assert len(values) > before


def test_a_rolled_back_batch_leaves_no_trace_and_its_number_is_not_used_again(store: MemoryLogStore):
    put(store, born(7), appended(7, make_entries(2, 3), HardState(1, 1, 2)))
    usage, cached = store.usage, store._cache._bytes
    batches = [
        store.stage([appended(7, make_entries(3, 4, term=2), HardState(2, 2, 2)), born(8)]),
        store.stage([GroupWrite(7, 1, truncate=(4, 2))]),
        store.stage([GroupWrite(7, 1, tombstone=True)]),
    ]
    store.environment.before_write = refuse
    with pytest.raises(DiskFull):
        store.commit(batches[0])
    store.environment.before_write = None
    for batch in batches[1:]:
        with pytest.raises(StorageFailed):
            store.commit(batch)
    store.roll_back(batches)
    assert store.usage == usage
    assert store._cache._bytes == cached
    assert all_entries(store, 7) == list(make_entries(2, 3))
    assert store.group(7).hard_state == HardState(1, 1, 2)
    assert set(store.births()) == {7}
    with pytest.raises(Closed):
        store.stage([])
    resume(store)
    assert put(store, born(8)).seq > batches[-1].seq
    assert set(store.crash().births()) == {7, 8}


def runs(store: MemoryLogStore) -> dict[int, int]:
    """Sequence number → run of every batch stored."""
    found = {}
    for key, value in store.environment.values.items():
        seq, number = split_key(key)
        found[seq] = read_header(value, seq, number).run
    return found


def test_every_opening_and_every_return_from_a_failure_begins_a_durable_run(store: MemoryLogStore):
    assert runs(store) == {1: 1}
    put(store, born(7))
    store = store.crash()
    assert runs(store) == {1: 1, 2: 1, 3: 2}
    failed = store.stage([])
    store.environment.before_write = refuse
    with pytest.raises(DiskFull):
        store.commit(failed)
    store.roll_back([failed])
    with pytest.raises(DiskFull):
        resume(store)
    store.environment.before_write = None
    resume(store)
    assert runs(store) == {1: 1, 2: 1, 3: 2, 6: 4}
    assert list(store.environment.values) == sorted(store.environment.values)
    assert set(store.crash().births()) == {7}


def test_a_closed_store_takes_no_batch(store: MemoryLogStore):
    store.close()
    with pytest.raises(Closed):
        store.stage([])


def test_the_real_store_finds_again_what_was_acknowledged(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7), born(8))
    large = make_entries(2, 3, size=200_000)
    put(store, appended(7, large, HardState(3, 2, 2)))
    store.stage([appended(7, make_entries(5, 1))])
    store.close()
    store = LogStore.open(tmp_path)
    assert all_entries(store, 7) == list(large)
    assert list(store.group(7).entries(3, 5, 0)) == list(large[1:2])
    assert store.group(7).initial_state() == (HardState(3, 2, 2), MEMBERS)
    assert set(store.births()) == {7, 8}
    store.close()


def test_batches_are_cut_into_values_that_fill_pages(store: MemoryLogStore):
    put(store, born(7))
    batch = put(store, appended(7, make_entries(2, 1, size=150_000)))
    sizes = [len(store.environment.values[chunk_key(batch.seq, number)]) for number in range(3)]
    assert sizes[:2] == [65_520, 65_520]
    assert all_entries(store.crash(), 7) == list(make_entries(2, 1, size=150_000))


def test_the_tombstones_are_shown_as_they_are_now(store: MemoryLogStore):
    put(store, born(7), born(8, 3))
    removed = store.tombstones()
    assert dict(removed) == {}
    put(store, GroupWrite(7, 1, tombstone=True), GroupWrite(8, 3, tombstone=True))
    assert removed == {7: 1, 8: 3}
    assert len(removed) == 2
    assert removed.get(9, 0) == 0
    assert 9 not in removed


def test_whether_a_replica_was_born_is_told_without_its_birth(store: MemoryLogStore):
    births = store.births()
    put(store, born(7), born(8))
    put(store, GroupWrite(8, 1, tombstone=True))
    assert 7 in births
    assert 8 not in births
    assert "7" not in births
    assert dict(births) == {7: make_birth(7)}
