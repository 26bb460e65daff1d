"""Nothing is announced before it is durable, everything in order, and nothing after a failure."""

import threading
from collections.abc import Callable

import pytest

from multiraft.engine.errors import Closed, DiskFull, Overloaded, StorageFailed
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.writer import LogWriter

from .builders import all_entries, appended, born, make_entries

WAIT = 10.0


class GatedStore:
    """Commits when the test lets it."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.gates = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.settled = threading.Semaphore(0)
        self.failing: dict[int, Exception] = {}
        self.refused: dict[int, Exception] = {}
        """As `failing`, and while they are prepared."""

    def commit(self, batch: int, before_flush: Callable[[], None]) -> None:
        self.begun.append(batch)
        if batch in self.refused:
            raise self.refused[batch]
        before_flush()
        self.entered.release()
        assert self.gates.acquire(timeout=WAIT)
        if batch in self.failing:
            raise self.failing[batch]

    def settle(self) -> None:
        self.settled.release()
        if 0 in self.failing:
            raise self.failing[0]


class Heard:
    """What was announced, and on which thread."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, Exception | None]] = []
        self.threads: set[str] = set()
        self.news = threading.Semaphore(0)

    def __call__(self, batch: int, error: Exception | None) -> None:
        self.batches.append((batch, error))
        self.threads.add(threading.current_thread().name)
        self.news.release()

    def wait(self) -> None:
        assert self.news.acquire(timeout=WAIT)


def test_a_batch_is_announced_only_after_its_commit_has_returned():
    store, heard = GatedStore(), Heard()
    writer = LogWriter(store, heard)
    writer.submit(1)
    writer.submit(2)
    assert store.entered.acquire(timeout=WAIT)
    assert heard.batches == []
    assert writer.depth == 2
    store.gates.release()
    heard.wait()
    assert heard.batches == [(1, None)]
    assert store.entered.acquire(timeout=WAIT)
    assert heard.batches == [(1, None)]
    store.gates.release()
    writer.close()
    assert heard.batches == [(1, None), (2, None)]
    assert heard.threads == {"multiraft-log-writer"}
    assert writer.depth == 0


def test_a_failed_commit_takes_everything_behind_it_along():
    store, heard = GatedStore(), Heard()
    failure = DiskFull("no space")
    store.failing[2] = failure
    writer = LogWriter(store, heard)
    for batch in (1, 2, 3, 4):
        writer.submit(batch)
    store.gates.release(4)
    for _ in range(4):
        heard.wait()
    assert heard.batches == [(1, None), (2, failure), (3, failure), (4, failure)]
    assert store.begun == [1, 2]
    assert writer.error is failure
    writer.submit(5)  # its caller has not heard yet
    heard.wait()
    assert heard.batches[4:] == [(5, failure)]
    writer.resume()
    assert writer.error is None
    writer.submit(6)
    store.gates.release()
    heard.wait()
    assert heard.batches[5:] == [(6, None)]
    writer.close()


def test_a_batch_that_waits_is_prepared_before_the_news_of_the_one_before():
    store, told = GatedStore(), []
    writer = LogWriter(store, lambda batch, error: told.append((batch, list(store.begun))))
    writer.submit(1)
    assert store.entered.acquire(timeout=WAIT)
    writer.submit(2)
    store.gates.release(2)
    writer.close()
    assert told == [(1, [1, 2]), (2, [1, 2])]


def test_a_batch_is_durable_even_if_the_next_one_fails_while_it_is_prepared():
    store, heard = GatedStore(), Heard()
    store.refused[2] = failure = DiskFull("no space")
    writer = LogWriter(store, heard)
    writer.submit(1)
    assert store.entered.acquire(timeout=WAIT)
    writer.submit(2)
    writer.submit(3)
    store.gates.release(1)
    writer.close()
    assert heard.batches == [(1, None), (2, failure), (3, failure)]
    assert store.begun == [1, 2]


