"""Flushes: in another thread while the loop goes on, after failures, in pieces; and the real environment."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from multiraft.engine.errors import AlreadyOpen, Closed, Corruption, DiskFull, PermissionDenied, StorageFailed
from multiraft.engine.statemachine import flush as flush_module
from multiraft.engine.statemachine.flush import Flush
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.medium import Writer
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import TOP, read_dead_prefixes
from multiraft.engine.statemachine.overlay import OverlayStore
from multiraft.engine.statemachine.store import Applied
from multiraft.raft.state import ConfState


def at(index: int) -> Applied:
    return Applied(index, 1, ConfState((1,)))


def flush(store: OverlayStore) -> None:
    taken = store.freeze()
    assert taken is not None
    store.write(taken)
    store.flushed(taken)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStateStore]:
    opened = LmdbStateStore.open(tmp_path / "state", "none")
    yield opened
    opened.close()


def write_in_thread(store: OverlayStore, taken: Flush, inside: Callable[[str], None]) -> threading.Thread:
    """Write the flush in a thread that calls ``inside`` between its work and its commit."""
    original = store.medium.commit

    def commit(work: Callable[[Writer], None]) -> None:
        def watched(writer: Writer) -> None:
            work(writer)
            inside("written, not committed")

        original(watched)
        inside("committed, not reported")

    store.medium.commit = commit  # type: ignore[method-assign]
    thread = threading.Thread(target=store.write, args=(taken,))
    thread.start()
    return thread


def test_the_loop_reads_and_writes_while_a_thread_flushes(store: LmdbStateStore):
    """At every stage of the flush the loop sees one state: its own."""
    group = store.group(1)
    group.load([(b"stored", b"0"), (b"doomed", b"0")])
    store.set_applied(1, at(1))
    flush(store)
    group.put(b"frozen", b"1")
    group.delete(b"doomed")
    store.set_applied(1, at(2))
    taken = store.freeze()
    assert taken is not None

    reached: dict[str, threading.Event] = {}
    go_on: dict[str, threading.Event] = {}
    stages = ["written, not committed", "committed, not reported"]
    for stage in stages:
        reached[stage], go_on[stage] = threading.Event(), threading.Event()

    def inside(stage: str) -> None:
        reached[stage].set()
        assert go_on[stage].wait(20)

    thread = write_in_thread(store, taken, inside)
    try:
        expected = {b"stored": b"0", b"frozen": b"1"}
        for number, stage in enumerate(stages):
            assert reached[stage].wait(20)
            assert dict(group.scan(b"", None)) == expected
            group.put(b"active%d" % number, b"2")
            group.put(b"frozen", b"over")
            assert not group.delete(b"doomed")
            expected |= {b"active%d" % number: b"2", b"frozen": b"over"}
            assert list(group.scan(b"", None)) == sorted(expected.items())
            assert store.applied(1) == at(2)
            assert store.durable_applied(1) == 1
            go_on[stage].set()
    finally:
        for event in go_on.values():
            event.set()
        thread.join()
    assert store.flushed(taken) == {1: 2}
    assert store.durable_applied(1) == 2
    assert list(group.scan(b"", None)) == sorted(expected.items())


def test_closing_waits_for_the_commit(tmp_path: Path):
    store = LmdbStateStore.open(tmp_path / "state", "none")
    store.group(1).put(b"k", b"v")
    store.set_applied(1, at(1))
    taken = store.freeze()
    assert taken is not None
    inside, closing = threading.Event(), threading.Event()

    def hold(stage: str) -> None:
        if stage == "written, not committed":
            inside.set()
            assert closing.wait(20)

    writer = write_in_thread(store, taken, hold)
    assert inside.wait(20)
    closer = threading.Thread(target=store.close)
    closer.start()
    closing.set()
    writer.join()
    closer.join()
    again = LmdbStateStore.open(tmp_path / "state", "none")
    assert again.applied(1) == at(1)
    again.close()


def test_a_failed_write_is_repeated_and_nothing_was_visible():
    store = MemoryStateStore()
    store.group(1).load([(b"k", b"old")])
    store.set_applied(1, at(1))
    flush(store)
    store.group(1).load([(b"k", b"new")])
    store.set_applied(1, at(2))
    taken = store.freeze()
    assert taken is not None

    def fault() -> None:
        raise DiskFull("as ordered")

    store.medium.fault = fault
    for _ in range(2):
        with pytest.raises(DiskFull):
            store.write(taken)
    assert store.flushing is taken
    assert store.group(1).get(b"k") == b"new", "reads go on, and see what waits"
    store.group(1).put(b"later", b"too")
    contents = dict(store.medium.contents)
    assert MemoryStateStore(contents).applied(1) == at(1)
    assert MemoryStateStore(contents).group(1).get(b"k") == b"old"
    store.medium.fault = None
    store.write(taken)
    assert store.flushed(taken) == {1: 2}
    after = store.crash()
    assert after.applied(1) == at(2)
    assert list(after.group(1).scan(b"", None)) == [(b"k", b"new")]


def test_one_flush_at_a_time():
    store = MemoryStateStore()
    store.group(1).put(b"k", b"v")
    taken = store.freeze()
    assert taken is not None
    with pytest.raises(AssertionError):
        store.freeze()
    with pytest.raises(AssertionError):
        store.flushed(Flush(1, 1, {}, ()))
    store.write(taken)
    store.flushed(taken)
    assert store.freeze() is None


def test_abandoned_data_goes_in_pieces_with_the_following_flushes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flush_module, "RECLAIM_KEYS", 10)
    store = MemoryStateStore()
    for group in (1, 2):
        store.group(group).load([(b"%02d" % number, b"") for number in range(25)])
    flush(store)
    store.group(1).load([(b"new", b"")])
    store.remove(2)
    flush(store)
    assert len(read_dead_prefixes(store.medium)) == 2
    store = store.crash()  # reclaiming goes on where it was
    sizes = []
    while (taken := store.freeze()) is not None:
        store.write(taken)
        store.flushed(taken)
        sizes.append(sum(key[8:].isdigit() for key in store.medium.contents if len(key) == 10))
    assert sizes == [40, 30, 20, 10, 0, 0]
    assert list(store.group(1).scan(b"", None)) == [(b"new", b"")]
    assert read_dead_prefixes(store.medium) == []


def test_an_install_marker_belongs_to_its_point():
    store = MemoryStateStore()
    store.set_applied(1, at(5))
    store.set_install_marker(1, 3)
    flush(store)
    store = store.crash()
    assert store.install_marker(1) == 3
    store.set_applied(1, at(6))
    assert store.install_marker(1) is None
    flush(store)
    assert store.crash().install_marker(1) is None


def test_an_install_marker_needs_the_point_first():
    """Set in the other order it would mark the point before, and the install would be lost in a crash."""
    store = MemoryStateStore()
    with pytest.raises(AssertionError):
        store.set_install_marker(1, 3)
    store.set_applied(1, at(5))
    store.group(1).load([(b"k", b"v")])  # takes the point back: it spoke of other data
    with pytest.raises(AssertionError):
        store.set_install_marker(1, 3)


def test_what_was_taken_back_never_reaches_the_disk(store: LmdbStateStore):
    group = store.group(1)
    group.put(b"k", b"1")
    store.set_applied(1, at(1))
    taken = store.freeze()
    assert taken is not None
    group.put(b"k", b"2")
    store.set_applied(1, at(2))
    group.put(b"half", b"of a command")
    store.discard(1)
    store.group(2).put(b"k", b"of another group")
    assert store.applied(1) == at(1)
    assert list(group.scan(b"", None)) == [(b"k", b"1")]
    store.write(taken)
    store.flushed(taken)
    flush(store)
    assert list(group.scan(b"", None)) == [(b"k", b"1")]
    assert store.group(2).get(b"k") == b"of another group"


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
