"""The transport over TCP: one listener, one connection per pair of nodes, sessions of clients."""

import asyncio
import random as random_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...native.frames import seal
from ..errors import Error, Overloaded, Unavailable
from .address import Address, check_listen, listen_error, parse_address, require_loopback
from .admission import Admission
from .connection import Connection, Greeter
from .dialer import Dialer
from .greeting import InboundGreeting
from .hello import Hello
from .kinds import MIB, FrameKind
from .links import PeerLink, Session
from .port import Handler
from .streams import InboundStream, OutboundStream

_PING = seal(FrameKind.PING, b"")


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Bounds and times of a TCP transport."""

    peer_queue_bytes: int = 32 * MIB
    """What may wait to be sent to one peer."""
    client_queue_bytes: int = 16 * MIB
    """What may wait to be sent to one client before it is cut off."""
    snapshots_per_peer: int = 16
    """Connections that one peer may have open to send snapshots: they wait here for a slot."""
    connections: int = 1024
    """Open at the same time, in both directions; as many as there are peers are kept free of clients."""
    hello_s: float = 5.0
    """How long a new connection may take to introduce itself."""
    round_s: float = 1.0
    """A peer to which nothing was sent for one round is sent a PING."""
    quiet_rounds: int = 10
    """A connection to a peer from which nothing came for so many rounds is closed: the peer's machine may
    have vanished without a word. Rounds are counted, not seconds, so a suspended process judges nobody."""


class TcpTransport:
    """A :class:`~.port.Transport` over TCP. Of two nodes, the one with the higher id dials.

    Args:
        node_id: this node.
        listen: ``"host:port"``; port 0 lets the system choose (see ``address``); None for no listener.
        peers: node id → ``"host:port"`` of every other node (this node's own entry is ignored).
        hello_source: makes this node's hello, anew for each connection.
        random: spreads reconnects.
        insecure: allow plaintext on other addresses than loopback.

    Raises:
        InvalidArgument: an address is malformed, or not loopback without ``insecure``.
    """

    def __init__(
        self,
        node_id: int,
        listen: str | None,
        peers: Mapping[int, str],
        hello_source: Callable[[], Hello],
        *,
        random: random_module.Random | None = None,
        insecure: bool = False,
        options: TcpOptions | None = None,
    ) -> None:
        self.node_id = node_id
        self._listen = None if listen is None else parse_address(listen)
        self._peers = {node: parse_address(text) for node, text in sorted(peers.items()) if node != node_id}
        for address in [*self._peers.values(), *([self._listen] if self._listen else [])]:
            require_loopback(address, insecure=insecure)
        self._hello_source = hello_source
        self._random = random or random_module.Random()
        self._options = options or TcpOptions()
        self._handler: Handler  # and self.admission: from start() on
        self._server: asyncio.Server | None = None
        self._dialers: list[asyncio.Task[None]] = []
        self._round: asyncio.TimerHandle | None = None
        self._connections: dict[Connection, None] = {}
        """In the order of their making, as they are closed: the same run takes the same course."""
        self._links: dict[int, PeerLink] = {}
        self._sessions: set[Session] = set()
        self._inbound: dict[InboundStream, None] = {}
        self._dials: dict[asyncio.Task[None], None] = {}
        """Of snapshots on their way out, in the order of their making."""
        self._closing = False

    def check_listen(self) -> None:
        """Find out, before anything else is started, whether the address to listen on can be had.

        Raises:
            AddressInUse, InvalidArgument, PermissionDenied: as ``start`` would.
        """
        if self._listen is not None:
            check_listen(self._listen)

    # -- the port ----------------------------------------------------------------------------------

    async def start(self, handler: Handler) -> None:
        """See :class:`~.port.Transport`."""
        assert self._round is None, "started twice"
        self._handler = handler
        self.admission = Admission(self._hello_source, handler)
        if self._listen is not None:
            self._server = await self._bind(self._listen)
        loop = asyncio.get_running_loop()
        for node, address in self._peers.items():
            if node < self.node_id:
                dialer = Dialer(self, node, address, self._connection, self._random)
                task = loop.create_task(dialer.run(), name=f"multiraft-dial-{self.node_id}-{node}")
                task.add_done_callback(_report_crash)
                self._dialers.append(task)
        self._round = loop.call_later(self._options.round_s, self._on_round)

    def send(self, node: int, frame: bytes, *, urgent: bool = False) -> bool:
        """See :class:`~.port.Transport`."""
        link = self._links.get(node)
        return link is not None and link.connection.send(frame, urgent=urgent)

    def open_stream(self, node: int, first: bytes) -> OutboundStream:
        """See :class:`~.port.Transport`."""
        stream = OutboundStream(self, node, self._handler, first)
        loop = asyncio.get_running_loop()
        address = self._peers.get(node)
        if address is None or self._closing:
            loop.call_soon(self._handler.stream_lost, stream)
            return stream
        task = loop.create_task(
            stream.dial(address, self._connection), name=f"multiraft-snapshot-{self.node_id}-{node}"
        )
        self._dials[task] = None
        task.add_done_callback(_report_crash)
        task.add_done_callback(self._dials.pop)
        return stream

    def connected(self) -> list[int]:
        """See :class:`~.port.Transport`."""
        return sorted(node for node, link in self._links.items() if not link.connection.closing)

    def hang_up(self, node: int, error: Error) -> None:
        """See :class:`~.port.Transport`."""
        link = self._links.get(node)
        if link is not None:
            link.connection.refuse(error)

    async def close(self) -> None:
        """See :class:`~.port.Transport`."""
        self._closing = True
        if self._round is not None:
            self._round.cancel()
        if self._server is not None:
            self._server.close()
        leaving_tasks = [*self._dialers, *self._dials]
        for task in leaving_tasks:
            task.cancel()
        await asyncio.gather(*leaving_tasks, return_exceptions=True)
        while self._connections:  # each ends within a second
            leaving = list(self._connections)
            for connection in leaving:
                connection.close()
            await asyncio.wait([connection.closed for connection in leaving])
        if self._server is not None:
            await self._server.wait_closed()

    @property
    def address(self) -> str | None:
        """Where this node listens, with the port that the system chose; None without a listener."""
        if self._server is None or not self._server.sockets:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(Address(host, port))

    # -- the desk of the greetings -----------------------------------------------------------------

    def may_open(self, connection: Connection) -> Error | None:
        """See :class:`~.greeting.Desk`."""
        full = len(self._connections) >= self._options.connections
        self._connections[connection] = None
        if self._closing:
            return Overloaded(f"node {self.node_id} is closing")
        return Overloaded(f"node {self.node_id} has too many connections", retry_after=1.0) if full else None

    def may_serve(self) -> Error | None:
        """See :class:`~.greeting.Desk`."""
        if len(self._sessions) < self._options.connections - len(self._peers):
            return None
        return Overloaded(f"node {self.node_id} has too many clients", retry_after=1.0)

    def forget(self, connection: Connection) -> None:
        """See :class:`~.greeting.Desk`."""
        self._connections.pop(connection, None)

    def peer_admitted(self, connection: Connection, hello: Hello) -> None:
        """See :class:`~.greeting.Desk`."""
        replaced = self._links.pop(hello.node_id, None)
        if replaced is not None:  # the roster has found that its process is gone, or dials anew
            self._handler.peer_lost(hello.node_id)
            replaced.connection.abort()
        self._links[hello.node_id] = PeerLink(
            connection, hello, self._options.peer_queue_bytes, self._handler, self._link_lost
        )
        self._handler.peer_connected(hello.node_id, hello)

    def may_send_snapshot(self, node: int) -> Error | None:
        """See :class:`~.greeting.Desk`."""
        if sum(stream.node == node for stream in self._inbound) < self._options.snapshots_per_peer:
            return None
        return Overloaded(f"node {node} has too many snapshots for node {self.node_id}", retry_after=1.0)

    def stream_admitted(self, connection: Connection, hello: Hello) -> None:
        """See :class:`~.greeting.Desk`."""
        stream = InboundStream(connection, hello.node_id, self._handler, self._stream_lost)
        self._inbound[stream] = None

    def client_admitted(self, connection: Connection, hello: Hello) -> None:
        """See :class:`~.greeting.Desk`."""
        self._sessions.add(
            Session(connection, hello, self._options.client_queue_bytes, self._handler, self._session_lost)
        )

    def peer_refused(self, node: int, error: Error) -> None:
        """See :class:`~.greeting.Desk`."""
        self._handler.refused(node, error)

    # -- inner -------------------------------------------------------------------------------------

    async def _bind(self, address: Address) -> asyncio.Server:
        peers = frozenset(self._peers)
        callers = frozenset(node for node in peers if node > self.node_id)
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(
                lambda: self._connection(InboundGreeting(self, callers, peers)), address.host, address.port
            )
        except OSError as error:
            raise listen_error(error, address) from error

    def _connection(self, greeter: Greeter) -> Connection:
        return Connection(greeter, self._options.hello_s)

    def _link_lost(self, link: PeerLink) -> None:
        self.forget(link.connection)
        if self._links.get(link.node) is link:
            del self._links[link.node]
            self._handler.peer_lost(link.node)

    def _stream_lost(self, stream: InboundStream, connection: Connection) -> None:
        self.forget(connection)
        self._inbound.pop(stream, None)

    def _session_lost(self, session: Session) -> None:
        self.forget(session.connection)
        self._sessions.discard(session)

    def _on_round(self) -> None:
        for link in list(self._links.values()):
            connection = link.connection
            if connection.quiet_rounds >= self._options.quiet_rounds:
                connection.abort(Unavailable(f"nothing came from node {link.node} for a long time"))
                continue
            connection.quiet_rounds += 1
            if connection.idle:
                connection.send(_PING, urgent=True)
            connection.idle = True
        self._round = asyncio.get_running_loop().call_later(self._options.round_s, self._on_round)


def _report_crash(task: asyncio.Task[None]) -> None:
    """A dialer ends by cancellation only; anything else is our bug and must be seen at once."""
    if not task.cancelled() and task.exception() is not None:
        context = {"message": f"{task.get_name()} crashed", "exception": task.exception(), "task": task}
        task.get_loop().call_exception_handler(context)
