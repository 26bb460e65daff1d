"""Opening a large log after a kill: `python -m benchmarks.bench_log_open --entries 10000000 [--json]`.

A process appends to 1,000 of 10,000 groups at a time, 128 bytes each, and is killed while it appends more.
Then the store is opened with its checkpoint and by scanning, the files in memory (the kernel's) as they are.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

GROUPS = 10_000
AT_ONCE = 1_000
PAYLOAD = bytes(128)


def append(store: LogStore, writes: list[GroupWrite]) -> None:
    batch = store.stage(writes)
    store.commit(batch)
    store.finish(batch)


def fill(path: Path, entries: int) -> None:
    """Write so many entries, say so, and go on until killed."""
    store = LogStore.open(path / "log", checkpoint=path / "index")
    conf = ConfState((1,))
    append(
        store,
        [
            GroupWrite(group, 1, birth=Birth(group, 1, conf, ((1, 1),), b"", None, 1, 1, "kv"))
            for group in range(1, GROUPS + 1)
        ],
    )
    last = [1] * (GROUPS + 1)
    draw, done, told = random.Random(1), 0, False
    while True:
        writes = []
        chosen = draw.sample(range(1, GROUPS + 1), AT_ONCE)
        runs = encode_runs([(Entry(1, last[group] + 1, data=PAYLOAD),) for group in chosen])
        for group, run in zip(chosen, runs, strict=True):
            last[group] += 1
            entry = Entry(1, last[group], data=PAYLOAD)
            writes.append(GroupWrite(group, 1, HardState(1, 1, last[group] - 1), (entry,), run))
        append(store, writes)
        done += len(writes)
        if done >= entries and not told:
            told = True
            sys.stdout.write("filled\n")
            sys.stdout.flush()


def opened(path: Path, checkpoint: Path | None) -> tuple[float, LogStore]:
    began = time.perf_counter()
    store = LogStore.open(path / "log", checkpoint=checkpoint)
    return time.perf_counter() - began, store


def measure(path: Path, entries: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.bench_log_open", "--child", str(path)]
    began = time.perf_counter()
    with subprocess.Popen([*command, "--entries", str(entries)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"filled\n"
        filled = time.perf_counter() - began
        time.sleep(1)  # sleep: it is killed under load
        child.send_signal(signal.SIGKILL)
    seconds, store = opened(path, path / "index")
    index = store._index  # noqa: SLF001 - a benchmark looks inside
    tail, memory = index.totals().entries, index.memory()
    found = sum(store.group(group).last_index() - 1 for group in range(1, GROUPS + 1))
    size = (path / "index").stat().st_size if (path / "index").exists() else 0
    store.close()
    scan, store = opened(path, None)
    store.close()
    return {
        "entries": found,
        "fill_seconds": round(filled, 1),
        "seconds_checkpoint": round(seconds, 2),
        "tail_entries": tail,
        "seconds_scan": round(scan, 2),
        "log_mib": (path / "log" / "data.mdb").stat().st_size >> 20,
        "checkpoint_mib": size >> 20,
        "index_mib": memory >> 20,
        "ok": found >= entries,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--child", type=Path)
    chosen = parser.parse_args()
    if chosen.child:
        fill(chosen.child, chosen.entries)
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), chosen.entries)
    sys.stdout.write(json.dumps(report) + "\n")
    return not report["ok"]


if __name__ == "__main__":
    sys.exit(main())
