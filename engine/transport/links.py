"""What an admitted TCP connection is: the link to a peer, or the session of a client."""

import logging
from collections.abc import Callable

from ..errors import Error, Overloaded
from .connection import Connection
from .hello import Hello
from .kinds import PEER_LIMITS, REQUEST_LIMITS, FrameKind
from .port import Handler
from .refusal import decode_refusal

_log = logging.getLogger(__name__)


class PeerLink:
    """The sink of a connection to one node. ``on_lost`` is told when it is gone."""

    def __init__(
        self,
        connection: Connection,
        hello: Hello,
        queue_bytes: int,
        handler: Handler,
        on_lost: Callable[["PeerLink"], None],
    ) -> None:
        self.connection = connection
        self.node = hello.node_id
        self._handler = handler
        self._on_lost = on_lost
        connection.admit(self, PEER_LIMITS, queue_bytes)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if kind is FrameKind.REFUSED:  # the dialer judges last, so the listener learns it here
            error = decode_refusal(payload)
            connection.close(error)
            self._handler.refused(self.node, error)
            return
        self._handler.frame_received(self.node, kind, payload)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        _report(f"node {self.node}", connection)
        self._on_lost(self)


class Session:
    """The sink of a client's connection, and the :class:`~.port.ClientSession` that the handler sees."""

    def __init__(
        self,
        connection: Connection,
        hello: Hello,
        queue_bytes: int,
        handler: Handler,
        on_lost: Callable[["Session"], None],
    ) -> None:
        self.connection = connection
        self.hello = hello
        self._handler = handler
        self._on_lost = on_lost
        connection.admit(self, REQUEST_LIMITS, queue_bytes)

    def send(self, frame: bytes) -> bool:
        """See :class:`~.port.ClientSession`."""
        if self.connection.send(frame):
            return True
        if not self.connection.closing:
            self.connection.abort(Overloaded("the client reads too slowly"))
        return False

    def close(self) -> None:
        """See :class:`~.port.ClientSession`."""
        self.connection.close()

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if kind is FrameKind.REFUSED:
            connection.close(decode_refusal(payload))
            return
        self._handler.client_frame(self, kind, payload)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        _report("a client", connection)
        self._on_lost(self)
        self._handler.client_lost(self)


def _report(name: str, connection: Connection) -> None:
    """Log an end that neither side wanted; a broken connection is what a stopped process leaves behind."""
    if isinstance(connection.error, Error):
        _log.warning("closed the connection with %s at %s: %s", name, connection.remote, connection.error)
