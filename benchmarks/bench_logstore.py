"""Appending to the log: one durable batch for many groups, beside one write and one flush of a plain file.

Both sides encode the same entries; the file gets the very bytes of the runs. Compare the two targets of one
run on one machine: absolute figures are those of the disk. `multiraft bench logstore` alternates the two.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

PAYLOAD = bytes(128)
KEPT = 64
"""Entries that a group keeps: truncation and collection are part of what is measured."""

Turn = Callable[[], None]


@pytest.fixture(params=[1, 100, 1000, 10_000], ids="groups={}".format)
def groups(request: pytest.FixtureRequest) -> int:
    chosen: int = request.param
    return chosen


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    opened = LogStore.open(tmp_path / "log")
    yield opened
    opened.close()


def append(store: LogStore, writes: list[GroupWrite]) -> None:
    batch = store.stage(writes)
    store.commit(batch)
    store.finish(batch)


def entries_of(groups: int, index: int) -> list[tuple[Entry, ...]]:
    return [(Entry(1, index, data=PAYLOAD),) for _ in range(groups)]


def test_append_to_log_store(benchmark: BenchmarkFixture, store: LogStore, groups: int) -> None:
    conf = ConfState((1,))
    births = [Birth(group, 1, conf, ((1, 1),), b"", None, 1, 1, "kv") for group in range(1, groups + 1)]
    append(store, [GroupWrite(birth.group, 1, birth=birth) for birth in births])
    indexes = count(2)

    def turn() -> None:
        index = next(indexes)
        entries = entries_of(groups, index)
        hard_state = HardState(1, 1, index - 1)
        writes = [
            GroupWrite(group, 1, hard_state, run_entries, run)
            for group, (run_entries, run) in enumerate(zip(entries, encode_runs(entries), strict=True), 1)
        ]
        if index > KEPT + 1:  # one group in turn, so that each batch carries its share
            writes[index % groups].truncate = (index - KEPT, 1)
        append(store, writes)

    benchmark(turn)
    usage = store.usage
    benchmark.extra_info.update(groups=groups, stored_bytes=usage.stored_bytes, live_bytes=usage.live_bytes)


def test_append_to_plain_file(benchmark: BenchmarkFixture, tmp_path: Path, groups: int) -> None:
    indexes = count(2)
    target = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def turn() -> None:
        os.write(target, b"".join(encode_runs(entries_of(groups, next(indexes)))))
        os.fdatasync(target)

    benchmark(turn)
    benchmark.extra_info.update(groups=groups)
    os.close(target)


def test_open_after_many_batches(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The scan at start-up: 300,000 entries in 300 batches."""
    groups, batches = 1000, 300
    writer = LogStore.open(tmp_path, "none")
    conf = ConfState((1,))
    append(
        writer,
        [
            GroupWrite(group, 1, birth=Birth(group, 1, conf, ((1, 1),), b"", None, 1, 1, "kv"))
            for group in range(1, groups + 1)
        ],
    )
    for index in range(2, batches + 2):
        entries = entries_of(groups, index)
        runs = encode_runs(entries)
        append(writer, [GroupWrite(g, 1, None, entries[g - 1], runs[g - 1]) for g in range(1, groups + 1)])
    writer.close()

    def reopen() -> None:
        LogStore.open(tmp_path, "none").close()

    benchmark.pedantic(reopen, rounds=3)
