"""Three nodes over TCP on loopback, and clients of them."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

import multiraft
from multiraft.engine.config import EngineConfig
from multiraft.shards.client import Client
from multiraft.shards.engine import Engine

QUICK = EngineConfig(
    tick_ms=20,
    beat_ms=60,
    election_timeout_ms=200,
    flush_ms=50,
    operation_timeout_ms=20_000,
    durability="none",
)


def free_addresses(count):
    """Loopback addresses whose ports were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = {node: f"127.0.0.1:{one.getsockname()[1]}" for node, one in enumerate(sockets, start=1)}
    for one in sockets:
        one.close()
    return addresses


@asynccontextmanager
async def three_nodes(path):
    peers = free_addresses(3)
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(
                Engine.open(path / str(node), node_id=node, peers=peers, cluster="tcp", config=QUICK)
            )
            for node in peers
        ]
        await asyncio.gather(*(engine.joined() for engine in engines))
        yield engines, peers


def test_clients_of_every_node_see_one_store(tmp_path):
    async def work():
        async with three_nodes(tmp_path) as (engines, peers):
            await engines[1].create_ranges(4)
            async with Client.connect(peers[1]) as one, Client.connect(peers[3]) as three:
                await one.put(b"\x01a", b"1")
                assert await three.get(b"\x01a") == b"1"
                assert await three.compare_and_swap(b"\x01a", b"1", b"2")
                assert await one.delete(b"\x01a")
                async with three.batch() as batch:
                    batch.put(b"\xf0a", b"1")
                    batch.put(b"\xf0b", b"2")
                assert [pair async for pair in one.scan()] == [(b"\xf0a", b"1"), (b"\xf0b", b"2")]
                assert [pair async for pair in one.scan(reverse=True, limit=1)] == [(b"\xf0b", b"2")]
                status = await three.status()
                assert status["ranges"] == 4
                assert [node["alive"] for node in status["nodes"]] == [True, True, True]
                assert sum(node["leaders"] for node in status["nodes"]) == 4

    asyncio.run(work())


def test_typed_errors_reach_the_client(tmp_path):
    async def work():
        async with three_nodes(tmp_path) as (_, peers), Client.connect(peers[2]) as client:
            with pytest.raises(multiraft.NoRange):
                await client.put(b"a", b"1")
            await client.create_ranges(splits=[b"m"])
            with pytest.raises(multiraft.InvalidRanges):
                await client.create_ranges(3)
            batch = client.batch()
            batch.put(b"a", b"1")
            batch.put(b"z", b"1")
            with pytest.raises(multiraft.CrossRange):
                await batch.write()

    asyncio.run(work())


def test_the_others_go_on_when_a_node_is_gone_and_it_catches_up(tmp_path):
    async def work():
        async with three_nodes(tmp_path) as (engines, peers):
            await engines[0].create_ranges(8)
            keys = [bytes([number]) for number in range(256)]
            await asyncio.gather(*(engines[0].put(key, b"before") for key in keys))
            await engines[2].close()
            await asyncio.gather(*(engines[0].put(key, b"after") for key in keys))
            again = Engine.open(tmp_path / "3", node_id=3, peers=peers, cluster="tcp", config=QUICK)
            async with again as third:
                assert await asyncio.gather(*(third.get(key) for key in keys)) == [b"after"] * 256

    asyncio.run(work())


def test_a_wiped_node_stops_and_the_others_go_on(tmp_path):
    """The wiped node has the lowest id, so the others dial it and are the ones who refuse."""

    async def work():
        async with three_nodes(tmp_path) as (engines, peers):
            await engines[0].create_ranges(1)
            await engines[0].put(b"a", b"1")
            await engines[0].close()
            wiped = Engine.open(tmp_path / "empty", node_id=1, peers=peers, cluster="tcp", config=QUICK)
            async with wiped as empty:
                assert isinstance(await empty.stopped(), multiraft.ClusterMismatch)
            for engine in engines[1:]:
                await engine.put(b"a", b"2")
                assert await engine.get(b"a") == b"2"

    asyncio.run(work())


def test_a_client_whose_node_stops_learns_it(tmp_path):
    async def work():
        async with three_nodes(tmp_path) as (engines, peers), Client.connect(peers[1]) as client:
            await engines[0].create_ranges(1)
            await client.put(b"a", b"1")
            await engines[0].close()
            with pytest.raises((multiraft.Closed, multiraft.OutcomeUnknown)):
                await client.put(b"a", b"2")

    asyncio.run(work())


def test_nobody_there(tmp_path):
    async def work():
        (address,) = free_addresses(1).values()
        with pytest.raises(multiraft.Unavailable):
            await Client.connect(address, timeout=1)
        with pytest.raises(multiraft.InvalidArgument):
            await Client.connect("nonsense")

    asyncio.run(work())


def test_a_port_in_use_is_a_typed_error(tmp_path):
    async def work():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(multiraft.AddressInUse):
                await Engine.open(tmp_path, listen=address)
        async with Engine.open(tmp_path) as db:
            await db.put(b"a", b"1")

    asyncio.run(work())
