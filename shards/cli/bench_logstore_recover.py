"""``bench logstore --recover``: opening a large log after its process was killed under load."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...engine.logstore.port import GroupWrite
from ...engine.logstore.store import LogStore
from ...native.entries import encode_runs
from ...raft.entry import Entry
from ...raft.state import HardState
from .logstore_load import append, births
from .output import CommandFailed, Fields

GROUPS: Final = 10
"""Times as many groups as a batch has: each batch goes to some of them, by lot."""
LOAD: Final = 1.0
"""Seconds of load behind what was asked for, before the kill."""
MIB: Final = 1 << 20


def run_recover(
    root: Path, groups: int, payload: int, entries: int, progress: Callable[[int, int], None]
) -> Fields:
    """Fill a log under ``root``, kill the process, open the log; returns the fields of the result."""
    _fill_and_kill(root, groups, payload, entries, progress)
    seconds, store = _opened(root, root / "index")
    index_bytes = store.index_bytes
    found = sum(store.group(group).last_index() - 1 for group in range(1, GROUPS * groups + 1))
    store.close()
    scan, store = _opened(root, None)
    store.close()
    return {
        "entries": found,
        "seconds_checkpoint": round(seconds, 3),
        "seconds_scan": round(scan, 3),
        "index_mib": round(index_bytes / MIB, 1),
        "ok": found >= entries,
    }


def _fill_and_kill(
    root: Path, groups: int, payload: int, entries: int, progress: Callable[[int, int], None]
) -> None:
    module = [sys.executable, "-P", "-m", __spec__.name]
    command = [*module, str(root), str(groups), str(payload), str(entries)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 # this very program
        try:
            assert child.stdout is not None
            done = 0
            while done < entries:
                line = child.stdout.readline()
                if not line:
                    raise CommandFailed("the process that fills the log has ended")
                done = int(line)
                progress(min(done, entries), entries)
            time.sleep(LOAD)
        finally:
            child.send_signal(signal.SIGKILL)


def _opened(root: Path, checkpoint: Path | None) -> tuple[float, LogStore]:
    began = time.perf_counter()
    store = LogStore.open(root / "log", checkpoint=checkpoint)
    return time.perf_counter() - began, store


def _fill(root: Path, groups: int, payload: int, entries: int) -> None:
    """Append without end; say how far it is, until it is as far as was asked."""
    store = LogStore.open(root / "log", checkpoint=root / "index")
    everyone = range(1, GROUPS * groups + 1)
    append(store, births(everyone))
    last = [1] * (len(everyone) + 1)
    data = bytes(payload)
    draw, done, told = random.Random(1), 0, 0
    while True:
        chosen = draw.sample(everyone, groups)
        for group in chosen:
            last[group] += 1
        appended = [(Entry(1, last[group], data=data),) for group in chosen]
        runs = encode_runs(appended)
        writes = [
            GroupWrite(group, 1, HardState(1, 1, last[group] - 1), one, run)
            for group, one, run in zip(chosen, appended, runs, strict=True)
        ]
        append(store, writes)
        done += groups
        if told < entries and (done >= entries or done - told >= entries // 100):
            told = done
            print(done, flush=True)


if __name__ == "__main__":
    _fill(Path(sys.argv[1]), *map(int, sys.argv[2:]))
