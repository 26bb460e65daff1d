"""A start from a checkpoint finds what a scan of the whole log finds, and any other checkpoint is ignored."""

import logging
import os
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiraft.engine.errors import DiskFull
from multiraft.engine.logstore import checkpointer, progress
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.recovery import recover
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.native import logdump
from multiraft.native.checksum import crc32c

from .builders import all_entries, appended, born, make_entries, put, resume
from .model import Model
from .workload import POLICY, life


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is always under way, a few hundred bytes with each batch."""
    monkeypatch.setattr(checkpointer, "RENEW_ENTRIES", 1)
    monkeypatch.setattr(checkpointer, "_WAITING", 10_000)  # however slow the thread is
    monkeypatch.setattr(logdump, "_ROOM", 600)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no machine crashes here


ROOMY = CollectionPolicy(factor=1.5, slack=150_000, batches=3, live_bytes=8_000)
"""Some checkpoints outlive the batches that they begin with, and others do not."""


class Recorded:
    """A store in memory with a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = MemoryEnvironment()
        self.store = LogStore(self.environment, collection=ROOMY, checkpoint=path)

    def crash(self, copy: Path, *, checkpoint: bool = True) -> LogStore:
        """The store as a crash at this moment leaves it, whoever was writing."""
        if checkpoint:
            shutil.copy(self.path, copy)
        environment = MemoryEnvironment(self.environment.values)
        return LogStore(environment, collection=ROOMY, checkpoint=copy if checkpoint else None)

    def wait(self) -> None:
        assert self.store._checkpointer is not None
        self.store._checkpointer.wait()

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def recorded(tmp_path: Path, eager: None) -> Iterator[Recorded]:
    made = Recorded(tmp_path / "index")
    yield made
    made.close()


def run_batches(recorded: Recorded, batches: list[list[GroupWrite]], draw: random.Random) -> Iterator[int]:
    """Commit them, up to three in flight; yields how many are durable, now and then."""
    done = 0
    store = recorded.store
    flying: list[StagedBatch] = []
    for writes in batches:
        flying.append(store.stage(writes))
        while len(flying) > draw.randint(0, 3):
            batch = flying.pop(0)
            store.commit(batch)
            store.finish(batch)
            done += 1
        recorded.wait()
        if draw.random() < 0.3:
            yield done
    for batch in flying:
        store.commit(batch)
        store.finish(batch)


@pytest.mark.parametrize("seed", range(8))
def test_a_start_from_a_checkpoint_finds_what_a_scan_finds(
    recorded: Recorded, tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
):
    """Made in slices while batches are in flight, collected, and replicas come and go."""
    batches, models = life(seed, 120)
    starts = 0
    for done in run_batches(recorded, batches, random.Random(seed)):
        if recorded.path.exists():
            quick = recorded.crash(tmp_path / "copy")
            models[done].check(quick)
            full = recorded.crash(tmp_path / "copy", checkpoint=False)
            assert quick._index.totals()._replace(entries=0) == full._index.totals()._replace(entries=0)
            starts += quick._index.totals().entries < full._index.totals().entries
            quick.close()
    assert starts > 0
    assert "contradicts" not in caplog.text
    assert "damaged" not in caplog.text
    assert "another" not in caplog.text


def test_a_clean_stop_leaves_nothing_to_scan(tmp_path: Path):
    path, index = tmp_path / "log", tmp_path / "index"
    store = LogStore.open(path, checkpoint=index)
    put(store, born(7), appended(7, make_entries(2, 50)))
    store.close()
    store = LogStore.open(path, checkpoint=index)
    assert store._index.totals().entries == 0
    assert all_entries(store, 7) == list(make_entries(2, 50))
    put(store, appended(7, make_entries(30, 2, term=4)))
    store._environment.close()
    store = LogStore.open(path, checkpoint=index)
    assert store._index.totals().entries == 2
    assert all_entries(store, 7) == [*make_entries(2, 28), *make_entries(30, 2, term=4)]
    store.close()


def test_a_roll_back_gives_up_what_was_under_way(recorded: Recorded, tmp_path: Path):
    store, model = recorded.store, Model()
    put(store, born(7))
    model = model.after([born(7)])
    for index in range(2, 40):
        writes = [appended(7, make_entries(index, 1))]
        if index % 5 == 0:
            lost = [
                store.stage([appended(7, make_entries(index, 3, term=9))]),
                store.stage([born(100 + index)]),
            ]
            recorded.environment.before_write = refuse
            with pytest.raises(DiskFull):
                store.commit(lost[0])
            recorded.environment.before_write = None
            store.roll_back(lost)
            resume(store)
        put(store, *writes)
        model = model.after(writes)
        recorded.wait()
        if recorded.path.exists():
            crashed = recorded.crash(tmp_path / "copy")
            model.check(crashed)
            crashed.close()


