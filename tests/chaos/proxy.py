"""A proxy between every two nodes: TCP connections whose frames meet the weather of their link."""

import asyncio
import heapq
import itertools
import random as random_module
import socket
import struct
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Final

from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.errors import BadFrame

from .weather import CALM, Cut, Delivery, Fates, Frame, FrameCutter, Tally, Weather, combined

HELD_BYTES: Final = 1 << 20
"""Under way in one direction of one connection; beyond that nothing more is read, as in a socket."""
READ_BYTES: Final = 1 << 16
NOTICE_S: Final = 6.0
"""Within it a node has read what it was sent, however it was paused, and ended the connection if need be."""
LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which closing a socket resets the connection."""
HOST: Final = "127.0.0.1"

Direction = tuple[int, int]
"""Sending node, receiving node."""


class Link:
    """One direction between two nodes, with the weather that rules it now."""

    def __init__(self, random: random_module.Random) -> None:
        self.random = random
        self.tally = Tally()
        self.weather = CALM
        self._imposed: list[Weather] = []
        self._changed = asyncio.Event()

    def impose(self, weather: Weather) -> None:
        self._imposed.append(weather)
        self._refresh()

    def lift(self, weather: Weather) -> None:
        self._imposed.remove(weather)
        self._refresh()

    async def change(self, patience: float | None = None) -> None:
        """Return when the weather changes, or the patience (in seconds) is over."""
        try:
            async with asyncio.timeout(patience):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def passable(self) -> None:
        """Return once the link is not stalled."""
        while self.weather.cut is Cut.STALL:
            await self.change()

    def _refresh(self) -> None:
        self.weather = combined(self._imposed)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Pump:
    """One direction of one connection."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._reader = reader
        self._writer = writer
        self._clock = asyncio.get_running_loop().time
        self._cutter = FrameCutter()
        self._fates = Fates(link.random, link.tally)
        self._under_way: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count()
        self._held = 0
        self._ended = False
        self._moved = asyncio.Event()
        self.tearing = False
        """Whether the next frame is cut in the middle, and the connection then reset."""
        self.damaged_at = float("inf")
        """When the first damaged frame was delivered: its receiver must end the connection."""
        self.spoke_at = float("-inf")
        """When the sender last said something; not known once it had to wait for us."""
        self.waited = False

    async def run(self) -> None:
        """Carry frames until the sender has ended its side and everything has arrived."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self._write())

    async def _read(self) -> None:
        while data := await self._reader.read(READ_BYTES):
            for frame in self._cutter.feed(data):
                self._accept(frame)
            self._move()
            while self._held > HELD_BYTES:
                self.waited = True
                await self._moved.wait()
        self._ended = True
        self._move()

    def _accept(self, frame: Frame) -> None:
        now = self._clock()
        if frame.kind != FrameKind.REFUSED:
            self.spoke_at = now
        for delivery in self._fates.deliveries(self._link.weather, frame, now):
            heapq.heappush(self._under_way, (delivery.at, next(self._numbers), delivery))
            self._held += len(delivery.data)

    async def _write(self) -> None:
        while True:
            await self._link.passable()
            if not self._under_way:
                if self._ended:
                    break
                await self._moved.wait()
                continue
            delivery = self._under_way[0][2]
            wait = delivery.at - self._clock()
            if wait > 0:
                await self._move_within(wait)
                continue
            heapq.heappop(self._under_way)
            await self._deliver(delivery)
            self._held -= len(delivery.data)
            self._move()
        self._writer.write_eof()

    async def _deliver(self, delivery: Delivery) -> None:
        data = delivery.data
        rate = self._link.weather.rate
        if rate < float("inf"):
            await self._link.change(len(data) / rate)
        if self.tearing:
            self._writer.write(data[: len(data) // 2])
            await self._writer.drain()
            raise ConnectionResetError("torn in the middle of a frame")
        self._writer.write(data)
        await self._writer.drain()
        if delivery.damaged:
            self.damaged_at = min(self.damaged_at, self._clock())

    async def _move_within(self, patience: float) -> None:
        """Wait for a frame that may come earlier than those under way."""
        try:
            async with asyncio.timeout(patience):
                await self._moved.wait()
        except TimeoutError:
            pass

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Pipe:
    """A connection through the proxy: the dialing node's half and ours to the listening node."""

    def __init__(self, links: Mapping[Direction, Link], dialer: int, listener: int, target: int) -> None:
        self._there = links[dialer, listener]
        self._back = links[listener, dialer]
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: list[Pump] = []
        self._task: asyncio.Task[None] | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection that was accepted until it ends."""
        self._task = asyncio.current_task()
        self._writers.append(writer)
        try:
            await self._there.passable()
            await self._back.passable()
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
            self._writers.append(far_writer)
            self._pumps = [Pump(self._there, reader, far_writer), Pump(self._back, far_reader, writer)]
            async with asyncio.TaskGroup() as tasks:
                for pump in self._pumps:
                    tasks.create_task(pump.run())
        except* (OSError, BadFrame):
            pass  # one of the ends is gone, or the connection was torn on purpose: both shall notice
        finally:
            self._reset()

    @property
    def outlived_damage(self) -> bool:
        """Whether a node still spoke long after it was sent a damaged frame."""
        for one, other in itertools.permutations(self._pumps, 2):
            if other.spoke_at > one.damaged_at + NOTICE_S and not other.waited:
                return True
        return False

    def tear(self) -> None:
        """Cut the next frame of either direction in two, and reset."""
        for pump in self._pumps:
            pump.tearing = True

    def end(self) -> None:
        """Reset the connection now."""
        if self._task is not None:
            self._task.cancel()

    def _reset(self) -> None:
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            writer.transport.abort()


class Proxy:
    """The network between nodes: who dials another node finds this proxy's listener for the pair of them."""

    def __init__(self, ports: Mapping[int, int], seed: object) -> None:
        """``ports`` says where each node listens on loopback."""
        self._ports = dict(ports)
        self.links = {
            (one, two): Link(random_module.Random(f"{seed}/{one}>{two}"))
            for one, two in itertools.permutations(ports, 2)
        }
        self._servers: dict[frozenset[int], asyncio.Server] = {}
        self._pipes: dict[Pipe, tuple[frozenset[int], asyncio.Task[None]]] = {}
        self._accepted: set[str] = set()
        self.resets = 0

    async def start(self) -> None:
        """Listen for every pair. Of two nodes the higher one dials."""
        for low, high in itertools.combinations(sorted(self._ports), 2):
            server = await asyncio.start_server(self._acceptor(low, high), HOST, 0)
            self._servers[frozenset((low, high))] = server

    def address(self, one: int, two: int) -> str:
        """Where one of the two finds the other."""
        return f"{HOST}:{self._servers[frozenset((one, two))].sockets[0].getsockname()[1]}"

    def reset(self, pairs: Iterable[frozenset[int]], *, torn: bool) -> None:
        """Reset the connections of some pairs; ``torn``: in the middle of their next frame."""
        wanted = set(pairs)
        for pipe, (pair, _) in list(self._pipes.items()):
            if pair in wanted:
                self.resets += 1
                if torn:
                    pipe.tear()
                else:
                    pipe.end()

    def pairs(self) -> list[frozenset[int]]:
        """All pairs of nodes."""
        return list(self._servers)

    def accepted_damage(self) -> list[str]:
        """Connections that a node went on with although it had been sent a damaged frame."""
        for pipe, (pair, _) in self._pipes.items():
            self._judge(pipe, pair)
        return sorted(self._accepted)

    def tally(self) -> Tally:
        """The fates of all frames so far."""
        return reduce(add, (link.tally for link in self.links.values()), Tally())

    async def close(self) -> None:
        """End everything."""
        for server in self._servers.values():
            server.close()
        tasks = [task for _, task in self._pipes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _judge(self, pipe: Pipe, pair: frozenset[int]) -> None:
        if pipe.outlived_damage:
            one, two = sorted(pair)
            self._accepted.add(f"a connection of nodes {one} and {two} outlived a damaged frame")

    def _acceptor(self, low: int, high: int):
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            pipe = Pipe(self.links, high, low, self._ports[low])
            task = asyncio.current_task()
            assert task is not None
            self._pipes[pipe] = (frozenset((low, high)), task)
            try:
                await pipe.run(reader, writer)
            except asyncio.CancelledError:
                pass  # reset on purpose; the streams module would report it
            finally:
                self._judge(pipe, self._pipes.pop(pipe)[0])

        return accepted
