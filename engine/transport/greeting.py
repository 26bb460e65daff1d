"""The first frames of a TCP connection, from both ends: hello against hello, or a refusal.

The dialer speaks first. The listener answers with its own hello when it has admitted the dialer, and the
dialer then judges the listener in the same way. Whoever refuses says why in a REFUSED frame.
"""

import logging
from typing import Protocol

from ...native.frames import seal
from ..errors import ClusterMismatch, Error, InvalidArgument, Overloaded
from .admission import Admission
from .connection import Connection
from .framing import BadStream
from .hello import Hello, HelloKind, decode_hello, encode_hello
from .kinds import FrameKind
from .refusal import decode_refusal

_log = logging.getLogger(__name__)


class Desk(Protocol):
    """What the two greetings need of the transport."""

    admission: Admission

    def may_open(self, connection: Connection) -> Error | None:
        """Count a new connection, or return why there can be no more."""
        ...

    def may_serve(self) -> Error | None:
        """Why no further client can be served, or None."""
        ...

    def forget(self, connection: Connection) -> None:
        """A counted connection is gone."""

    def peer_admitted(self, connection: Connection, hello: Hello) -> None:
        """Both sides have agreed, as far as this side can know."""

    def may_send_snapshot(self, node: int) -> Error | None:
        """Why no further connection for a snapshot can be had from this node, or None."""
        ...

    def stream_admitted(self, connection: Connection, hello: Hello) -> None:
        """A node may send a snapshot."""

    def client_admitted(self, connection: Connection, hello: Hello) -> None:
        """A client may send requests."""

    def peer_refused(self, node: int, error: Error) -> None:
        """A dialed peer refused, or was refused."""


class InboundGreeting:
    """The listener's side."""

    def __init__(self, desk: Desk, callers: frozenset[int], peers: frozenset[int]) -> None:
        self._desk = desk
        self._callers = callers
        self._peers = peers
        self._reported = False

    def opened(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Greeter`."""
        error = self._desk.may_open(connection)
        if error is not None:
            self._refuse(connection, error, linger=False)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if kind is FrameKind.REFUSED:  # before any hello of ours: makes no sense, but is a reason to close
            connection.abort(decode_refusal(payload))
            return
        try:
            hello = decode_hello(payload)
        except InvalidArgument as error:
            self._refuse(connection, error)
            return
        if hello.kind is HelloKind.PEER:
            self._greet_peer(connection, hello)
        elif hello.kind is HelloKind.SNAPSHOT:
            self._greet_sender(connection, hello)
        else:
            self._greet_client(connection, hello)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._desk.forget(connection)
        if isinstance(connection.error, Error) and not self._reported:
            self._report(connection)

    def _greet_peer(self, connection: Connection, hello: Hello) -> None:
        error = self._desk.admission.peer(hello, self._callers)
        if error is not None:
            self._refuse(connection, error)
            return
        _send_hello(self._desk, connection)
        self._desk.peer_admitted(connection, hello)

    def _greet_sender(self, connection: Connection, hello: Hello) -> None:
        desk = self._desk
        error = desk.admission.stream(hello, self._peers) or desk.may_send_snapshot(hello.node_id)
        if error is not None:
            self._refuse(connection, error)
            return
        _send_hello(desk, connection)
        desk.stream_admitted(connection, hello)

    def _greet_client(self, connection: Connection, hello: Hello) -> None:
        error = self._desk.admission.client(hello) or self._desk.may_serve()
        if error is not None:
            self._refuse(connection, error)
            return
        _send_hello(self._desk, connection)
        self._desk.client_admitted(connection, hello)

    def _refuse(self, connection: Connection, error: Error, *, linger: bool = True) -> None:
        connection.refuse(error, linger=linger)
        self._report(connection)

    def _report(self, connection: Connection) -> None:
        self._reported = True
        # Who comes when there are too many already must not fill the log as well.
        level = logging.DEBUG if isinstance(connection.error, Overloaded) else logging.WARNING
        _log.log(level, "no connection from %s: %s", connection.remote, connection.error)


class OutboundGreeting:
    """The dialer's side; it knows which node it expects to find."""

    def __init__(self, desk: Desk, node: int) -> None:
        self._desk = desk
        self._node = node
        self._told = False
        self.admitted = False

    def opened(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Greeter`."""
        error = self._desk.may_open(connection)
        if error is not None:
            self._told = True  # it is not the peer's fault
            connection.abort(error)
            return
        _send_hello(self._desk, connection)

    def received(self, connection: Connection, kind: FrameKind, payload: bytes, /) -> None:
        """See :class:`~.connection.Sink`."""
        if kind is FrameKind.REFUSED:
            error = decode_refusal(payload)
            connection.close(error)
            self._tell(error)
            return
        verdict = self._judge(payload)
        if isinstance(verdict, Error):
            connection.refuse(verdict)
            if not (
                isinstance(verdict, ClusterMismatch) and verdict.replaced
            ):  # that is the other side's news
                self._tell(verdict)
            return
        self.admitted = True
        self._desk.peer_admitted(connection, verdict)

    def lost(self, connection: Connection, /) -> None:
        """See :class:`~.connection.Sink`."""
        self._desk.forget(connection)
        if isinstance(connection.error, BadStream):
            self._tell(connection.error)  # what answered does not speak this protocol

    def _tell(self, error: Error) -> None:
        if not self._told:
            self._told = True
            self._desk.peer_refused(self._node, error)

    def _judge(self, payload: bytes) -> Hello | Error:
        try:
            hello = decode_hello(payload)
        except InvalidArgument as error:
            return error
        if hello.kind is not HelloKind.PEER:
            return InvalidArgument(f"what answers at the address of node {self._node} is not a node")
        return self._desk.admission.peer(hello, {self._node}) or hello


def _send_hello(desk: Desk, connection: Connection) -> None:
    # Urgent, because nothing may overtake it.
    connection.send(seal(FrameKind.HELLO, encode_hello(desk.admission.own())), urgent=True)
