"""The log store over a long run: `python -m benchmarks.log_steady [--scenario S1 S2] [--batches 50000]`.

Each batch appends an entry to some groups, few of them often and many of them seldom, and cuts a few logs.
What is looked for: no downward trend, a file that keeps to its bound, and no append that takes much longer
than the others. S1: 10,000 groups, 20 to 1,500 a batch, 128 bytes. S2: 2,000 groups, 20 to 400, 4 KiB. A line
of JSON for each. `--flushes` writes with `durability="sync"`; without it the disk is left out of the figures.
Times of `stage`, which a node's loop waits for, and `cpu_windows` are CPU time: they bear a busy machine.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

WINDOWS = 10
MIB = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """What is appended."""

    groups: int
    least: int
    most: int
    mean: int
    """Groups in a batch."""
    payload: int
    kept: int
    """Entries that a log is cut back to when it has twice as many."""


SCENARIOS = {
    "S1": Scenario(10_000, 20, 1500, 241, 128, 40),
    "S2": Scenario(2_000, 20, 400, 106, 4096, 30),
}


class Life:
    """Makes the batches of a scenario; the same ones for the same seed."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._draw = random.Random(seed)
        self._payload = self._draw.randbytes(scenario.payload)
        self._first = [2] * (scenario.groups + 1)
        self._last = [1] * (scenario.groups + 1)

    def births(self) -> list[GroupWrite]:
        """What the groups come from."""
        members = ConfState(voters=(1,))
        return [
            GroupWrite(group, 1, birth=Birth(group, 1, members, ((1, 1),), b"", None, 1, 1, "kv"))
            for group in range(1, self._scenario.groups + 1)
        ]

    def writes(self) -> list[GroupWrite]:
        """The next batch. Half of the groups of a batch come from a tenth of all."""
        scenario, draw = self._scenario, self._draw
        count = min(
            scenario.most, scenario.least + int(draw.expovariate(1 / (scenario.mean - scenario.least)))
        )
        busy = max(1, scenario.groups // 10)
        chosen = {draw.randrange(1, (busy if number % 2 else scenario.groups) + 1) for number in range(count)}
        entries = [(Entry(1, self._last[group] + 1, data=self._payload),) for group in sorted(chosen)]
        return [
            self._write(group, appended, run)
            for group, appended, run in zip(sorted(chosen), entries, encode_runs(entries), strict=True)
        ]

    def _write(self, group: int, appended: tuple[Entry], run: bytes) -> GroupWrite:
        last = self._last[group] = appended[0].index
        write = GroupWrite(group, 1, HardState(1, 1, last - 1), appended, run)
        if last - self._first[group] >= 2 * self._scenario.kept:
            cut = last - self._scenario.kept
            write.truncate = (cut, 1)
            self._first[group] = cut + 1
        return write


@dataclass
class Times:
    """Seconds that the steps of a batch took, batch by batch."""

    stage: list[float]
    commit: list[float]
    whole: list[float]
    cpu: list[float]


def run(name: str, batches: int, path: Path, *, flushes: bool) -> dict[str, object]:
    """Append so many batches; returns figures."""
    life = Life(SCENARIOS[name], 7)
    store = LogStore.open(path, "sync" if flushes else "none")
    commit(store, life.births())
    times, files = Times([], [], [], []), []
    for number in range(batches):
        writes = life.writes()
        began, cpu = time.perf_counter(), time.thread_time()
        batch = store.stage(writes)
        staged, staged_cpu = time.perf_counter(), time.thread_time()
        store.commit(batch)
        committed = time.perf_counter()
        store.finish(batch)
        times.stage.append(staged_cpu - cpu)
        times.commit.append(committed - staged)
        times.whole.append(time.perf_counter() - began)
        times.cpu.append(time.thread_time() - cpu)
        if number % max(1, batches // WINDOWS) == 0:
            files.append((path / "data.mdb").stat().st_size / MIB)
    usage = store.usage
    file = (path / "data.mdb").stat().st_size
    store.close()
    return {
        "scenario": name,
        "batches": batches,
        "windows": [round(rate) for rate in rates(times.whole)],
        "cpu_windows": [round(rate) for rate in rates(times.cpu)],
        "file_mib": [round(size) for size in [*files, file / MIB]],
        "stored_mib": round(usage.stored_bytes / MIB, 1),
        "live_mib": round(usage.live_bytes / MIB, 1),
        "stage_ms": quantiles(times.stage),
        "commit_ms": quantiles(times.commit),
    }


def commit(store: LogStore, writes: list[GroupWrite]) -> None:
    """One batch, durable."""
    batch = store.stage(writes)
    store.commit(batch)
    store.finish(batch)


def rates(whole: list[float]) -> list[float]:
    """Batches a second in each of ten windows."""
    size = max(1, len(whole) // WINDOWS)
    return [size / sum(whole[start : start + size]) for start in range(0, size * WINDOWS, size)]


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median, 99 and 99.9 of 100, and the longest, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=1000)
    found = {"p50": cuts[499], "p99": cuts[989], "p999": cuts[998], "max": max(seconds)}
    return {name: round(1000 * value, 3) for name, value in found.items()}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--batches", type=int, default=50_000)
    parser.add_argument("--flushes", action="store_true")
    options = parser.parse_args()
    for name in options.scenario:
        with tempfile.TemporaryDirectory() as folder:
            found = run(name, options.batches, Path(folder), flushes=options.flushes)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
