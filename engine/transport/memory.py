"""The transport without sockets: nodes of one process, joined by a hub that can cut links.

The same bytes as over TCP go through the same :class:`~.framing.FrameReader`, hellos are judged by the same
:class:`~.admission.Admission`, and queues are bounded in the same way. Deliveries are calls that the event
loop makes in the order of sending, so a run is repeatable. Clients of such nodes live in the same process
and need no session.
"""

import asyncio
import logging
from collections.abc import Callable

from ...native.frames import seal
from ..errors import ClusterMismatch, Error, InvalidArgument
from .admission import Admission
from .framing import BadStream, FrameReader
from .hello import Hello, decode_hello, encode_hello
from .kinds import MIB, PEER_LIMITS, RECEIVER_LIMITS, SENDER_LIMITS, FrameKind, Limits
from .port import Handler
from .refusal import decode_refusal, encode_refusal
from .sendqueue import SendQueue

_log = logging.getLogger(__name__)


class MemoryNetwork:
    """Joins the nodes of one event loop. Every pair is connected unless it is cut.

    ``queue_bytes`` bounds what waits per direction.
    """

    def __init__(self, queue_bytes: int = 32 * MIB) -> None:
        self._queue_bytes = queue_bytes
        self._nodes: dict[int, MemoryTransport] = {}
        self._cut: set[frozenset[int]] = set()
        self._muted: set[tuple[int, int]] = set()

    def join(self, node_id: int, hello_source: Callable[[], Hello]) -> "MemoryTransport":
        """A transport for one node; it is connected from its ``start`` to its ``close``."""
        return MemoryTransport(self, node_id, hello_source)

    # -- faults ------------------------------------------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """Break the link between two nodes; what is on its way is lost. Both are told ``peer_lost``."""
        self._cut.add(frozenset((one, other)))
        self.break_link(one, other)

    def heal(self, one: int, other: int) -> None:
        """Undo ``cut``, and try again a pair that refused each other."""
        self._cut.discard(frozenset((one, other)))
        asyncio.get_running_loop().call_soon(self._link_pair, one, other)

    def mute(self, source: int, target: int) -> None:
        """Lose, without a word, what ``source`` sends to ``target`` from now on; the link stays up."""
        self._muted.add((source, target))

    def unmute(self, source: int, target: int) -> None:
        """Undo ``mute``."""
        self._muted.discard((source, target))

    def is_muted(self, source: int, target: int) -> bool:
        """Whether frames from ``source`` to ``target`` are lost."""
        return (source, target) in self._muted

    def break_link(self, one: int, other: int) -> None:
        """Close the connection of two nodes, if there is one."""
        pair = [self._nodes.get(one), self._nodes.get(other)]
        for node, peer in ((pair[0], other), (pair[1], one)):
            if node is not None:
                node.unlink(peer)

    # -- for the transports ------------------------------------------------------------------------

    def attach(self, transport: "MemoryTransport") -> None:
        """A node has started: connect it to all others, soon."""
        if transport.node_id in self._nodes:
            raise InvalidArgument(f"node {transport.node_id} is on this network already")
        self._nodes[transport.node_id] = transport
        loop = asyncio.get_running_loop()
        for other in sorted(self._nodes):
            if other != transport.node_id:
                loop.call_soon(self._link_pair, transport.node_id, other)

    def detach(self, transport: "MemoryTransport") -> None:
        """A node closes: break its links."""
        if self._nodes.get(transport.node_id) is transport:
            for other in sorted(self._nodes):
                self.break_link(transport.node_id, other)
            del self._nodes[transport.node_id]

    def hang_up(self, source: int, target: int, error: Error) -> None:
        """``source`` refuses to go on: tell ``target`` why, break the link, connect anew."""
        told = self._nodes.get(target)
        if told is not None and told.is_linked(source):
            told.refused(source, decode_refusal(encode_refusal(error)))
            self.break_link(source, target)
            asyncio.get_running_loop().call_soon(self._link_pair, source, target)

    def _link_pair(self, one: int, other: int) -> None:
        listener, dialer = self._nodes.get(min(one, other)), self._nodes.get(max(one, other))
        if listener is None or dialer is None or dialer.is_linked(listener.node_id):
            return
        if frozenset((one, other)) in self._cut:
            return
        call, answer = Pipe(dialer, listener, self), Pipe(listener, dialer, self)
        hello = listener.greet(call, dialer.node_id)
        if isinstance(hello, Error):
            _log.warning("node %d refused node %d: %s", listener.node_id, dialer.node_id, hello)
            dialer.refused(listener.node_id, decode_refusal(encode_refusal(hello)))
            return
        reply = dialer.greet(answer, listener.node_id)
        if isinstance(reply, Error):
            if not (isinstance(reply, ClusterMismatch) and reply.replaced):
                dialer.refused(listener.node_id, reply)
            listener.refused(dialer.node_id, decode_refusal(encode_refusal(reply)))
            return
        listener.link(answer, hello)
        dialer.link(call, reply)

    def open_stream(self, source: "MemoryTransport", node: int, first: bytes) -> "MemoryStream":
        """Join two nodes for a snapshot; their hellos have been judged when they were linked."""
        target = self._nodes.get(node)
        stream = MemoryStream(source, node, RECEIVER_LIMITS, self)
        if target is None or not source.is_linked(node):
            asyncio.get_running_loop().call_soon(stream.abort)
            return stream
        other = MemoryStream(target, source.node_id, SENDER_LIMITS, self)
        stream.join(other)
        other.join(stream)
        stream.send(first)
        return stream

    def new_queue(self) -> SendQueue:
        """The queue of one direction."""
        return SendQueue(self._queue_bytes)


