"""The newest batch without the page that makes it visible."""

import errno
import os
from pathlib import Path

import pytest

from multiraft.engine.errors import Corruption, DiskFull, StorageFailed
from multiraft.engine.logstore.chunks import beginning, cut
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.environment import ASIDE, LmdbEnvironment
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.state import HardState

from .builders import all_entries, appended, born, make_entries, put, resume

PAGE = 4096
DATA = "data.mdb"


def metas(path: Path) -> list[bytes]:
    data = (path / DATA).read_bytes()
    return [data[:PAGE], data[PAGE : 2 * PAGE]]


def write_at(path: Path, offset: int, data: bytes) -> None:
    with (path / DATA).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def hide_newest(path: Path, store: LogStore, *writes: GroupWrite) -> None:
    """Commit a batch; then the disk holds everything but the page that makes it visible."""
    before = metas(path)
    put(store, *writes)
    changed = [slot for slot, page in enumerate(metas(path)) if page != before[slot]]
    store._environment.close()
    for slot in changed:
        write_at(path, slot * PAGE, before[slot])


@pytest.mark.parametrize("size", [0, 10, 2_000, 60_000, 70_000, 400_000])
def test_the_hidden_batch_is_put_back(tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture):
    store = LogStore.open(tmp_path)
    put(store, born(7), appended(7, make_entries(2, 1)))
    entries = make_entries(3, 1, size=size)
    hide_newest(tmp_path, store, appended(7, entries, HardState(3, 1, 2)))
    store = LogStore.open(tmp_path)
    assert all_entries(store, 7) == [*make_entries(2, 1), *entries]
    assert store.group(7).hard_state == HardState(3, 1, 2)
    assert "put back" in caplog.text
    assert not (tmp_path / ASIDE).exists()
    store.close()
    caplog.clear()
    LogStore.open(tmp_path).close()
    assert not caplog.text


def test_what_the_hidden_batch_collected_goes_with_it(tmp_path: Path):
    policy = CollectionPolicy(factor=0.0, slack=0)
    store = LogStore.open(tmp_path, collection=policy)
    put(store, born(7), appended(7, make_entries(2, 3)))
    for index in range(5, 10):
        put(store, appended(7, make_entries(index, 1)))
    hide_newest(tmp_path, store, appended(7, make_entries(10, 1)))
    store = LogStore.open(tmp_path, collection=policy)
    assert all_entries(store, 7) == list(make_entries(2, 9))
    store.close()


def test_a_batch_that_misses_a_chunk_was_not_acknowledged_and_is_not_taken(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7))
    batch_seq = store._next_seq
    hide_newest(tmp_path, store, appended(7, make_entries(2, 1, size=150_000)))
    data = (tmp_path / DATA).read_bytes()
    places = [at for at in range(16, len(data), PAGE) if data.startswith(beginning(batch_seq, 1), at)]
    assert len(places) == 3
    write_at(tmp_path, places[1] + 5_000, b"\xff\xfe")
    store = LogStore.open(tmp_path)
    assert all_entries(store, 7) == []
    store.close()


