"""Mapped files in the process's memory: a flush, a snapshot and a log that is appended to keep to a bound."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiraft.engine import mapped
from multiraft.engine.logstore.environment import LmdbEnvironment
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.native.pages import resident_of_files
from tests.engine.statemachine.helpers import at

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped where")

MIB = 1 << 20
VALUE = 2000
KEYS = 16 * MIB // VALUE
ROOM = 4 * MIB


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> int:
    """What mapped files may take from now on: a little more than they do."""
    limit = resident_of_files() + ROOM
    monkeypatch.setattr(mapped, "RESIDENT_BYTES", limit)
    return limit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStateStore]:
    """Holds 16 MiB of one group, page after page."""
    opened = LmdbStateStore.open(tmp_path / "state", "none")
    fill(opened, range(KEYS))
    yield opened
    opened.close()


def fill(store: LmdbStateStore, numbers: range | list[int]) -> None:
    """Write the keys of these numbers."""
    for number in numbers:
        store.group(1).put(b"%08d" % number, bytes(VALUE))
    store.set_applied(1, at(1))
    taken = store.freeze()
    assert taken is not None
    store.write(taken)
    store.flushed(taken)


def test_a_flush_of_few_keys_all_over_a_large_file(
    store: LmdbStateStore, bound: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("multiraft.engine.statemachine.carryout.CALL_PAIRS", 16)
    seen = []
    before = mapped.let_go

    def watched(file: Path) -> None:
        seen.append(resident_of_files())
        before(file)

    monkeypatch.setattr(mapped, "let_go", watched)
    fill(store, sorted(random.Random(1).sample(range(KEYS), KEYS // 8)))
    assert len(seen) > 2, "the pages of one flush do not wait for its end"
    assert max(seen) < bound + ROOM
    assert resident_of_files() <= bound


def test_a_snapshot_of_a_large_file(store: LmdbStateStore, bound: int):
    view = store.view(1)
    most = 0
    while not view.read(MIB).last:
        most = max(most, resident_of_files())
    view.close()
    assert most <= bound


def test_a_log_whose_batches_are_read_back(tmp_path: Path, bound: int):
    log = LmdbEnvironment(tmp_path / "log", "none")
    for number in range(64):
        log.write([], [(b"%08d" % number, bytes(MIB // 2))])
        with log.reading() as get:
            value = get(b"%08d" % number)
            assert value is not None
            assert bytes(value) == bytes(MIB // 2)
    log.write([b"00000000"], [])
    assert resident_of_files() <= bound + 32 * MIB // 2
    log.close()


def test_a_log_that_pauses_is_out_of_memory(tmp_path: Path):
    log = LmdbEnvironment(tmp_path / "log", "none")
    log.write([], [(b"00000000", bytes(4 * MIB))])
    read_back(log, b"00000000")
    before = resident_of_files()
    log.sync()
    assert resident_of_files() <= before - 4 * MIB
    log.write([], [(b"00000001", b"little")])
    read_back(log, b"00000000")
    before = resident_of_files()
    log.sync()
    assert resident_of_files() >= before, "so little is not worth it"
    log.close()


def read_back(log: LmdbEnvironment, key: bytes) -> None:
    """Touch all of a value."""
    with log.reading() as get:
        value = get(key)
        assert value is not None
        assert not any(bytes(value))