class Pipe:
    """One direction of a link: a bounded queue, and the reader at its end."""

    def __init__(self, source: "MemoryTransport", target: "MemoryTransport", network: MemoryNetwork) -> None:
        self.source = source
        self.target = target
        self._network = network
        self._queue = network.new_queue()
        self._reader = FrameReader()
        self._due = False
        self.broken = False

    def first_frame(self) -> tuple[FrameKind, bytes]:
        """Carry the hello of the source over; from then on the limits between peers hold."""
        frame = seal(FrameKind.HELLO, encode_hello(self.source.own_hello()))
        (first,) = self._reader.feed(frame)
        self._reader.admit(PEER_LIMITS)
        return first

    def send(self, frame: bytes, urgent: bool) -> bool:
        """Queue a frame. ``False``: the link is broken or the queue is full."""
        if self.broken or not self._queue.offer(frame, urgent, 0):
            return False
        self._schedule()
        return True

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._due = False
        if self.broken:
            return
        chunk = self._queue.take()
        if self._queue.waiting:
            self._schedule()
        if self._network.is_muted(self.source.node_id, self.target.node_id):
            return
        try:
            frames = self._reader.feed(chunk)
        except BadStream as error:
            _log.warning("node %d sent node %d: %s", self.source.node_id, self.target.node_id, error)
            self._network.hang_up(self.target.node_id, self.source.node_id, error)
            return
        for kind, payload in frames:
            if not self.broken:
                self.target.receive(self.source.node_id, kind, payload)


class MemoryStream:
    """One end of a snapshot's connection: what the other end sends waits here, in a bounded queue."""

    def __init__(self, owner: "MemoryTransport", node: int, limits: Limits, network: MemoryNetwork) -> None:
        self.node = node
        self._owner = owner
        self._network = network
        self._reader = FrameReader()
        self._reader.admit(limits)
        self._queue = network.new_queue()
        self._other: MemoryStream | None = None
        self._due = False
        self._ended = False
        owner.stream_opened(self)

    def join(self, other: "MemoryStream") -> None:
        """There is another end."""
        self._other = other

    def send(self, frame: bytes) -> bool:
        """See :class:`~.port.SnapshotStream`, here and below."""
        return self._other is not None and not self._ended and self._other.offer(frame)

    def close(self, error: Error | None = None) -> None:
        """The other end hears of it behind what was sent."""
        if error is not None:
            self.send(seal(FrameKind.REFUSED, encode_refusal(error)))
        self.end()
        if self._other is not None:
            asyncio.get_running_loop().call_soon(self._other.end_when_read)

    def abort(self) -> None:
        """Both ends are gone at once."""
        self.end()
        if self._other is not None:
            self._other.end()

    def offer(self, frame: bytes) -> bool:
        """A frame of the other end; ``False`` if the queue is full."""
        if self._ended or not self._queue.offer(frame, False, 0):
            return False
        self._schedule()
        return True

    def end(self) -> None:
        """No frame comes or leaves any more."""
        if not self._ended:
            self._ended = True
            asyncio.get_running_loop().call_soon(self._owner.stream_ended, self)

    def end_when_read(self) -> None:
        """The other end has closed; what it sent before still counts."""
        if self._queue.waiting:
            asyncio.get_running_loop().call_soon(self.end_when_read)
        else:
            self.end()

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._due = False
        chunk = self._queue.take()
        if self._queue.waiting:
            self._schedule()
        if self._ended or self._network.is_muted(self.node, self._owner.node_id):
            return
        try:
            frames = self._reader.feed(chunk)
        except BadStream as error:
            self.close(error)
            return
        for kind, payload in frames:
            if kind is not FrameKind.REFUSED:
                self._owner.stream_received(self, kind, payload)


