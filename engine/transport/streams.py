"""Connections that carry one snapshot each: the end that dials, and the end that is dialed."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ...native.frames import seal
from ..errors import Error, InvalidArgument
from .address import Address
from .connection import Connection
from .greeting import Desk
from .hello import HelloKind, decode_hello, encode_hello
from .kinds import MIB, RECEIVER_LIMITS, SENDER_LIMITS, FrameKind
from .port import Handler
from .refusal import decode_refusal

QUEUE_BYTES: Final = 8 * MIB
"""What may wait to be sent: more than any window of credits."""
DIAL_S: Final = 5.0

_log = logging.getLogger(__name__)


class _Stream:
    """What both ends have in common: a :class:`~.port.SnapshotStream` over a connection."""

    def __init__(self, node: int, handler: Handler) -> None:
        self.node = node
        self._handler = handler
        self._connection: Connection | None = None
        self._ended = False

    def send(self, frame: bytes) -> bool:
        """See :class:`~.port.SnapshotStream`, here and below."""
        return self._connection is not None and self._connection.send(frame)

    def close(self, error: Error | None = None) -> None:
        """Refuse to go on, or end in an orderly way."""
        connection = self._connection
        if connection is None:
            self._ended = True
        elif error is None:
            connection.close()
        else:
            connection.refuse(error)

    def abort(self) -> None:
        """Drop the connection."""
        if self._connection is None:
            self._ended = True
        else:
            self._connection.abort()

    def _take(self, connection: Connection, kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.REFUSED:
            connection.close(decode_refusal(payload))
        else:
            self._handler.stream_received(self, kind, payload)

    def _lose(self, connection: Connection | None) -> None:
        if connection is not None and isinstance(connection.error, Error):
            _log.info("the snapshot's connection with node %d ended: %s", self.node, connection.error)
        self._handler.stream_lost(self)


class InboundStream(_Stream):
    """The end of the node that receives; the sink of an admitted connection."""

    def __init__(
        self,
        connection: Connection,
        node: int,
        handler: Handler,
        on_lost: Callable[["InboundStream", Connection], None],
    ) -> None:
        super().__init__(node, handler)
        self._connection = connection
        self._on_lost = on_lost
        connection.admit(self, SENDER_LIMITS, QUEUE_BYTES)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._take(connection, kind, payload)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._on_lost(self, connection)
        self._lose(connection)


class OutboundStream(_Stream):
    """The end of the node that sends; dials once.

    Args:
        desk: the transport.
        first: the frame that is sent as soon as both sides agree.
    """

    def __init__(self, desk: Desk, node: int, handler: Handler, first: bytes) -> None:
        super().__init__(node, handler)
        self._desk = desk
        self._first = first
        self._admitted = False

    async def dial(self, address: Address, make_connection: Callable[["OutboundStream"], Connection]) -> None:
        """Connect, and stay until the connection ends."""
        connection = make_connection(self)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DIAL_S):
                await loop.create_connection(lambda: connection, address.host, address.port)
        except OSError as error:  # TimeoutError is one
            _log.info("node %d cannot be reached for a snapshot: %s", self.node, error)
            connection.disown()
        except BaseException:
            connection.disown()
            raise
        else:
            await asyncio.shield(connection.closed)
        finally:
            if self._connection is None:
                self._lose(None)

    def opened(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Greeter`."""
        self._connection = connection
        error = self._desk.may_open(connection)
        if error is not None or self._ended:
            connection.abort(error)
            return
        hello = replace(self._desk.admission.own(), kind=HelloKind.SNAPSHOT)
        connection.send(seal(FrameKind.HELLO, encode_hello(hello)), urgent=True)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if self._admitted or kind is FrameKind.REFUSED:
            self._take(connection, kind, payload)
            return
        verdict = self._judge(payload)
        if verdict is not None:
            connection.refuse(verdict)
            return
        self._admitted = True
        connection.admit(self, RECEIVER_LIMITS, QUEUE_BYTES)
        connection.send(self._first)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._desk.forget(connection)
        self._lose(connection)

    def _judge(self, payload: bytes) -> Error | None:
        try:
            hello = decode_hello(payload)
        except InvalidArgument as error:
            return error
        if hello.kind is not HelloKind.PEER:
            return InvalidArgument(f"what answers at the address of node {self.node} is not a node")
        return self._desk.admission.stream(hello, {self.node})
