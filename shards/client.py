"""A client of a running node: the same operations, carried out by the node it is connected to."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ..engine.errors import Closed, Error, OutcomeUnknown, Unavailable
from ..engine.transport.address import parse_address
from ..engine.transport.client import ClientConnection, connect_client
from ..engine.transport.kinds import FrameKind
from . import answers
from .channel import Channel
from .database import Database
from .explanation import Explanation
from .keyrange import KeyRange
from .opening import Opening
from .planning import Deleted
from .requests import WRITES, Malformed, Op, Scalar
from .scanning import Page, PageRequest

DEFAULT_TIMEOUT: Final = 30.0


class Client(Database):
    """A connection to one node, which routes every operation. Open it with :meth:`connect`.

    A connection that breaks is not made again: every operation under way gets its answer (a write is
    ``OutcomeUnknown``, a read ``Unavailable``) and later ones raise ``Closed``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection: ClientConnection
        self._channel: Channel
        self._ended: str | None = None

    @classmethod
    def connect(cls, address: str, *, timeout: float = 5.0, insecure: bool = False) -> Opening["Client"]:
        """Connect: ``async with Client.connect("127.0.0.1:7001") as db:`` (or ``db = await …``).

        Args:
            address: "host:port" of a node.
            timeout: seconds for connecting.
            insecure: allow plaintext on addresses other than loopback.

        Raises:
            Unavailable: nothing answers there.
            InvalidArgument: the address is malformed, or what answers is no node.
        """

        async def connect() -> Client:
            client = cls(address)
            await client.open(timeout, insecure=insecure)
            return client

        return Opening(connect)

    async def open(self, timeout: float, *, insecure: bool) -> None:  # noqa: ASYNC109 # of the connection
        """Connect; called by :meth:`connect`."""
        address = parse_address(self.address)
        self._connection = await connect_client(
            address.host,
            address.port,
            timeout,
            on_frame=self._frame_received,
            on_lost=self._lost,
            insecure=insecure,
        )
        self._channel = Channel(self._connection.send, f"the node at {self.address}")

    async def close(self) -> None:
        """Close the connection; operations under way get their answer. Idempotent."""
        self._ended = self._ended or "the client is closed"
        await self._connection.close()
        self._channel.lost()

    async def status(self) -> dict[str, object]:
        """See :meth:`Database.status`."""
        return answers.cluster_status(await self._ask(Op.STATUS, [], None))

    async def explain(self, place: bytes | int) -> Explanation:
        """See :meth:`Database.explain`."""
        return answers.explanation(await self._ask(Op.EXPLAIN, [place], None))

    async def node_status(self) -> dict[str, object]:
        """What the connected node says of itself."""
        return answers.node_line(await self._ask(Op.NODE_STATUS, [], None))

    async def led_ranges(self) -> list[bytes]:
        """The first keys of the ranges that the connected node leads."""
        return answers.keys(await self._ask(Op.LED_RANGES, [], None))

    async def ranges(self) -> list[KeyRange]:
        """The bounds of all ranges, ascending, as of one moment after the call."""
        found: list[KeyRange] = []
        start: bytes | None = b""
        while start is not None:
            fields = await self._ask(Op.RANGES, [start], None)
            ranges, start = answers.ranges(fields, start)
            found += ranges
        return found

    async def digests(self) -> dict[str, list[int]]:
        """Applied index, commands applied and digest of each replica on the connected node, by first key."""
        return answers.digests(await self._ask(Op.DIGESTS, [], None))

    async def _write(self, low: bytes, high: bytes, body: bytes, timeout: float | None) -> Scalar:  # noqa: ASYNC109 # see Database
        fields = await self._ask(Op.WRITE, [low, high, body], timeout)
        return fields[0] if fields else None

    async def _get(self, key: bytes, stale: bool, timeout: float | None) -> bytes | None:  # noqa: ASYNC109 # see Database
        return answers.value(await self._ask(Op.GET, [key, stale], timeout))

    async def _scan_page(self, request: PageRequest, timeout: float | None) -> Page:  # noqa: ASYNC109 # see Database
        return answers.page(await self._ask(Op.SCAN, request, timeout), request)

    async def _create_chunk(
        self,
        ranges: Sequence[tuple[bytes, bytes | None]],
        replicas: int,
        timeout: float | None,  # noqa: ASYNC109 # see Database
    ) -> tuple[int, int]:
        flat: list[Scalar] = [replicas]
        for bounds in ranges:
            flat += bounds
        return answers.created(await self._ask(Op.CREATE_RANGES, flat, timeout))

    async def _delete_chunk(self, start: bytes, end: bytes | None, timeout: float | None) -> Deleted:  # noqa: ASYNC109 # see Database
        return answers.deleted(await self._ask(Op.DELETE_RANGES, [start, end], timeout), start)

    async def _ask(self, op: Op, fields: Sequence[Scalar], timeout: float | None) -> Sequence[Scalar]:  # noqa: ASYNC109 # see Database
        if self._ended is not None:
            raise Closed(f"no connection to {self.address}: {self._ended}")
        left = DEFAULT_TIMEOUT if timeout is None else timeout
        future = self._channel.ask(op, max(1, int(left * 1000)), fields)
        try:
            # The node gives up first, so that its typed answer arrives.
            async with asyncio.timeout(left + 1):
                reply = await future
        except TimeoutError:
            if op in WRITES:
                raise OutcomeUnknown(f"{self.address} did not answer in time: the write may commit") from None
            raise Unavailable(f"{self.address} did not answer in time") from None
        if reply.error is not None:
            raise reply.error
        return reply.fields

    def _frame_received(self, kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.REPLY:
            try:
                self._channel.received(payload)
            except Malformed as error:
                self._lost(error)

    def _lost(self, error: Error | None) -> None:
        if self._ended is None:
            self._ended = str(error) if error is not None else "the client is closed"
        self._channel.lost()
