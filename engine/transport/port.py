"""The port of the transport: what a node calls, and what it is called back with.

Everything here runs on the event loop's thread. Callbacks must only queue what they are given: a turn acts
on it later. Payloads are ``bytes`` that belong to the receiver.
"""

from typing import Protocol

from ..errors import Error
from .hello import Hello
from .kinds import FrameKind


class ClientSession(Protocol):
    """One accepted connection of a client; usable as a dictionary key (compared by identity)."""

    hello: Hello

    def send(self, frame: bytes) -> bool:
        """Queue a whole sealed frame. ``False``: the session is gone.

        A client that reads too slowly for its bounded queue is cut off by this call: ``client_lost`` follows.
        """
        ...

    def close(self) -> None:
        """Close the connection once what is queued has been sent; ``client_lost`` follows."""


class SnapshotStream(Protocol):
    """A connection that carries one snapshot, at either end; compared by identity."""

    node: int
    """The node at the other end."""

    def send(self, frame: bytes) -> bool:
        """Queue a whole sealed frame. ``False``: the connection is gone or closing, or its queue is full."""
        ...

    def close(self, error: Error | None = None) -> None:
        """Close once what is queued has been sent; the other side is told the error. Idempotent."""

    def abort(self) -> None:
        """Close at once."""


class Handler(Protocol):
    """What a transport calls back."""

    def admit(self, hello: Hello) -> None:
        """Judge a peer whose hello fits in itself (cluster, version, expected node, incarnation).

        Raises:
            ClusterMismatch: for instance another store uuid than the system group has recorded.
            VersionMismatch: a feature that this node needs is missing.
        """

    def peer_connected(self, node: int, hello: Hello) -> None:
        """From now on ``send(node, ...)`` may succeed. A reconnect is announced by ``peer_lost`` first."""

    def peer_lost(self, node: int) -> None:
        """The connection is gone, and with it what was queued for it."""

    def frame_received(self, node: int, kind: FrameKind, payload: bytes) -> None:
        """One complete, checked frame of a peer: a sign of life, whatever its kind (``PING`` too)."""

    def refused(self, node: int, error: Error) -> None:
        """A peer refused this node, or this node refused the peer that it had dialed.

        It is not called when that peer was refused as ``replaced``: this node is not what is wrong.
        """

    def stream_received(self, stream: SnapshotStream, kind: FrameKind, payload: bytes) -> None:
        """A frame of a snapshot's connection; a stream that this node did not open begins with one."""

    def stream_lost(self, stream: SnapshotStream) -> None:
        """A snapshot's connection is gone, or never came about; comes once."""

    def client_frame(self, session: ClientSession, kind: FrameKind, payload: bytes) -> None:
        """A request of a client."""

    def client_lost(self, session: ClientSession) -> None:
        """The session is closed; comes once, for every session that sent a frame or not."""


class Transport(Protocol):
    """One node's way to all others. Never blocks the loop and never queues without a bound."""

    node_id: int

    async def start(self, handler: Handler) -> None:
        """Begin to listen and to connect; returns when the node can be reached.

        Raises:
            AddressInUse: another program listens on the address.
            InvalidArgument: the address is not one of this machine.
            PermissionDenied: this user may not listen on that port.
        """

    def send(self, node: int, frame: bytes, *, urgent: bool = False) -> bool:
        """Queue a whole sealed frame; urgent ones go before those that are not.

        ``False``: dropped, because the peer is not connected or its queue is full. The caller tells Raft.
        """
        ...

    def open_stream(self, node: int, first: bytes) -> SnapshotStream:
        """Begin to connect to a node for a snapshot; ``first`` is sent as soon as both sides agree.

        However it ends, ``stream_lost`` follows, and never from inside this call.
        """
        ...

    def connected(self) -> list[int]:
        """The connected nodes, in ascending order."""
        ...

    def hang_up(self, node: int, error: Error) -> None:
        """Close the connection to a peer that sent what cannot be read, and tell it why.

        ``peer_lost`` follows; a new connection is tried after the usual backoff. No-op if there is none.
        """

    async def close(self) -> None:
        """Stop listening and connecting, close every connection, wait until all of it is gone. Idempotent."""
