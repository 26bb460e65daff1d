"""The calling side of a client connection: requests out, replies in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from ...native.frames import HEADER_SIZE, seal
from ..errors import Closed, Error, InvalidArgument, Unavailable
from .address import Address, connect_error, require_loopback
from .connection import Connection
from .framing import Frame
from .hello import Hello, HelloKind, check, decode_hello, encode_hello
from .kinds import MIB, REPLY_LIMITS, FrameKind
from .refusal import decode_refusal

SEND_QUEUE_BYTES = 32 * MIB
RECEIVE_QUEUE_BYTES = 16 * MIB

FrameCallback = Callable[[FrameKind, bytes], None]
LostCallback = Callable[[Error | None], None]


async def connect_client(
    host: str,
    port: int,
    timeout: float = 5.0,  # noqa: ASYNC109 - a connect without a deadline would be a trap
    *,
    hello: Hello | None = None,
    on_frame: FrameCallback | None = None,
    on_lost: LostCallback | None = None,
    insecure: bool = False,
) -> "ClientConnection":
    """Connect to a node and exchange hellos.

    Args:
        host: a loopback address unless ``insecure``.
        port: where the node listens.
        timeout: seconds for all of it.
        hello: what to say of oneself; by default a client without knowledge of the cluster.
        on_frame: called with every frame that comes in, instead of iterating over the connection.
        on_lost: called once with the reason (None after ``close()``) when the connection is gone.
        insecure: allow plaintext on other addresses than loopback.

    Raises:
        InvalidArgument: not a loopback address; or what answers is not a node.
        Unavailable: nothing answers there in time.
        ClusterMismatch, VersionMismatch, Overloaded: the node refuses, or is refused.
    """
    address = Address(host, port)
    require_loopback(address, insecure=insecure)
    client = ClientConnection(hello or Hello(HelloKind.CLIENT), address, on_frame, on_lost)
    connection = Connection(client, timeout)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            await loop.create_connection(lambda: connection, host, port)
            await client.admitted
    except OSError as error:  # TimeoutError is one
        connection.disown()
        raise connect_error(error, address) from error
    except BaseException:
        connection.disown()
        raise
    return client


class ClientConnection:
    """A connection to one node; made by :func:`connect_client`.

    Without ``on_frame``, iterate to receive: ``async for kind, payload in connection``. The iteration ends
    after :meth:`close` and raises the reason when the connection is lost otherwise. At most 16 MiB wait to be
    taken; beyond that nothing is read from the socket.
    """

    def __init__(
        self, own: Hello, address: Address, on_frame: FrameCallback | None, on_lost: LostCallback | None
    ) -> None:
        self.hello: Hello
        """What the node said of itself."""
        self.error: Error | None = None
        """Why the connection ended, once it has; None after ``close()``."""
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._own = own
        self._address = address
        self._on_frame = on_frame or self._hold
        self._on_lost = on_lost
        self._connection: Connection | None = None
        self._welcomed = False
        self._closing = False
        self._lost = False
        self._held: deque[Frame] = deque()
        self._held_bytes = 0
        self._news = asyncio.Event()

    # -- for the caller ----------------------------------------------------------------------------

    def send(self, frame: bytes) -> bool:
        """Queue a sealed frame. ``False``: the connection is gone, or 32 MiB wait to be sent already."""
        return self._connection is not None and self._connection.send(frame)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone or closing."""
        return self._connection is None or self._connection.closing

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        while not self._held:
            if self._lost:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        kind, payload = self._held.popleft()
        self._held_bytes -= HEADER_SIZE + len(payload)
        if self._connection is not None and self._held_bytes <= RECEIVE_QUEUE_BYTES // 2:
            self._connection.resume_reading()
        return kind, payload

    async def close(self) -> None:
        """Send what is queued, close, and wait until the connection is gone. Idempotent."""
        self._closing = True
        if self._connection is not None:
            self._connection.close()
            await asyncio.shield(self._connection.closed)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closing = True
        if self._connection is not None:
            self._connection.abort()

    # -- for the connection ------------------------------------------------------------------------

    def opened(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Greeter`."""
        self._connection = connection
        connection.send(seal(FrameKind.HELLO, encode_hello(self._own)), urgent=True)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if kind is FrameKind.REFUSED:
            connection.close(decode_refusal(payload))
        elif self._welcomed:
            self._on_frame(kind, payload)
        else:
            self._welcome(connection, payload)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._lost = True
        self.error = self._reason(connection)
        self._news.set()
        if not self.admitted.done():
            self.admitted.set_exception(self.error or Closed("the connection was closed"))
        elif self._on_lost is not None and self._welcomed:
            self._on_lost(self.error)

    def _welcome(self, connection: Connection, payload: bytes) -> None:
        try:
            hello = decode_hello(payload)
        except InvalidArgument as error:
            connection.refuse(error)
            return
        mismatch = check(self._own, hello)
        if mismatch is not None:
            connection.refuse(mismatch)
            return
        self.hello = hello
        self._welcomed = True
        connection.admit(self, REPLY_LIMITS, SEND_QUEUE_BYTES)
        if not self.admitted.done():
            self.admitted.set_result(None)

    def _reason(self, connection: Connection) -> Error | None:
        if isinstance(connection.error, Error):
            return connection.error
        if self._closing and connection.error is None:
            return None
        detail = f": {connection.error}" if connection.error is not None else ""
        return Unavailable(f"the connection to {self._address} was lost{detail}")

    def _hold(self, kind: FrameKind, payload: bytes) -> None:
        self._held.append((kind, payload))
        self._held_bytes += HEADER_SIZE + len(payload)
        self._news.set()
        if self._held_bytes > RECEIVE_QUEUE_BYTES and self._connection is not None:
            self._connection.pause_reading()
