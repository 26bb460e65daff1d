"""The state store on the real LMDB: reopening, full disks, errors at opening, kills, and its limits."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from multiraft.engine.errors import AlreadyOpen, Closed, Corruption, DiskFull, PermissionDenied, StorageFailed
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.medium import Writer
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import TOP
from tests.engine.statemachine.helpers import at, flush


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStateStore]:
    opened = LmdbStateStore.open(tmp_path / "state", "none")
    yield opened
    opened.close()


def test_a_store_that_fell_back_is_refused_on_reopening(store: LmdbStateStore, tmp_path: Path):
    store.group(1).put(b"k", b"1")
    flush(store)
    older = (tmp_path / "state" / "data.mdb").read_bytes()
    store.reopen()
    assert store.group(1).get(b"k") == b"1"
    store.group(1).put(b"k", b"2")
    flush(store)
    store.medium._environment.close()
    (tmp_path / "state" / "data.mdb").write_bytes(older)
    with pytest.raises(Corruption, match="fell back from flush 2 to flush 1"):
        store.reopen()


def test_reopening_keeps_what_is_not_flushed(store: LmdbStateStore):
    store.group(1).put(b"frozen", b"1")
    store.set_applied(1, at(1))
    taken = store.freeze()
    assert taken is not None
    store.group(1).put(b"active", b"2")
    store.reopen()
    assert [key for key, _ in store.group(1).scan(b"", None)] == [b"active", b"frozen"]
    store.write(taken)
    assert store.flushed(taken) == {1: 1}


def test_a_full_map_is_a_full_disk_and_reads_go_on(store: LmdbStateStore, monkeypatch: pytest.MonkeyPatch):
    store.group(1).put(b"k", b"small")
    flush(store)
    monkeypatch.setattr("multiraft.engine.statemachine.lmdb_medium.MAP_BYTES", 1 << 20)
    store.reopen()
    store.group(1).put(b"large", b"v" * (1 << 20))
    taken = store.freeze()
    assert taken is not None
    with pytest.raises(DiskFull):
        store.write(taken)
    assert store.group(1).get(b"k") == b"small"
    monkeypatch.undo()
    store.reopen()
    store.write(taken)
    store.flushed(taken)
    assert store.group(1).get(b"large") == b"v" * (1 << 20)


@pytest.mark.parametrize(
    ("error", "translated"),
    [
        (lmdb.DiskError("no space"), DiskFull),
        (lmdb.MapFullError("full"), DiskFull),
        (lmdb.CorruptedError("page"), Corruption),
        (lmdb.PageNotFoundError("page"), Corruption),
        (lmdb.Error("mdb_txn_commit: Input/output error"), StorageFailed),
        (lmdb.Error("mdb_txn_commit: Disk quota exceeded"), DiskFull),
        (lmdb.PanicError("environment"), StorageFailed),
    ],
)
def test_errors_of_lmdb_become_errors_of_the_tree(
    store: LmdbStateStore, error: lmdb.Error, translated: type[Exception]
):
    def work(writer: Writer) -> None:
        raise error

    with pytest.raises(translated, match="state store") as raised:
        store.medium.commit(work)
    assert raised.value.__cause__ is error


def test_a_write_cut_short_on_a_disk_without_room(store: LmdbStateStore, monkeypatch: pytest.MonkeyPatch):
    """LMDB calls it an input/output error."""

    def work(writer: Writer) -> None:
        raise lmdb.Error("mdb_txn_commit: Input/output error")

    monkeypatch.setattr("multiraft.engine.statemachine.lmdb_medium.SCARCE_BYTES", 1 << 62)
    with pytest.raises(DiskFull):
        store.medium.commit(work)


def test_opening_twice(store: LmdbStateStore, tmp_path: Path):
    with pytest.raises(AlreadyOpen):
        LmdbStateStore.open(tmp_path / "state")


def test_a_path_that_is_a_file(tmp_path: Path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(StorageFailed, match="state"):
        LmdbStateStore.open(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionDenied):
        LmdbStateStore.open(tmp_path / "state")
    tmp_path.chmod(0o700)


def test_use_after_closing(tmp_path: Path):
    for store in (MemoryStateStore(), LmdbStateStore.open(tmp_path / "state")):
        store.group(1).put(b"k", b"v")
        taken = store.freeze()
        assert taken is not None
        store.close()
        for use in (lambda s=store: s.group(2).get(b"k"), lambda s=store, t=taken: s.write(t), store.reopen):
            with pytest.raises(Closed):
                use()


CRASH = """
import os, signal, sys
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.store import Applied
from multiraft.raft.state import ConfState
store = LmdbStateStore.open(sys.argv[1])
for index in range(1, 1000):
    for number in range(20):
        store.group(1).put(b"%d" % number, b"%d" % index)
    store.set_applied(1, Applied(index, 1, ConfState((1,))))
    flush = store.freeze()
    if index == 7:
        commit = store.medium.commit
        store.medium.commit = lambda work: commit(lambda w: (work(w), os.kill(os.getpid(), signal.SIGKILL)))
    store.write(flush)
    print(index, flush=True)
    store.flushed(flush)
