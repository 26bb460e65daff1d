"""The log store beside a plain file: `python -m benchmarks.log_ratio [--groups 1 100 1000] [--blocks 15]`.

Both sides make the entries' runs and an encoded batch within what is timed. The file, opened once, gets the
very bytes of such a batch with one `os.write` and one `os.fdatasync`; the store stages, commits and finishes
it, with truncation and collection. Blocks of at least 0.2 s alternate in one process; the ratio is the median
of the pairs. `--pipelined`: the store, and the file likewise, on a thread of its own, four batches in flight.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from multiraft.engine.logstore.blob import BlobWriter
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.logstore.writer import LogWriter
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

KEPT = 64
IN_FLIGHT = 4
BLOCK_S = 0.2


class PlainFile:
    """Implements `writer.Committing`."""

    def __init__(self, path: Path) -> None:
        self._target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def commit(self, batch: bytes) -> None:
        """One write, one flush."""
        os.write(self._target, batch)
        os.fdatasync(self._target)

    def settle(self) -> None:
        """Nothing is left to do."""


class Load:
    """What is appended: one entry to each group."""

    def __init__(self, groups: int, payload: int) -> None:
        self.groups = range(1, groups + 1)
        self._payload = bytes(payload)

    def encode(self, index: int) -> tuple[list[tuple[Entry, ...]], list[bytes]]:
        """Entries and runs of all groups."""
        entries = [(Entry(1, index, data=self._payload),) for _ in self.groups]
        return entries, encode_runs(entries)

    def writes(self, index: int) -> list[GroupWrite]:
        """What the store is given."""
        entries, runs = self.encode(index)
        state = HardState(1, 1, index - 1)
        writes = [
            GroupWrite(*one)
            for one in zip(self.groups, [1] * len(runs), [state] * len(runs), entries, runs, strict=True)
        ]
        if index > KEPT + 1:  # one group in turn, so that each batch carries its share
            writes[index % len(writes)].truncate = (index - KEPT, 1)
        return writes

    def blob(self, index: int) -> bytes:
        """The same batch without a store."""
        _, runs = self.encode(index)
        count = len(runs)
        writer = BlobWriter()
        lengths = list(map(len, runs))
        writer.add_rows(self.groups, [1] * count, runs, lengths, b"\1" * count, [1, 1, index - 1] * count, [])
        return writer.finish(index, 1)


def store_side(path: Path, load: Load, *, pipelined: bool) -> Callable[[], None]:
    store = LogStore.open(path)
    conf = ConfState((1,))
    births = [Birth(group, 1, conf, ((1, 1),), b"", None, 1, 1, "kv") for group in load.groups]
    indexes = iter(range(2, 1 << 62))
    turn = _pipeline(store, lambda: store.stage(load.writes(next(indexes))), store.finish)

    def direct() -> None:
        batch = store.stage(load.writes(next(indexes)))
        store.commit(batch)
        store.finish(batch)

    batch = store.stage([GroupWrite(birth.group, 1, birth=birth) for birth in births])
    store.commit(batch)
    store.finish(batch)
    return turn if pipelined else direct


def file_side(path: Path, load: Load, *, pipelined: bool) -> Callable[[], None]:
    file = PlainFile(path)
    indexes = iter(range(2, 1 << 62))
    turn = _pipeline(file, lambda: load.blob(next(indexes)), lambda _: None)
    return turn if pipelined else lambda: file.commit(load.blob(next(indexes)))


def _pipeline(target, make, finish) -> Callable[[], None]:  # noqa: ANN001 - of either side's own kind
    """A turn that hands over the next batch while others are written."""
    free = threading.Semaphore(IN_FLIGHT)
    done: list[StagedBatch | bytes] = []

    def heard(batch: StagedBatch | bytes, error: Exception | None) -> None:
        assert error is None, error
        done.append(batch)
        free.release()

    writer: LogWriter = LogWriter(target, heard)

    def turn() -> None:
        free.acquire()
        while done:
            finish(done.pop(0))
        writer.submit(make())

    return turn


def block(turn: Callable[[], None]) -> tuple[float, float]:
    """(batches a second, CPU seconds a batch)."""
    count, cpu, began = 0, time.process_time(), time.perf_counter()
    while (seconds := time.perf_counter() - began) < BLOCK_S or count < 3:
        turn()
        count += 1
    return count / seconds, (time.process_time() - cpu) / count


def compare(groups: int, payload: int, blocks: int, *, pipelined: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        load = Load(groups, payload)
        store = store_side(Path(folder) / "log", load, pipelined=pipelined)
        file = file_side(Path(folder) / "file", load, pipelined=pipelined)
        for warm in (store, file):
            block(warm)
        pairs = [(block(store), block(file)) for _ in range(blocks)]
    return {
        "groups": groups,
        "pipelined": pipelined,
        "batches_per_second": round(statistics.median(mine for (mine, _), _ in pairs)),
        "file_batches_per_second": round(statistics.median(other for _, (other, _) in pairs)),
        "ratio": round(statistics.median(mine / other for (mine, _), (other, _) in pairs), 2),
        "cpu_ms": round(1000 * statistics.median(cpu for (_, cpu), _ in pairs), 3),
        "file_cpu_ms": round(1000 * statistics.median(cpu for _, (_, cpu) in pairs), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 100, 1_000, 10_000])
    parser.add_argument("--payload", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--pipelined", action="store_true")
    chosen = parser.parse_args()
    for groups in chosen.groups:
        report = compare(groups, chosen.payload, chosen.blocks, pipelined=chosen.pipelined)
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    os._exit(0)  # the threads of the pipelines wait for more


if __name__ == "__main__":
    main()
