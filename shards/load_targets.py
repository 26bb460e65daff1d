"""Where a load goes: to the hosts of this process, or over connections to nodes that are processes."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, pairwise
from typing import Protocol, Self, cast

from ..engine.errors import Closed, Error, NotLeader
from ..engine.host import Host
from ..engine.logstore.port import Birth
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.commands import encode_batch, envelope
from ..engine.transport.address import parse_address
from ..engine.transport.client import ClientConnection, connect_client
from ..engine.transport.kinds import FrameKind
from .channel import Channel
from .client import Client
from .engine import Engine
from .load import LoadedRange, Puts
from .requests import Malformed, Op, Reply, Scalar
from .status import digests, node_status

SESSION = 0
"""The session of commands that no node's router made."""
TIMEOUT_MS = 60_000
"""What a node gets for a put: far more than it ever needs, so that no outcome stays unknown."""


class Probe(Protocol):
    """Looks at one node from outside."""

    async def status(self) -> Mapping[str, object]:
        """What the node says of itself."""
        ...

    async def digests(self) -> Mapping[str, Sequence[int]]:
        """Applied index, commands applied and digest of each replica, by first key (hexadecimal)."""
        ...


class EngineProbe:
    """Looks at a node of this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def status(self) -> Mapping[str, object]:
        """See :class:`Probe`."""
        return node_status(self._engine.assembly.host, {})

    async def digests(self) -> Mapping[str, Sequence[int]]:
        """See :class:`Probe`."""
        return digests(self._engine.assembly.node)


class ClientProbe:
    """Looks at a node through a client of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def status(self) -> Mapping[str, object]:
        """See :class:`Probe`."""
        return await self._client.node_status()

    async def digests(self) -> Mapping[str, Sequence[int]]:
        """See :class:`Probe`."""
        return await self._client.digests()


def loaded_ranges(starts: Sequence[bytes]) -> list[LoadedRange]:
    """Ranges that cover the key space from the first of these keys on."""
    ordered = sorted(starts)
    bounds = pairwise([*ordered, None])
    return [LoadedRange(number, start or b"", end) for number, (start, end) in enumerate(bounds)]


class LocalTarget:
    """The leaders' hosts in this process: no routing, no connection, only the engine.

    A request of several puts is one call with as many commands, and one future for all of them.
    """

    def __init__(self, engines: Sequence[Engine], puts: Puts) -> None:
        self._engines = list(engines)
        self._puts = puts
        self._sequence = count(1)
        births = sorted(_births(engines).values(), key=lambda birth: birth.start)
        self.ranges = loaded_ranges([birth.start for birth in births])
        self._groups = [birth.group for birth in births]
        self._epochs = [birth.epoch for birth in births]
        self._hosts = [self._leading(group) for group in self._groups]

    def prepare(self, place: LoadedRange, puts: int) -> list[bytes]:
        """The commands, with the header that every command carries."""
        made, epoch = self._puts, self._epochs[place.number]
        return [
            envelope(SESSION, next(self._sequence), epoch, made.body(made.key(place))) for _ in range(puts)
        ]

    def submit(self, place: LoadedRange, request: list[bytes]) -> "asyncio.Future[object]":
        """Propose to the range's leader."""
        return self._hosts[place.number].propose(self._groups[place.number], request)

    def refusal(self, place: LoadedRange, answer: object) -> Error | None:
        """The error of the whole request, or of one of its commands."""
        if not isinstance(answer, Error):
            results = cast("list[object]", answer)
            return next((one for one in results if isinstance(one, Error)), None)
        if isinstance(answer, NotLeader):
            self._hosts[place.number] = self._leading(self._groups[place.number])
        return answer

    def commands(self, puts: int) -> int:
        """One for each put."""
        return puts

    def _leading(self, group: int) -> Host:
        """The host of the group's leader, any host if it has none now."""
        hosts = [engine.assembly.host for engine in self._engines]
        return next((host for host in hosts if _leads(host, group)), hosts[0])


class RemoteTarget:
    """Connections to every node: each put goes to the node that leads its range.

    A request of several puts is an atomic batch: one command.
    """

    def __init__(self, leaders: Mapping[bytes, "Link"], puts: Puts) -> None:
        """``leaders`` maps the first key of each range to the node that leads it."""
        self._puts = puts
        self.ranges = loaded_ranges(list(leaders))
        self._leading = [leaders[place.start] for place in self.ranges]

    def prepare(self, place: LoadedRange, puts: int) -> list[Scalar]:
        """Lowest key, highest key and body of the command."""
        made = self._puts
        if puts == 1:
            key = made.key(place)
            return [key, key, made.body(key)]
        pairs = [(made.key(place), made.value()) for _ in range(puts)]
        return [min(pairs)[0], max(pairs)[0], encode_batch(pairs)]

    def submit(self, place: LoadedRange, request: list[Scalar]) -> "asyncio.Future[Reply]":
        """Send to the node that led the range as the load began; it finds the leader if that has changed."""
        return self._leading[place.number].ask(request)

    def refusal(self, _place: LoadedRange, answer: Reply) -> Error | None:
        """The error in a reply."""
        return answer.error

    def commands(self, _puts: int) -> int:
        """One, however many puts it makes."""
        return 1


class Link:
    """A connection to one node that carries puts."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection: ClientConnection
        self._channel: Channel

    @classmethod
    async def connect(cls, address: str) -> Self:
        """Connect to a node. Raises as ``Client.connect``."""
        link = cls(address)
        place = parse_address(address)
        link._connection = await connect_client(
            place.host, place.port, on_frame=link._received, on_lost=link._lost
        )
        link._channel = Channel(link._connection.send, f"the node at {address}")
        return link

    def ask(self, request: Sequence[Scalar]) -> "asyncio.Future[Reply]":
        """Send a put. Raises Closed, Overloaded."""
        if self._connection.closed:
            raise Closed(f"the connection to {self.address} is closed")
        return self._channel.ask(Op.WRITE, TIMEOUT_MS, request)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
        self._channel.lost()

    def _received(self, kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.REPLY:
            try:
                self._channel.received(payload)
            except Malformed:
                self._connection.abort()

    def _lost(self, _error: Error | None) -> None:
        self._channel.lost()


def _births(engines: Iterable[Engine]) -> dict[int, Birth]:
    """The ranges that have a replica on one of the nodes, by group."""
    return {
        group: birth
        for engine in engines
        for group, birth in engine.assembly.node.log.births().items()
        if group != SYSTEM_GROUP
    }


def _leads(host: Host, group: int) -> bool:
    return host.node.replicas.running.leads(group)
