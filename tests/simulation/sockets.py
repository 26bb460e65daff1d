"""Connections whose bytes take time, wait, vanish or come back damaged.

A link is the way from one machine to another, with its own faults. Honest links are TCP: bytes come in order
or the connection breaks. Lossy ones also lose, double and reorder single frames of Raft messages, which no
TCP does and Raft must survive.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import HEADER_SIZE, open_header

from .loop import NodeLoop

if TYPE_CHECKING:
    from .network import Network

SNAPSHOT_KINDS: Final = {FrameKind.OFFER, FrameKind.GRANT, FrameKind.HEAD, FrameKind.CHUNK, FrameKind.DONE}
RAFT_KINDS: Final = {FrameKind.MESSAGES, FrameKind.PING, *SNAPSHOT_KINDS}
"""Frames that may come twice: a request that came twice would be carried out twice."""
LOSABLE: Final = {*RAFT_KINDS, FrameKind.REQUEST, FrameKind.REPLY}


@dataclass(slots=True)
class Link:
    """The way from one machine to another."""

    delay: tuple[float, float] = (0.0002, 0.002)
    """Seconds; drawn evenly between these."""
    spike: float = 0.0
    """How many pieces take ten to a hundred times as long."""
    bytes_per_second: float = 50e6
    window: int = 256 * 1024
    """Bytes on their way before the sender's own buffer fills."""
    lose: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    """Shares of the frames; of single bits, the corrupt ones."""
    blocked: bool = False
    stalled: list["tuple[Socket, Callable[..., None], tuple[Any, ...]]"] = field(default_factory=list)
    """What was sent while it was blocked: TCP sends it again."""

    @property
    def lossy(self) -> bool:
        """Whether frames are treated one by one."""
        return bool(self.lose or self.double or self.reorder)

    def latency(self, source: random.Random, size: int) -> float:
        """How long so many bytes are under way."""
        delay = source.uniform(*self.delay)
        if self.spike and source.random() < self.spike:
            delay *= source.uniform(10, 100)
        return delay + size / self.bytes_per_second