"""


def test_a_killed_process_leaves_its_last_completed_write(tmp_path: Path):
    """Data and applied record of one instant, none of the transaction in which it died."""
    died = subprocess.run([sys.executable, "-c", CRASH, tmp_path / "state"], capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    assert died.stdout.split()[-1] == b"6"
    store = LmdbStateStore.open(tmp_path / "state")
    assert store.applied(1) == at(6)
    assert {value for _, value in store.group(1).scan(b"", None)} == {b"6"}
    store.close()


def test_short_reads_hold_no_pages(store: LmdbStateStore):
    """Even a scan left half-way keeps no read transaction, so the file does not grow while it waits."""
    store.group(1).load([(b"%04d" % number, b"v" * 100) for number in range(2000)])
    flush(store)
    scan = store.group(1).scan(b"", None)
    next(scan)
    environment = store.medium._environment
    for _ in range(3):
        store.group(1).put(b"0000", b"again")
        flush(store)
    sizes = []
    for _ in range(30):
        store.group(1).load([(b"%04d" % number, b"v" * 100) for number in range(2000)])
        flush(store)
        sizes.append(environment.info()["last_pgno"])
    assert sizes[-1] < sizes[9] + 20, "one load alone takes 70 pages"
    assert len(list(scan)) == 1999


def test_values_of_every_size_and_the_longest_key(store: LmdbStateStore):
    sizes = (0, 1, 2043, 2044, 70_000, 1 << 20)
    pairs = [(b"%d" % number + b"k" * 479, b"v" * size) for number, size in enumerate(sizes)]
    store.group(2**64 - 1).load(pairs)
    flush(store)
    for low, high, reverse in ((b"", None, False), (b"", b"\xff" * 480, True)):
        expected = sorted(pairs, reverse=reverse)
        assert list(store.group(2**64 - 1).scan(low, high, reverse)) == expected
    assert store.medium.page(b"", TOP, 100, reverse=False).bound is not None, "a page ends at a megabyte"


FULL_DISK = """
import resource, sys
from multiraft.engine.errors import StorageFailed
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
store = LmdbStateStore.open(sys.argv[1])
store.group(1).put(b"k", b"before")
flush = store.freeze()
store.write(flush)
store.flushed(flush)
store.group(1).load([(b"%d" % number, b"v" * 10_000) for number in range(100)])
flush = store.freeze()
no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, no_limit[1]))
for attempt in range(3):
    try:
        store.write(flush)
    except StorageFailed as error:
        print(type(error).__name__, len(list(store.group(1).scan(b"", None))))
resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
store.write(flush)
store.flushed(flush)
store.close()
"""


def test_a_file_that_may_not_grow_for_a_while(tmp_path: Path):
    """The operating system refuses to extend the file; the same flush goes through when there is room."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "state"], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    # Not DiskFull: a write cut short is an input/output error to LMDB, and the disk itself has room.
    assert ran.stdout.split(b"\n")[:-1] == [b"StorageFailed 100"] * 3
    store = LmdbStateStore.open(tmp_path / "state")
    assert len(list(store.group(1).scan(b"", None))) == 100
    store.close()


def test_a_file_that_is_shorter_than_its_tree_does_not_end_the_process(tmp_path: Path):
    """LMDB reads where the map has no file behind it: a bus error."""
    path = tmp_path / "state"
    store = LmdbStateStore.open(path, "none")
    store.group(1).load([(b"%04d" % number, b"v" * 500) for number in range(2000)])
    store.set_applied(1, at(1))
    flush(store)
    store.close()
    with (path / "data.mdb").open("r+b") as file:
        file.truncate(4 * 4096)
    with pytest.raises(Corruption):
        read_everything(path)


def read_everything(path: Path) -> None:
    store = LmdbStateStore.open(path, "none")
    try:
        assert store.applied(1) == at(1)
        list(store.group(1).scan(b"", None))
    finally:
        store.close()


def test_a_store_that_cannot_be_opened_is_set_aside_once(tmp_path: Path):
    path = tmp_path / "state"
    for content in (b"one thing" * 1000, b"another" * 1000):
        path.mkdir()
        (path / "data.mdb").write_bytes(content)
        with pytest.raises(Corruption):
            LmdbStateStore.open(path, "none")
        LmdbStateStore.open_or_begin_anew(path, "none").close()
        assert (tmp_path / "state.damaged" / "data.mdb").read_bytes() == content
        LmdbStateStore.open_or_begin_anew(path, "none").close()
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