def refuse() -> None:
    raise DiskFull("no space")


def finished(path: Path) -> MemoryEnvironment:
    """A log of some batches and its checkpoint."""
    environment = MemoryEnvironment()
    store = LogStore(environment, checkpoint=path)
    put(store, born(7), born(8), GroupWrite(9, 1, tombstone=True))
    put(store, appended(7, make_entries(2, 9)), appended(8, make_entries(2, 3)))
    store.close()
    return environment


def opened(environment: MemoryEnvironment, path: Path) -> int:
    """Entries that were scanned; what is found must be right whatever the checkpoint is."""
    store = LogStore(MemoryEnvironment(environment.values), checkpoint=path)
    assert all_entries(store, 7) == list(make_entries(2, 9))
    assert store.tombstones() == {9: 1}
    entries = store._index.totals().entries
    store.close()
    return entries


def test_any_flipped_bit_makes_a_checkpoint_useless_and_nothing_else(tmp_path: Path):
    path = tmp_path / "index"
    environment = finished(path)
    good = path.read_bytes()
    assert opened(environment, path) == 0
    draw = random.Random(1)
    for bit in [*range(0, 8 * 64, 7), *draw.sample(range(8 * len(good)), 150)]:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert opened(environment, path) == 12


def test_a_checkpoint_that_was_cut_off_anywhere_is_useless(tmp_path: Path):
    path = tmp_path / "index"
    environment = finished(path)
    good = path.read_bytes()
    for length in range(0, len(good), 5):
        path.write_bytes(good[:length])
        assert opened(environment, path) == 12


def test_right_checksums_do_not_make_nonsense_a_checkpoint(tmp_path: Path):
    """Bits of its blocks are flipped and their checksums made right: what loads it never breaks."""
    path = tmp_path / "index"
    environment = finished(path)
    good = path.read_bytes()
    draw = random.Random(2)
    for _ in range(300):
        bad = bytearray(good)
        at = 16
        while at < len(bad):
            _, _, length = struct.unpack_from("=IIQ", bad, at)
            if draw.random() < 0.4:
                bad[at + 16 + draw.randrange(length)] ^= 1 << draw.randrange(8)
            struct.pack_into("=I", bad, at + 4, crc32c(bytes(bad[at + 16 : at + 16 + length])))
            at += 16 + length
        path.write_bytes(bad)
        assert recover(environment, path).last_seq == 3


def test_checkpoints_of_other_logs_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Of another store of the same shape, of a later state, and of one that is collected long since."""
    path = tmp_path / "index"
    environment = finished(path)
    other = MemoryEnvironment()
    store = LogStore(other, checkpoint=path)
    put(store, born(7), born(8), GroupWrite(9, 1, tombstone=True))
    put(store, appended(7, make_entries(2, 9, size=20)), appended(8, make_entries(2, 3)))
    store.close()
    assert opened(environment, path) == 12
    assert "another one" in caplog.text
    store = LogStore(MemoryEnvironment(environment.values), checkpoint=path)
    put(store, appended(8, make_entries(5, 3)))
    store.close()
    assert opened(environment, path) == 12
    assert "the log ends with" in caplog.text
    finished(path)
    kept = tmp_path / "kept"
    shutil.copy(path, kept)
    store = LogStore(environment, collection=POLICY, checkpoint=path)
    for index in range(11, 60):
        put(store, appended(7, make_entries(index, 1, size=3_000)), GroupWrite(7, 1, truncate=(index - 1, 1)))
    store.close()
    assert LogStore(MemoryEnvironment(environment.values), checkpoint=kept).group(7).last_index() == 59
    assert "the log begins with" in caplog.text


def test_a_missing_value_is_not_hidden_by_a_checkpoint(tmp_path: Path):
    path = tmp_path / "index"
    environment = finished(path)
    del environment.values[min(environment.values)]
    assert LogStore(environment, checkpoint=path).has_gaps


def test_a_checkpoint_that_cannot_be_written_stops_nothing(
    tmp_path: Path, eager: None, caplog: pytest.LogCaptureFixture
):
    store = LogStore(MemoryEnvironment(), checkpoint=tmp_path / "nowhere" / "index")
    put(store, born(7))
    for index in range(2, 30):
        put(store, appended(7, make_entries(index, 1)))
    store.close()
    assert "was not written" in caplog.text


def test_a_long_start_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    environment = finished(tmp_path / "index")
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    with caplog.at_level(logging.INFO):
        LogStore(environment).close()
    assert "100 of 100 done, batch 3 of 3" in caplog.text
