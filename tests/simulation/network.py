"""Machines without a kernel: who listens where, which connections there are, which links are cut.

What runs on top is the real transport: it listens and connects through its event loop, and gets sockets
that behave like asyncio's (:mod:`.sockets`).
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from .loop import NodeLoop, World
from .sockets import Link, Socket

SYN_RETRY: Final = 1.0
"""Seconds after which a connection that nobody answers is asked for again."""


class Network:
    """Machines, the links between them, and who listens where. A machine has one address, its port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(world.random.getrandbits(64))
        self.faults = 0
        """Pieces that were lost, doubled, reordered or damaged."""
        self._links: dict[tuple[int, int], Link] = {}
        self._machines: dict[NodeLoop, int] = {}
        self._listeners: dict[int, Server] = {}
        self._down: set[int] = set()
        self._sockets: dict[int, dict[Socket, None]] = {}

    # -- machines --------------------------------------------------------------------------------

    def place(self, loop: NodeLoop, machine: int) -> None:
        """A process runs on a machine; its port is the machine's number."""
        self._machines[loop] = machine
        self._down.discard(machine)
        loop.network = self

    def link(self, source: int, target: int) -> Link:
        """The way from one machine to another."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = Link()
        return link

    def links(self) -> list[Link]:
        """All links that were ever used."""
        return list(self._links.values())

    def block(self, source: int, target: int) -> None:
        """Nothing gets from one machine to the other."""
        self.link(source, target).blocked = True

    def unblock(self, source: int, target: int) -> None:
        """What waited is sent again."""
        link = self.link(source, target)
        link.blocked = False
        stalled, link.stalled = link.stalled, []
        for socket, deliver, arguments in stalled:
            socket.deliver(deliver, 0, *arguments)

    def process_ended(self, loop: NodeLoop, *, silently: bool) -> None:
        """A process is gone: its machine closes its connections, unless the machine is gone too."""
        machine = self._machines.pop(loop)
        self._listeners.pop(machine, None)
        if silently:
            self._down.add(machine)
        for socket in list(self._sockets.pop(machine, ())):
            socket.vanish(silently=silently)

    def is_down(self, machine: int) -> bool:
        """Whether the machine answers nothing, not even with a refusal."""
        return machine in self._down

    def reset(self, one: int, other: int) -> int:
        """Break every connection between two machines; returns how many there were."""
        broken = [socket for socket in self._sockets.get(one, ()) if socket.remote == other]
        for socket in broken:
            socket.break_now()
        return len(broken)

    def reset_slow(self, seconds: float) -> None:
        """Break every connection whose last byte is still under way for longer than this."""
        for sockets in list(self._sockets.values()):
            for socket in list(sockets):
                if socket.behind > seconds:
                    socket.break_now()

    def add(self, socket: "Socket") -> None:
        """A connection's end exists on its machine."""
        self._sockets.setdefault(socket.machine, {})[socket] = None

    def remove(self, socket: "Socket") -> None:
        """It does no more."""
        self._sockets.get(socket.machine, {}).pop(socket, None)

    # -- what loops ask --------------------------------------------------------------------------

    def listen(self, loop: NodeLoop, factory: Callable[[], asyncio.Protocol], port: int) -> "Server":
        """A process listens at the port of its machine."""
        assert port == self._machines[loop], (port, loop)
        server = self._listeners[port] = Server(self, loop, factory, port)
        return server

    def unlisten(self, server: "Server") -> None:
        """Nobody listens there any more."""
        if self._listeners.get(server.port) is server:
            del self._listeners[server.port]

    async def connect(
        self, loop: NodeLoop, factory: Callable[[], asyncio.Protocol], port: int
    ) -> tuple["Socket", asyncio.Protocol]:
        """Connect to the process that listens at a port."""
        protocol = factory()
        connected: asyncio.Future[Socket] = loop.create_future()
        self._send_syn(loop, connected, protocol, port)
        try:
            return await connected, protocol
        except asyncio.CancelledError:
            if connected.done() and not connected.cancelled() and connected.exception() is None:
                connected.result().abort()
            raise

    def _send_syn(self, loop: NodeLoop, connected: asyncio.Future, protocol, port: int) -> None:
        if loop.dead or connected.done():
            return
        source = self._machines[loop]
        there = self.link(source, port)
        if there.blocked or self.link(port, source).blocked or port in self._down:
            self.world.after(SYN_RETRY, self._send_syn, loop, connected, protocol, port)
            return
        delay = there.latency(self.random, 64)
        self.world.after(delay, self._receive_syn, loop, connected, protocol, port)

    def _receive_syn(self, loop: NodeLoop, connected: asyncio.Future, protocol, port: int) -> None:
        if loop.dead or connected.done():
            return
        server = self._listeners.get(port)
        delay = self.link(port, self._machines[loop]).latency(self.random, 64)
        if server is None:
            error = ConnectionRefusedError(111, "Connection refused")
            self.world.after(delay, loop.external, _refuse, connected, error)
            return
        near = Socket(self, loop, self._machines[loop], port)
        far = Socket(self, server.loop, port, near.machine)
        near.other, far.other = far, near
        far.opens_at(self.world.now + delay)
        server.loop.external(far.accept, server.factory)
        self.world.after(delay, loop.external, near.start_connected, protocol, connected)


def _refuse(connected: asyncio.Future, error: OSError) -> None:
    if not connected.done():
        connected.set_exception(error)


class Server:
    """What `create_server` returns."""

    def __init__(self, network: Network, loop: NodeLoop, factory: Callable[[], Any], port: int) -> None:
        self.loop = loop
        self.factory = factory
        self.port = port
        self._network = network

    @property
    def sockets(self) -> "tuple[Server, ...]":
        return (self,)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def close(self) -> None:
        self._network.unlisten(self)

    async def wait_closed(self) -> None:
        pass
