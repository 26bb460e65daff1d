"""Lives the life of a log store and tells of it: `python -m ... DIR SEED FIRST COUNT`.

What is staged and what is acknowledged is written to the file `told` of the directory: one byte and eight.
"""

import os
import random
import struct
import sys
from pathlib import Path

from multiraft.engine.logstore.store import LogStore
from tests.engine.logstore.builders import Alternating
from tests.engine.logstore.workload import POLICY, life

from .facts import TOLD
from .nodes import make_small

STAGED, ACKNOWLEDGED = b"s", b"a"
RECORD = struct.Struct("<cQ")


def told(content: bytes) -> list[tuple[bytes, int]]:
    """What a file `told` says, as far as it was written."""
    whole = len(content) - len(content) % RECORD.size
    return [RECORD.unpack_from(content, at) for at in range(0, whole, RECORD.size)]


def open_store(path: Path) -> LogStore:
    """The store with its checkpoint in the same directory; its values are long and small in turn."""
    return LogStore.open(path, collection=POLICY, checkpoint=path / "index", sizes=Alternating())


def live(path: Path, seed: int, first: int, count: int) -> None:
    """Write batches `first` to `count`, several in flight, now and then with a pause or a new opening."""
    batches, _ = life(seed, count)
    draw = random.Random(seed + first)
    log = os.open(path / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    make_small()
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