class MemoryTransport:
    """A :class:`~.port.Transport` on a :class:`MemoryNetwork`; made by ``join``."""

    def __init__(self, network: MemoryNetwork, node_id: int, hello_source: Callable[[], Hello]) -> None:
        self.node_id = node_id
        self._network = network
        self._hello_source = hello_source
        self._links: dict[int, Pipe] = {}
        self._streams: dict[MemoryStream, None] = {}
        self._handler: Handler  # and self._admission: from start() on
        self._admission: Admission

    # -- the port ----------------------------------------------------------------------------------

    async def start(self, handler: Handler) -> None:
        """See :class:`~.port.Transport`."""
        self._handler = handler
        self._admission = Admission(self._hello_source, handler)
        self._network.attach(self)

    def send(self, node: int, frame: bytes, *, urgent: bool = False) -> bool:
        """See :class:`~.port.Transport`."""
        link = self._links.get(node)
        return link is not None and link.send(frame, urgent)

    def open_stream(self, node: int, first: bytes) -> "MemoryStream":
        """See :class:`~.port.Transport`."""
        return self._network.open_stream(self, node, first)

    def connected(self) -> list[int]:
        """See :class:`~.port.Transport`."""
        return sorted(self._links)

    def hang_up(self, node: int, error: Error) -> None:
        """See :class:`~.port.Transport`."""
        if node in self._links:
            asyncio.get_running_loop().call_soon(self._network.hang_up, self.node_id, node, error)

    async def close(self) -> None:
        """See :class:`~.port.Transport`."""
        self._network.detach(self)

    # -- for the network ---------------------------------------------------------------------------

    def own_hello(self) -> Hello:
        """What this node says of itself now."""
        return self._admission.own()

    def greet(self, incoming: Pipe, expected: int) -> Hello | Error:
        """Judge the hello that comes through a new pipe: the peer's hello, or why it is refused."""
        _, payload = incoming.first_frame()
        try:
            hello = decode_hello(payload)
        except InvalidArgument as error:
            return error
        return self._admission.peer(hello, {expected}) or hello

    def is_linked(self, node: int) -> bool:
        """Whether there is a link to the node."""
        return node in self._links

    def link(self, outgoing: Pipe, hello: Hello) -> None:
        """Both sides agree."""
        self._links[hello.node_id] = outgoing
        self._handler.peer_connected(hello.node_id, hello)

    def stream_opened(self, stream: "MemoryStream") -> None:
        """One end of a snapshot's connection is here."""
        self._streams[stream] = None

    def stream_ended(self, stream: "MemoryStream") -> None:
        """It is no more."""
        self._streams.pop(stream, None)
        self._handler.stream_lost(stream)

    def stream_received(self, stream: "MemoryStream", kind: FrameKind, payload: bytes) -> None:
        """Pass a frame on."""
        self._handler.stream_received(stream, kind, payload)

    def unlink(self, node: int) -> None:
        """The link is gone, with all that was queued; the handler is told if there was one."""
        for stream in [one for one in self._streams if one.node == node]:
            stream.abort()
        outgoing = self._links.pop(node, None)
        if outgoing is not None:
            outgoing.broken = True
            self._handler.peer_lost(node)

    def refused(self, node: int, error: Error) -> None:
        """Pass a refusal on."""
        self._handler.refused(node, error)

    def receive(self, node: int, kind: FrameKind, payload: bytes) -> None:
        """Pass a frame on."""
        if kind is FrameKind.REFUSED:
            self._handler.refused(node, decode_refusal(payload))
        else:
            self._handler.frame_received(node, kind, payload)
