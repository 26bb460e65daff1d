"""A node that writes until it is killed: `python -m ... DIR NODE PORTS FIRST SINCE READY_FD`.

It is node NODE of those at PORTS (loopback, by node id from 1 on), alone if there is one. Its clients live in
its process. Standard output begins with the keys that it finds of those that it has written from number SINCE
on, as one JSON array; then follows a line for each write from FIRST on that was acknowledged.
"""

import asyncio
import json
import os
import sys
from itertools import count
from pathlib import Path

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Error, Retryable, Unknown
from multiraft.shards.engine import Engine
from multiraft.shards.place import Place, make_place

from .nodes import make_small, start_engine, wait_for

CONFIG = EngineConfig(
    tick_ms=50,
    beat_ms=100,
    election_timeout_ms=500,
    log_keep_entries=50,
    log_keep_bytes=200_000,
    flush_ms=20,
)
RANGES = 4
FIRST_BYTES = range(32, 256, 64)
"""Of keys: one in each range."""
CLIENTS = 16
SIZES = (10, 50, 200, 200, 3_000, 9_000)
PATIENCE_S = 60


def key_of(node: int, number: int) -> bytes:
    """Each key is written once."""
    return b"%c/%02d/%012d" % (FIRST_BYTES[number % len(FIRST_BYTES)], node, number)


def value_of(number: int) -> bytes:
    """What its key holds."""
    return (b"%d." % number).ljust(SIZES[number % len(SIZES)], b"x")


def place_of(path: Path, node: int, ports: list[int]) -> Place:
    """Where the node stands."""
    peers = {one: f"127.0.0.1:{port}" for one, port in enumerate(ports, 1)}
    others = peers if len(ports) > 1 else None
    return make_place(path, node, "killed", None, others, insecure=False, network=None)


async def found(engine: Engine, node: int, since: int) -> list[int]:
    """The numbers of this node's keys, from one on; each must hold what was written."""
    numbers = []
    for first in FIRST_BYTES:
        low, high = b"%c/%02d/%012d" % (first, node, since), b"%c/%02d0" % (first, node)
        async for key, value in engine.scan(low, high):
            number = int(key.rpartition(b"/")[2])
            assert value == value_of(number), f"{key!r} holds {value!r}"
            numbers.append(number)
    return numbers


async def insist(engine: Engine, node: int, since: int) -> list[int]:
    """The same, as soon as the others let it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await found(engine, node, since)
            except (Retryable, Unknown):
                continue


async def write(engine: Engine, node: int, numbers: "count[int]") -> None:
    """One client."""
    for number in numbers:
        try:
            await engine.put(key_of(node, number), value_of(number), timeout=5.0)
        except Error:
            continue  # nobody was promised anything
        os.write(1, b"%d\n" % number)


async def run(place: Place, first: int, since: int, ready: int) -> None:
    """Look at what is there, then write for ever."""
    engine = await start_engine(place, config=CONFIG)
    await engine.joined()
    if place.node_id == 1 and engine.directory.ranges == 0:
        await engine.create_ranges(RANGES)
    await wait_for(lambda: engine.directory.ranges > 0, PATIENCE_S)
    os.write(1, json.dumps(await insist(engine, place.node_id, since)).encode() + b"\n")
    os.write(ready, b"!")
    numbers = count(first)
    await asyncio.gather(*[write(engine, place.node_id, numbers) for _ in range(CLIENTS)])


def main(path: str, node: str, ports: str, first: str, since: str, ready: str) -> None:
    """The process."""
    make_small()
    place = place_of(Path(path), int(node), [int(port) for port in ports.split(",")])
    asyncio.run(run(place, int(first), int(since), int(ready)))


if __name__ == "__main__":
    main(*sys.argv[1:])
