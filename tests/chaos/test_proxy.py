"""The proxy over real sockets: what passes, what does not, and that both ends learn of an end."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import seal
from tests.chaos import proxy as proxy_module
from tests.chaos.proxy import Proxy
from tests.chaos.weather import Cut, Weather

PAIR = frozenset((1, 2))


def frame(number):
    return seal(FrameKind.MESSAGES, b"%d" % number)


class Ends:
    """Both ends of one connection of node 2 to node 1 through the proxy."""

    def __init__(self, dialer, listener):
        self.there = dialer[1].write, listener[0]
        self.back = listener[1].write, dialer[0]
        self.writers = [dialer[1], listener[1]]


@asynccontextmanager
async def proxied(seed=1):
    accepted: asyncio.Queue = asyncio.Queue()

    async def accept(reader, writer):
        await accepted.put((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy = Proxy({1: server.sockets[0].getsockname()[1], 2: 1}, seed)
    await proxy.start()
    open_ends: list[Ends] = []

    async def connect():
        host, port = proxy.address(2, 1).split(":")
        dialer = await asyncio.open_connection(host, int(port))
        ends = Ends(dialer, await accepted.get())
        open_ends.append(ends)
        return ends

    try:
        yield proxy, connect
    finally:
        await proxy.close()
        for ends in open_ends:
            for writer in ends.writers:
                writer.transport.abort()
        server.close()
        await server.wait_closed()


async def carried(way, numbers):
    """Send frames one way and read as many bytes as arrive unharmed."""
    write, reader = way
    sent = b"".join(map(frame, numbers))
    write(sent)
    return await reader.readexactly(len(sent)) == sent


async def until(condition):
    """Let the proxy work until the condition holds."""
    while not condition():  # noqa: ASYNC110 # it counts frames, and nobody else waits for them
        await asyncio.sleep(0)


def run(work):
    async def limited():
        async with asyncio.timeout(30):
            await work()

    asyncio.run(limited())


def test_frames_pass_in_both_directions():
    async def work():
        async with proxied() as (proxy, connect):
            ends = await connect()
            assert await carried(ends.there, range(100))
            assert await carried(ends.back, range(100))
            assert proxy.tally().passed == 200
            assert proxy.accepted_damage() == []

    run(work)


def test_a_lost_frame_is_lost_whole_and_only_on_its_side():
    async def work():
        async with proxied() as (proxy, connect):
            ends = await connect()
            drop = Weather(cut=Cut.DROP)
            proxy.links[2, 1].impose(drop)
            ends.there[0](frame(1) + frame(2))
            assert await carried(ends.back, [3])  # one way only
            await until(lambda: proxy.tally().lost == 2)
            proxy.links[2, 1].lift(drop)
            assert await carried(ends.there, [4])  # what comes first is the first after the cut

    run(work)


def test_a_stalled_link_delivers_later_and_in_order():
    async def work():
        async with proxied() as (proxy, connect):
            ends = await connect()
            stall = Weather(cut=Cut.STALL)
            proxy.links[2, 1].impose(stall)
            write, reader = ends.there
            write(b"".join(map(frame, range(5))))
            await until(lambda: proxy.tally().passed == 5)
            arriving = asyncio.create_task(reader.readexactly(sum(len(frame(n)) for n in range(5))))
            assert await carried(ends.back, range(5))
            assert not arriving.done()
            proxy.links[2, 1].lift(stall)
            assert await arriving == b"".join(map(frame, range(5)))

    run(work)


def test_a_link_that_is_stalled_connects_nobody():
    async def work():
        async with proxied() as (proxy, connect):
            stall = Weather(cut=Cut.STALL)
            proxy.links[1, 2].impose(stall)
            connecting = asyncio.create_task(connect())
            done, _ = await asyncio.wait([connecting], timeout=0.05)
            assert not done
            proxy.links[1, 2].lift(stall)
            assert await carried((await connecting).there, [1])

    run(work)


@pytest.mark.parametrize("torn", [False, True])
def test_a_reset_reaches_both_ends(torn):
    async def work():
        async with proxied() as (proxy, connect):
            ends = await connect()
            assert await carried(ends.there, [0])
            proxy.reset([PAIR], torn=torn)
            if torn:
                ends.there[0](frame(1))
            read = await asyncio.gather(ends.there[1].read(), ends.back[1].read(), return_exceptions=True)
            assert any(isinstance(one, ConnectionError) for one in read)
            arrived = read[0] if isinstance(read[0], bytes) else b""
            assert arrived in (b"", frame(1)[: len(frame(1)) // 2])
            assert proxy.resets == 1
            assert await carried((await connect()).there, [2])

    run(work)


def test_an_end_by_one_side_reaches_the_other_after_what_was_sent():
    async def work():
        async with proxied() as (_, connect):
            ends = await connect()
            ends.there[0](frame(1))
            ends.writers[0].write_eof()
            assert await ends.there[1].read() == frame(1)
            assert await carried(ends.back, [2])  # the other half lives on: a refusal comes this way

    run(work)


@pytest.mark.parametrize(
    ("kind", "reported"),
    [
        (FrameKind.MESSAGES, ["a connection of nodes 1 and 2 outlived a damaged frame"]),
        (FrameKind.REFUSED, []),
    ],
)
def test_who_goes_on_after_a_damaged_frame_is_reported(kind, reported, monkeypatch):
    monkeypatch.setattr(proxy_module, "NOTICE_S", 0.0)

    async def work():
        async with proxied() as (proxy, connect):
            ends = await connect()
            assert await carried(ends.back, [0])
            damage = Weather(damage=1.0)
            proxy.links[2, 1].impose(damage)
            write, reader = ends.there
            write(frame(1))
            assert await reader.readexactly(len(frame(1))) != frame(1)
            assert proxy.accepted_damage() == []
            answer = seal(kind, b"")
            ends.back[0](answer)
            assert await ends.back[1].readexactly(len(answer)) == answer
            assert proxy.accepted_damage() == reported
            proxy.reset([PAIR], torn=False)
            await asyncio.gather(ends.there[1].read(), return_exceptions=True)
            assert proxy.accepted_damage() == reported

    run(work)
