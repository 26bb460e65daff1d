"""A life of a log store, the same for the same seed, told as it goes: `python -m ... DIR SEED FIRST COUNT`.

What is staged and what is acknowledged is written to the file `told` of the directory: one byte and eight.
"""

import os
import random
import struct
import sys
from pathlib import Path

from multiraft.engine.logstore import checkpointer
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.native import logdump
from multiraft.raft.state import HardState

from .builders import MEMBERS, appended, born, make_entries
from .model import Model

TOLD = "told"
STAGED, ACKNOWLEDGED = b"s", b"a"
RECORD = struct.Struct("<cQ")
GROUPS = 5
POLICY = CollectionPolicy(factor=1.5, slack=20_000, batches=3, live_bytes=8_000)
_SIZES = (10, 10, 60, 300, 300, 3_000, 9_000, 70_000)


def life(seed: int, count: int) -> tuple[list[list[GroupWrite]], list[Model]]:
    """`count` batches, and what is known after each number of them."""
    draw = random.Random(seed)
    models = [Model()]
    batches = []
    replicas = dict.fromkeys(range(1, GROUPS + 1), 1)
    for _ in range(count):
        writes = []
        for group in sorted(draw.sample(range(1, GROUPS + 1), draw.randint(1, GROUPS))):
            writes += _writes(draw, models[-1], group, replicas)
        batches.append(writes)
        models.append(models[-1].after(writes))
    return batches, models


def _writes(draw: random.Random, model: Model, group: int, replicas: dict[int, int]) -> list[GroupWrite]:
    known = model.groups.get(group)
    replica = replicas[group]
    if known is None:
        return [born(group, replica)]
    chance = draw.random()
    if chance < 0.03:
        replicas[group] += 1
        return [GroupWrite(group, replica, tombstone=True)]
    if chance < 0.06:
        return [GroupWrite(group, replica, snapshot_point=(known.last + 5, known.last_term, MEMBERS))]
    if chance < 0.2 and known.entries:
        cut = draw.choice(known.entries)
        return [GroupWrite(group, replica, truncate=(cut.index, cut.term))]
    term = known.last_term + (draw.random() < 0.1)
    first = draw.randint(known.first, known.last + 1) if chance < 0.3 else known.last + 1
    entries = make_entries(first, draw.randint(1, 3), term, draw.choice(_SIZES))
    return [appended(group, entries, HardState(term, 1, known.point[0]), replica)]


def told(content: bytes) -> list[tuple[bytes, int]]:
    """What a file `told` says, as far as it was written."""
    whole = len(content) - len(content) % RECORD.size
    return [RECORD.unpack_from(content, at) for at in range(0, whole, RECORD.size)]


def open_store(path: Path) -> LogStore:
    """The store with its checkpoint in the same directory."""
    return LogStore.open(path, collection=POLICY, checkpoint=path / "index")


def live(path: Path, seed: int, first: int, count: int) -> None:
    """Write batches `first` to `count`, several in flight, now and then with a pause or a new opening."""
    batches, _ = life(seed, count)
    draw = random.Random(seed + first)
    log = os.open(path / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    checkpointer.RENEW_ENTRIES, logdump._ROOM = 30, 2_000
    store = open_store(path)
    while first < count:
        flying = []
        for number in range(first, min(count, first + draw.randint(1, 3))):
            os.write(log, RECORD.pack(STAGED, number + 1))
            flying.append(store.stage(batches[number]))
        for batch in flying:
            store.commit(batch)
            first += 1
            os.write(log, RECORD.pack(ACKNOWLEDGED, first))
        for batch in flying:
            store.finish(batch)
        if draw.random() < 0.1:
            store.settle()
        elif draw.random() < 0.05:
            store.close()
            store = open_store(path)
    assert store._checkpointer is not None
    store._checkpointer.close(None)  # its thread must not be in the midst of an operation
    os._exit(0)  # as a killed process leaves it


if __name__ == "__main__":
    live(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