class Socket(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: "Network", loop: NodeLoop, machine: int, remote: int) -> None:
        super().__init__()
        self.loop = loop
        self.machine = machine
        self.remote = remote
        self.other: Socket
        self._network = network
        self._world = network.world
        self._link = network.link(machine, remote)
        self._protocol: asyncio.Protocol | None = None
        self._high = 64 * 1024
        self._under_way = 0
        """Bytes sent and not read by the other process."""
        self._in_order = 0.0
        """When the last byte sent so far arrives, but for frames that go their own way."""
        self._stragglers = 0.0
        """When the last of these arrives."""
        self._greeted = 0.0
        """When the hello arrives: nothing overtakes it."""
        self._pressed = False
        self._reading = True
        self._unread: list[tuple[bytes, int]] = []
        self._closing = False
        self._ended = False
        """No byte leaves any more."""
        self._gone = False
        """The process has been told that the connection is lost, or is gone itself."""
        network.add(self)

    # -- what asyncio's transports do ------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        size = len(data)
        self._under_way += size
        link = self._link
        if link.lossy:
            self._write_frames(link, bytes(data))
        else:
            if link.corrupt and self._network.random.random() < link.corrupt:
                data = self._damage(data)
            self.deliver(self.other.arrive, size, bytes(data), size)
        if not self._pressed and self.get_write_buffer_size() > self._high:
            self._pressed = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self.deliver(self.other.receive_end, 0)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._unread.clear()
            self._close_when_written()

    def abort(self) -> None:
        self._closing = True
        if not self._gone:
            self._drop(None)
            self.deliver(self.other.receive_reset, 0)

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return max(0, self._under_way - self._link.window)

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        self._high = high

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        unread, self._unread = self._unread, []
        for data, size in unread:
            self.loop.external(self._read, data, size)

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", self.remote) if name == "peername" else default

    # -- on the way ------------------------------------------------------------------------------

    def deliver(self, call: Callable[..., None], size: int, *arguments: Any) -> None:
        """Have something happen at the other end, after everything that was sent before."""
        link = self._link
        if link.blocked:
            link.stalled.append((self, call, arguments))
            return
        now = self._world.now
        arrival = max(self._in_order, now + link.latency(self._network.random, size))
        self._in_order = arrival
        self._world.at(arrival, call, *arguments)

    def _write_frames(self, link: Link, data: bytes) -> None:
        """Each frame on its own: lost, doubled, late or damaged."""
        offset, network = 0, self._network
        while offset < len(data):
            kind, length, _ = open_header(data, offset)
            end = offset + HEADER_SIZE + length
            frame = data[offset:end]
            offset = end
            luck = network.random.random() if kind in LOSABLE else 1.0
            if (link.blocked and kind in LOSABLE) or luck < link.lose:
                network.faults += 1
                self._under_way -= len(frame)
                continue
            if link.corrupt and network.random.random() < link.corrupt:
                frame = self._damage(frame)
            if kind not in RAFT_KINDS or luck > link.lose + link.double + link.reorder:
                self.deliver(self.other.arrive, len(frame), frame, len(frame))
                if kind == FrameKind.HELLO:
                    self._greeted = self._in_order
                continue
            network.faults += 1
            copies = 2 if luck < link.lose + link.double else 1
            for copy in range(copies):
                late = network.random.uniform(1, 20) * link.latency(network.random, len(frame))
                arrival = max(self._greeted, self._world.now + late)
                self._stragglers = max(self._stragglers, arrival)
                self._world.at(arrival, self.other.arrive, frame, 0 if copy else len(frame))

    def _damage(self, data: bytes) -> bytes:
        self._network.faults += 1
        damaged = bytearray(data)
        damaged[self._network.random.randrange(len(data))] ^= 1 << self._network.random.randrange(8)
        return bytes(damaged)

    def arrive(self, data: bytes, size: int) -> None:
        """Bytes reach this machine; ``size`` of them are new to the sender's account."""
        if self._gone:
            if not self._network.is_down(self.machine):
                self.deliver(self.other.receive_reset, 0)
            return
        self.loop.arrived(self._read, data, size)

    def receive_end(self) -> None:
        """The other end sends nothing more."""
        if not self._gone:
            self.loop.external(self._read_end)

    def receive_reset(self) -> None:
        """The other end is gone."""
        if not self._gone and not self._network.is_down(self.machine):
            self.loop.external(self._drop, ConnectionResetError(104, "Connection reset by peer"))

    # -- in the process --------------------------------------------------------------------------

    def opens_at(self, when: float) -> None:
        """The other end is there from then on: nothing arrives before."""
        self._in_order = when

    def start(self, protocol: asyncio.Protocol) -> None:
        """The connection is made."""
        if not self._gone:
            self._protocol = protocol
            protocol.connection_made(self)

    def accept(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """The same, at the end that listens."""
        self.start(factory())

    def start_connected(self, protocol: asyncio.Protocol, connected: asyncio.Future) -> None:
        """The same, at the end that has asked for it."""
        if connected.done():
            self.abort()
        elif self._gone:
            connected.set_exception(ConnectionResetError(104, "Connection reset by peer"))
        else:
            self.start(protocol)
            connected.set_result(self)

    def _read(self, data: bytes, size: int) -> None:
        if self._gone or self._protocol is None:
            return
        if not self._reading:
            self._unread.append((data, size))
            return
        self.other.acknowledged(size)
        if not self._closing:
            self._protocol.data_received(data)

    def _read_end(self) -> None:
        if not self._gone and self._protocol is not None and not self._protocol.eof_received():
            self.close()

    def acknowledged(self, size: int) -> None:
        """The other process has read so much."""
        self._under_way -= size
        if self._gone or not (self._pressed or self._closing):
            return
        if self._pressed and self.get_write_buffer_size() <= self._high // 4:
            self._pressed = False
            self.loop.external(self._resume)
        if self._closing:
            self._close_when_written()

    def _resume(self) -> None:
        if not self._gone:
            self._protocol.resume_writing()

    def _close_when_written(self) -> None:
        if self.get_write_buffer_size() == 0 and not self._gone:
            if not self._ended:
                self.write_eof()
            self._drop(None)

    def _drop(self, error: Exception | None) -> None:
        """The end is no more; its process is told."""
        if self._gone:
            return
        self._gone = self._closing = self._ended = True
        self._network.remove(self)
        if self._protocol is not None:
            self.loop.call_soon(self._protocol.connection_lost, error)

    # -- faults ----------------------------------------------------------------------------------

    @property
    def behind(self) -> float:
        """Seconds until what was sent last arrives."""
        return max(self._in_order, self._stragglers) - self._world.now

    def break_now(self) -> None:
        """The connection is reset in the middle: both ends hear of it."""
        if not self._gone:
            self._network.faults += 1
            for end in (self, self.other):
                if not end._gone:
                    end.loop.external(end._drop, ConnectionResetError(104, "Connection reset by peer"))

    def vanish(self, *, silently: bool) -> None:
        """The process is gone; the machine says so to the other end unless it is gone as well."""
        self._gone = self._closing = self._ended = True
        if not silently:
            self.deliver(self.other.receive_reset, 0)
