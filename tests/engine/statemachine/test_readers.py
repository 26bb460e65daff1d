"""The watch over readers that stay, on a real environment."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.readers import LONG_S, LOOK_S, ReaderWatch
from tests.engine.statemachine.helpers import at, flush

HOLD = """
import lmdb, os, sys
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=0)
transaction = environment.begin()
print("held", flush=True)
sys.stdin.readline()
os._exit(1)
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def write(store: LmdbStateStore, index: int) -> None:
    store.group(1).load([(b"%03d" % number, b"v" * 1000) for number in range(100)])
    store.set_applied(1, at(index))
    flush(store)


def test_a_reader_that_stays_is_reported_with_its_age_and_what_it_costs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    clock = Clock()
    store = LmdbStateStore.open(tmp_path / "state", "none")
    store.medium._readers = ReaderWatch(clock)
    write(store, 1)
    moment = store.medium.moment()
    told = []
    for index in range(2, 40):
        clock.now += LOOK_S
        write(store, index)
        told += [record.getMessage() for record in caplog.records]
        caplog.clear()
    assert f"has stayed for {LONG_S:.0f} s" in told[0]
    assert f"has stayed for {2 * LONG_S:.0f} s" in told[1]
    assert "the file has grown by" in told[0]
    assert "grown by 0 bytes" not in told[0]
    assert len(told) == 3, "at 60, 120 and 240 seconds"
    moment.close()
    clock.now += 10 * LONG_S
    write(store, 40)
    write(store, 41)
    assert not caplog.records
    store.close()


def test_short_reads_are_nothing_to_report(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    clock = Clock()
    store = LmdbStateStore.open(tmp_path / "state", "none")
    store.medium._readers = ReaderWatch(clock)
    for index in range(1, 20):
        clock.now += LONG_S
        write(store, index)
        assert store.group(1).get(b"001")
    assert not caplog.records
    store.close()


def test_the_place_of_a_reader_that_died_is_freed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """It would hold back every page for ever."""
    clock = Clock()
    store = LmdbStateStore.open(tmp_path / "state", "none")
    store.medium._readers = ReaderWatch(clock)
    write(store, 1)
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"held\n"
    reader.communicate(b"\n")
    with caplog.at_level(logging.WARNING):
        clock.now += LOOK_S
        write(store, 2)
    assert "1 readers of the state store had ended" in caplog.text
    store.close()
