"""Data directories to look at: a node that has written something, and was stopped or killed."""

import asyncio
import random
from pathlib import Path

import multiraft
from multiraft.engine.logstore.chunks import join
from multiraft.engine.offline.findings import Findings
from multiraft.engine.offline.stopped import STORES, StoppedNode
from multiraft.engine.offline.verify import Verified, verify_node
from multiraft.shards.engine import Engine
from tests.engine.logstore.builders import Alternating

CONFIG = multiraft.Config(durability="none", flush_ms=20)
RANGES = 4


def key(number: int) -> bytes:
    """Keys that fall into all ranges."""
    return bytes((number * 53 % 256,)) + b"-%05d" % number


def write_sample(path: Path, *, seed: int = 1, rounds: int = 12) -> dict[bytes, bytes]:
    """Make a node with four ranges; returns what it holds. Values are small and large, some overwritten.

    Its log is written with long values and with those of one page in turn.
    """
    chance = random.Random(seed)
    held: dict[bytes, bytes] = {}

    async def work():
        async with Engine.open(path, ranges=RANGES, config=CONFIG) as db:
            db._assembly.node.log._sizes = Alternating()
            for number in range(rounds):
                for _ in range(20):
                    name = key(chance.randrange(200))
                    held[name] = chance.randbytes(chance.choice([0, 5, 100, 900]))
                    await db.put(name, held[name])
                name = key(chance.randrange(200))
                if name in held:
                    del held[name]
                    await db.delete(name)
                if number % 4 == 0:
                    held[b"big-%d" % number] = chance.randbytes(150_000)
                    await db.put(b"big-%d" % number, held[b"big-%d" % number])

    asyncio.run(work())
    return held


def verified(path: Path) -> Verified:
    """The verdict over a directory."""
    with StoppedNode.open(path) as node:
        return verify_node(node)


def told(findings: Findings) -> str:
    """All damages, one a line."""
    return "\n".join(map(str, findings.kept))


def stored(path: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """All keys and values of both stores, read through LMDB; of the log what chunks hold."""
    import lmdb  # noqa: PLC0415 # only what was found whole may be opened

    found = {}
    for store in STORES:
        environment = lmdb.open(str(path / store), readonly=True, lock=False, max_dbs=0)
        try:
            with environment.begin() as transaction, transaction.cursor() as cursor:
                found[store] = list(cursor)
        finally:
            environment.close()
    found["log"] = [(name, join([value])) for name, value in found["log"]]
    return found


def edit(path, store, change):
    """Change an environment through LMDB, as a wrong writer would."""
    import lmdb  # noqa: PLC0415 # as above

    environment = lmdb.open(str(path / store), map_size=1 << 30, max_dbs=0)
    with environment.begin(write=True) as transaction:
        change(transaction)
    environment.close()
