"""Kills a process that writes to a log store, again and again: `python -m ... --cycles 500 [--seed 1]`.

A process appends batches, several in flight, and says which are durable; it is killed at some moment, and the
store must hold at least those, whole. What batch n says follows from n alone.
"""

import argparse
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from multiraft.engine.logstore import checkpointer
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.logstore.writer import LogWriter
from multiraft.native import logdump
from multiraft.raft.entry import Entry
from multiraft.raft.state import HardState
from tests.engine.logstore.builders import appended, born

GROUPS = 20
KEPT = 60
POLICY = CollectionPolicy(factor=1.5, slack=100_000)
DEPTH = 4
_TOLD = struct.Struct("<Q")


def entry_of(group: int, index: int) -> Entry:
    size = 40 if (group + index) % 50 else 30_000
    return Entry(1, index, data=(b"%d.%d." % (group, index)).ljust(size, b"x"))


def cut_of(group: int, batches: int) -> int:
    """Where the group's log was truncated last within so many batches; 1 if never."""
    newest = batches - (batches - group) % GROUPS
    return max(1, newest - KEPT)


def batch_of(number: int) -> list[GroupWrite]:
    """Batch 0 makes the groups; each other one appends an entry to each, and truncates one."""
    if number == 0:
        return [born(group) for group in range(1, GROUPS + 1)]
    writes = [
        appended(group, [entry_of(group, number + 1)], HardState(1, 1, number))
        for group in range(1, GROUPS + 1)
    ]
    group = number % GROUPS or GROUPS
    if number - KEPT > 1:
        writes[group - 1].truncate = (number - KEPT, 1)
    return writes


def check(store: LogStore) -> int:
    """How many batches the store holds, each whole; raises AssertionError if that is not so."""
    if not store.births():
        return 0
    batches = store.group(1).last_index()
    for group in range(1, GROUPS + 1):
        log = store.group(group)
        assert log.hard_state == HardState(int(batches > 1), int(batches > 1), max(1, batches - 1)), group
        first = cut_of(group, batches - 1) + 1
        assert (log.first_index(), log.last_index()) == (first, batches), group
        wanted = [entry_of(group, index) for index in range(first, batches + 1)]
        assert list(log.entries(first, batches + 1, None)) == wanted, group
    return batches


def open_store(path: Path) -> LogStore:
    return LogStore.open(path, collection=POLICY, checkpoint=path.with_name("index"))


def write_on(path: Path) -> None:
    """What the process does that is killed."""
    checkpointer.RENEW_ENTRIES, logdump._ROOM = 500, 4_000
    store = open_store(path)
    durable: list[StagedBatch] = []
    number = store.group(1).last_index() if store.births() else 0

    def tell(batch: StagedBatch, error: Exception | None) -> None:
        assert error is None, error
        durable.append(batch)
        os.write(1, _TOLD.pack(len(batch.groups)))

    writer = LogWriter(store, tell, depth_max=DEPTH)
    while True:
        while durable:
            store.finish(durable.pop(0))
        if writer.full:
            select.select([], [], [], 0.0005)
            continue
        writer.submit(store.stage(batch_of(number)))
        number += 1


def cycle(path: Path, held: int, draw: random.Random) -> tuple[int, int]:
    """Start, kill, look: (batches acknowledged, batches held)."""
    command = [sys.executable, "-m", "tests.engine.logstore.kill_cycles", "--child", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdout is not None
        told = child.stdout.read(_TOLD.size)  # it writes
        assert told, "the process has ended by itself"
        child.stdout.flush()
        select.select([], [], [], draw.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read()
    acknowledged = held + len(told) // _TOLD.size
    store = open_store(path)
    found = check(store)
    store.close()
    assert found >= acknowledged, f"{acknowledged} batches were acknowledged, {found} are there"
    return acknowledged, found


def run(path: Path, cycles: int, seed: int) -> dict[str, object]:
    draw = random.Random(seed)
    held = acknowledged = done = 0
    finding = ""
    for _ in range(cycles):
        try:
            new, found = cycle(path, held, draw)
        except AssertionError as error:
            finding = repr(error)
            break
        acknowledged += new - held
        held = found
        done += 1
    return {"cycles": done, "acknowledged": acknowledged, "ok": not finding, "finding": finding}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    chosen = parser.parse_args()
    if chosen.child:
        write_on(chosen.child)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder) / "log", chosen.cycles, chosen.seed)
    print(json.dumps({**report, "seconds": round(time.monotonic() - started)}))
    return not report["ok"]


if __name__ == "__main__":
    sys.exit(main())