def test_the_queue_is_bounded():
    store, heard = GatedStore(), Heard()
    writer = LogWriter(store, heard, depth_max=2)
    writer.submit(1)
    assert not writer.full
    writer.submit(2)
    assert writer.full
    with pytest.raises(Overloaded):
        writer.submit(3)
    store.gates.release(2)
    writer.close()
    assert heard.batches == [(1, None), (2, None)]


def test_a_pause_behind_commits_is_used_once_to_settle():
    store, heard = GatedStore(), Heard()
    writer = LogWriter(store, heard)
    writer.submit(1)
    assert not store.settled.acquire(timeout=0.01)
    store.gates.release()
    heard.wait()
    assert store.settled.acquire(timeout=WAIT)
    writer.close()
    assert not store.settled.acquire(blocking=False)
    assert heard.batches == [(1, None)]


def test_a_flush_that_fails_in_a_pause_stops_the_writer():
    store, heard = GatedStore(), Heard()
    store.failing[0] = failure = StorageFailed("input/output error")
    writer = LogWriter(store, heard)
    writer.submit(1)
    store.gates.release()
    assert store.settled.acquire(timeout=WAIT)
    writer.submit(2)
    heard.wait()
    writer.close()
    assert writer.error is failure
    assert heard.batches == [(1, None), (2, failure)]
    assert store.begun == [1]


def test_close_commits_what_was_submitted_and_refuses_more():
    store, heard = GatedStore(), Heard()
    store.gates.release(3)
    writer = LogWriter(store, heard)
    for batch in (1, 2, 3):
        writer.submit(batch)
    writer.close()
    writer.close()
    assert [batch for batch, _ in heard.batches] == [1, 2, 3]
    with pytest.raises(Closed):
        writer.submit(4)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_fails_stops_the_writer():
    store = GatedStore()
    store.gates.release(1)

    def deaf(batch: int, error: Exception | None) -> None:
        raise RuntimeError("the loop is closed")

    writer = LogWriter(store, deaf)
    writer.submit(1)
    writer.close()
    assert isinstance(writer.error, RuntimeError)
    with pytest.raises(Closed):
        writer.submit(2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_fails_stops_the_batch_that_is_prepared_meanwhile():
    environment = MemoryEnvironment()
    store = MemoryLogStore(environment)

    def deaf(batch: object, error: Exception | None) -> None:
        raise RuntimeError("the loop is closed")

    writer = LogWriter(store, deaf)
    both_wait = threading.Event()

    def wait_for_both() -> None:
        assert both_wait.wait(WAIT)

    environment.before_write = wait_for_both
    writer.submit(store.stage([born(7)]))
    writer.submit(store.stage([born(8)]))
    both_wait.set()
    writer.close()
    assert isinstance(writer.error, RuntimeError)
    assert set(MemoryLogStore(MemoryEnvironment(environment.values)).births()) == {7}


def test_nothing_is_announced_while_the_environment_is_still_writing():
    """The real store on an environment whose transaction waits for the test; reads go on meanwhile."""
    store, heard = MemoryLogStore(), Heard()
    entered, gate = threading.Event(), threading.Event()

    def wait_for_the_disk() -> None:
        entered.set()
        assert gate.wait(WAIT)

    store.environment.before_write = wait_for_the_disk
    writer = LogWriter(store, lambda batch, error: heard(batch.seq, error))
    batch = store.stage([born(7), appended(7, make_entries(2, 3))])
    writer.submit(batch)
    assert entered.wait(WAIT)
    assert heard.batches == []
    assert all_entries(store, 7) == list(make_entries(2, 3))
    assert MemoryLogStore(MemoryEnvironment(store.environment.values)).births() == {}
    gate.set()
    heard.wait()
    assert heard.batches == [(batch.seq, None)]
    assert set(MemoryLogStore(MemoryEnvironment(store.environment.values)).births()) == {7}
    writer.close()
