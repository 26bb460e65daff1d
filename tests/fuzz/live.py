"""Hostile bytes over real sockets: two nodes of a cluster serve a client while all others lie to one of them.

The third member has left and the attacker holds its identity: what it says passes the hello. Whatever
happens, the client's writes and reads go on, the node logs no traceback, and files and memory do not grow.
"""

import asyncio
import logging
import os
import random
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from multiraft.engine import nodefile
from multiraft.engine.config import EngineConfig
from multiraft.engine.transport.hello import Hello, HelloKind
from multiraft.shards.client import Client
from multiraft.shards.engine import Engine
from tests.fuzz.attacks import ATTACKS, Target, send
from tests.fuzz.campaign import Outcome

NAME = "live"
CONFIG = EngineConfig(tick_ms=20, beat_ms=60, election_timeout_ms=400, flush_ms=50, durability="none")
LOITERERS = 20
"""Connections that say nothing, or half a hello, as long as they may."""
GROWTH_MAX = 64 << 20
SETTLE_FILES = 16
"""Open files more than before: connections of the nodes to each other come and go."""


class Finding(Exception):
    """A promise was broken."""


def fuzz(*, seed: int, runs: int | None, seconds: int | None) -> Outcome:
    """Attack until ``runs`` attacks or ``seconds`` are used up."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        siege = Siege(random.Random(seed))
        try:
            asyncio.run(siege.run(Path(directory), runs, seconds))
        except Exception as error:  # noqa: BLE001 - whatever went wrong is what is looked for
            text = f"seed {seed}, after {siege.inputs} inputs, {siege.current}: {error!r}"
            return Outcome(siege.inputs, time.monotonic() - start, text.encode(), text)
    return Outcome(siege.inputs, time.monotonic() - start, None, "")


class Siege:
    """One run: what was tried, and what the nodes let slip."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.inputs = 0
        self.current = "nothing yet"
        self._slips: list[str] = []

    async def run(self, directory: Path, runs: int | None, seconds: int | None) -> None:
        """Raises Finding, or what an attack or the honest client raises."""
        handler = _Tracebacks(self._slips)
        logging.getLogger().addHandler(handler)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._slips.append(repr(context)))
        try:
            async with _cluster(directory) as (address, member), Client.connect(address) as client:
                host, _, port = address.rpartition(":")
                await self._attack(Target(host, int(port), member, self.draw), client, runs, seconds)
        finally:
            logging.getLogger().removeHandler(handler)
        self._check_slips()

    async def _attack(self, target: Target, client: Client, runs: int | None, seconds: int | None) -> None:
        end = time.monotonic() + (float("inf") if seconds is None else seconds)
        await self._honest(client)
        await self._round(target)  # buffers and caches are there from here on
        files, memory = _files(), _memory()
        loiterers = [asyncio.create_task(_loiter(target)) for _ in range(LOITERERS)]
        done = 0
        while (runs is None or done < runs) and (done == 0 or time.monotonic() < end):
            await self._round(target)
            await self._honest(client)
            done += len(ATTACKS)
        if target.admitted == 0:
            raise Finding("the attacker was never taken for the member: this tests nothing")
        self.current = "connections that say nothing"
        await asyncio.gather(*loiterers)
        await self._crowd(target, client)
        await _until_files_are(files + SETTLE_FILES)
        if _memory() > memory + GROWTH_MAX:
            raise Finding(f"memory has grown from {memory:,} to {_memory():,} bytes")

    async def _round(self, target: Target) -> None:
        for attack in ATTACKS:
            self.current = attack.__name__
            self.inputs += await attack(target)
            self._check_slips()

    async def _honest(self, client: Client) -> None:
        value = self.draw.randbytes(8)
        await client.put(b"honest", value, timeout=30)
        if await client.get(b"honest", timeout=30) != value:
            raise Finding("an acknowledged write is not read")

    async def _crowd(self, target: Target, client: Client) -> None:
        """More connections than a node takes: those beyond are refused, the honest client is served."""
        self.current = "too many connections"
        async with AsyncExitStack() as stack:
            for _ in range(1100):
                _, writer = await asyncio.open_connection(target.host, target.port)
                stack.callback(writer.close)
            await self._honest(client)
            self.inputs += 1100

    def _check_slips(self) -> None:
        if self._slips:
            raise Finding("\n".join(self._slips))


class _Tracebacks(logging.Handler):
    """An exception that a node did not expect ends in a traceback in its log."""

    def __init__(self, slips: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._slips = slips

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None:
            self._slips.append(logging.Formatter().format(record))


async def _loiter(target: Target) -> None:
    """Begin a hello and wait to be thrown out."""
    await send(target, target.draw.choice([b"", b"MRF1", b"MRF1\x01\x01\0\0"]), end=False)


@asynccontextmanager
async def _cluster(directory: Path) -> AsyncIterator[tuple[str, Hello]]:
    """Two nodes that serve; the address of one, and the hello of the third, which has gone."""
    peers = {node: f"127.0.0.1:{port}" for node, port in enumerate(_free_ports(3), 1)}
    async with AsyncExitStack() as stack:
        engines = [await _open(directory, node, peers) for node in peers]
        for engine in engines:
            stack.push_async_callback(engine.close)
        await asyncio.gather(*(engine.joined() for engine in engines))
        await engines[0].create_ranges(2)
        await engines[2].close()
        yield peers[1], _stolen(directory / "3")


async def _open(directory: Path, node: int, peers: dict[int, str]) -> Engine:
    return await Engine.open(directory / str(node), node_id=node, peers=peers, cluster="siege", config=CONFIG)


def _stolen(directory: Path) -> Hello:
    own: Any = nodefile.read(directory)
    return Hello(
        HelloKind.PEER,
        cluster_uuid=own.cluster_uuid,
        bootstrap_digest=own.bootstrap_digest,
        node_id=own.node_id,
        store_uuid=own.store_uuid,
        incarnation=own.incarnation,
        nonce=7,
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else psutil.Process().num_fds()


def _memory() -> int:
    return psutil.Process().memory_info().rss


async def _until_files_are(most: int) -> None:
    """Sockets close in their own time, which takes passes of the loop."""
    end = time.monotonic() + 30
    while _files() > most:
        if time.monotonic() > end:
            raise Finding(f"{_files()} files are open, not at most {most}")
        await asyncio.sleep(0)
