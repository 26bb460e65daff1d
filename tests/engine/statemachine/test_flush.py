"""Flushes: in another thread while the loop goes on, after failures, and in pieces."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multiraft.engine.errors import DiskFull
from multiraft.engine.statemachine import carryout
from multiraft.engine.statemachine.flush import Flush
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.medium import Medium, Writer
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import read_dead_prefixes
from multiraft.engine.statemachine.overlay import OverlayStore
from tests.engine.statemachine.helpers import at, flush


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStateStore]:
    opened = LmdbStateStore.open(tmp_path / "state", "none")
    yield opened
    opened.close()


class Watched:
    """A medium that calls ``inside`` between the work of a transaction and its commit, and after it."""

    def __init__(self, medium: Medium, inside: Callable[[str], None]) -> None:
        self._medium = medium
        self._inside = inside
        self.get, self.page, self.around = medium.get, medium.page, medium.around
        self.reopen, self.close = medium.reopen, medium.close

    def commit(self, work: Callable[[Writer], None]) -> None:
        def watched(writer: Writer) -> None:
            work(writer)
            self._inside("written, not committed")

        self._medium.commit(watched)
        self._inside("committed, not reported")


def write_in_thread(store: OverlayStore, taken: Flush, inside: Callable[[str], None]) -> threading.Thread:
    store.medium = Watched(store.medium, inside)
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
    monkeypatch.setattr(carryout, "RECLAIM_KEYS", 10)
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


@pytest.mark.parametrize("forget", ["remove", "discard"])
def test_an_install_marker_does_not_outlive_what_it_marked(forget: str):
    store = MemoryStateStore()
    store.set_applied(1, at(5))
    store.set_install_marker(1, 3)
    getattr(store, forget)(1)
    store.set_applied(1, at(5))
    assert store.install_marker(1) is None


@pytest.mark.parametrize("empty", ["clear", "load nothing", "remove"])
def test_data_that_was_cleared_stays_away_from_the_next_start(empty: str):
    """Also while it is still in the file: the record that led to it goes in the same flush."""
    store = MemoryStateStore()
    store.group(1).load([(b"k", b"v")])
    flush(store)
    if empty == "clear":
        store.group(1).clear()
    elif empty == "load nothing":
        store.group(1).load([])
    else:
        store.remove(1)
    flush(store)
    store = store.crash()
    assert read_dead_prefixes(store.medium), "not reclaimed yet"
    assert store.group(1).get(b"k") is None
    assert list(store.group(1).scan(b"", None)) == []


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