def test_a_failed_commit_is_never_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its pages may be there in full; the run that was begun behind it says that it is not wanted."""
    store = LogStore.open(tmp_path)
    put(store, born(7))
    environment = store._environment
    batch = store.stage([appended(7, make_entries(2, 1))])
    pages = b"".join(bytes(16) + value for _, value in store.encoded(batch))
    with monkeypatch.context() as patched:
        patched.setattr(LmdbEnvironment, "write", lambda *_: (_ for _ in ()).throw(DiskFull("no space")))
        with pytest.raises(DiskFull):
            store.commit(batch)
    store.roll_back([batch])
    resume(store)
    environment.close()
    with (tmp_path / DATA).open("ab") as file:
        file.write(bytes(-file.tell() % PAGE) + pages + bytes(-len(pages) % PAGE))
    reopened = LogStore.open(tmp_path)
    assert all_entries(reopened, 7) == []
    assert any(reopened._environment.remains(beginning(batch.seq, 1)))
    reopened.close()


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("offset", [0, 10, 16, 20, 40, 87, 135, 143])
def test_a_broken_meta_page_costs_nothing(tmp_path: Path, slot: int, offset: int):
    """Whichever page it is; each begins a new life of the store."""
    path = tmp_path / "log"
    store = LogStore.open(path)
    put(store, born(7))
    for index in range(2, 8):
        put(store, appended(7, make_entries(index, 1, size=3_000)))
        store.close()
        byte = metas(path)[slot][offset]
        write_at(path, slot * PAGE + offset, bytes([byte ^ 0x41]))
        store = LogStore.open(path)
        assert (path / "meta.damaged").exists()
        assert all_entries(store, 7) == list(make_entries(2, index - 1, size=3_000))
    store.close()


def test_two_broken_meta_pages_are_corruption(tmp_path: Path):
    LogStore.open(tmp_path).close()
    for slot in (0, 1):
        write_at(tmp_path, slot * PAGE + 16, b"none")
    with pytest.raises(Corruption):
        LogStore.open(tmp_path)


def test_a_file_that_was_cut_off_is_corruption_and_does_not_end_the_process(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7), appended(7, make_entries(2, 10, size=60_000)))
    store.close()
    with (tmp_path / DATA).open("r+b") as file:
        file.truncate(3 * PAGE)
    with pytest.raises(Corruption):
        LogStore.open(tmp_path)


def test_a_renewed_environment_holds_what_was_committed(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7), appended(7, make_entries(2, 5, size=50_000)))
    before = (tmp_path / DATA).stat().st_ino
    store.reopen()
    store.copy()
    store.adopt()
    assert (tmp_path / DATA).stat().st_ino != before
    assert not (tmp_path / (DATA + ".new")).exists()
    resume(store)
    put(store, appended(7, make_entries(7, 1)))
    expected = list(make_entries(2, 5, size=50_000) + make_entries(7, 1))
    assert all_entries(store, 7) == expected
    store.close()
    store = LogStore.open(tmp_path)
    assert all_entries(store, 7) == expected
    store.close()


def test_a_copy_that_is_not_durable_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = LogStore.open(tmp_path)
    put(store, born(7), appended(7, make_entries(2, 5)))

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageFailed):
            store.copy()
    assert not (tmp_path / (DATA + ".new")).exists()
    assert all_entries(store, 7) == list(make_entries(2, 5))
    store.close()


def test_an_environment_that_has_lost_a_commit_is_not_gone_on_with(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7))
    with store._environment._env.begin(write=True) as transaction:
        transaction.delete(store._environment.last_key())
    with pytest.raises(Corruption):
        store.reopen()
    store.close()


def test_the_beginning_of_a_run_that_could_not_be_flushed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = LogStore.open(tmp_path)
    put(store, born(7))
    failed = store.stage([appended(7, make_entries(2, 1))])
    store.roll_back([failed])
    with monkeypatch.context() as patched:
        patched.setattr(LmdbEnvironment, "sync", lambda *_: (_ for _ in ()).throw(StorageFailed("EIO")))
        with pytest.raises(StorageFailed):
            resume(store)
    store.reopen()
    resume(store)
    put(store, appended(7, make_entries(2, 2)))
    store.close()
    store = LogStore.open(tmp_path)
    assert all_entries(store, 7) == list(make_entries(2, 2))
    store.close()


def test_pages_that_say_the_same_of_different_content_are_not_chosen_from(tmp_path: Path):
    store = LogStore.open(tmp_path)
    put(store, born(7))
    chain = store._chain
    seq = store._next_seq
    store._environment.close()
    values = [value for text in (b"one", b"two") for _, value in cut(text, seq, 1, chain)]
    pages = b"".join((bytes(16) + value).ljust(PAGE, b"\0") for value in values)
    with (tmp_path / DATA).open("ab") as file:
        file.write(bytes(-file.tell() % PAGE) + pages)
    with pytest.raises(Corruption, match="twice"):
        LogStore.open(tmp_path)
