"""The answering side: requests of clients and of other nodes, batched answers, and who may connect."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

from ..engine.errors import Closed, ClusterMismatch, Error, OutcomeUnknown, Overloaded
from ..engine.host import Host
from ..engine.transport.hello import Hello
from ..engine.transport.kinds import FrameKind
from ..engine.transport.port import ClientSession
from .channel import Channel, Outgoing
from .groupfacts import encode_facts, group_facts
from .queries import query_of, read_stale
from .requests import (
    Malformed,
    Op,
    Request,
    Scalar,
    decode_requests,
    encode_failure,
    encode_reply,
)
from .routing import REFUSALS, reply_fields
from .status import digests, led_ranges, node_status

logger = logging.getLogger("multiraft.service")

UnderWay = dict[asyncio.Future[Any], None]
"""What is being done for one client, in the order in which it was begun."""

SESSION_REQUESTS: Final = 16_384
"""Requests of one client that may be under way; more is refused as Overloaded."""


class Operations(Protocol):
    """What the service asks of the engine on behalf of clients; each answers with a reply's fields."""

    def write_here(self, low: bytes, high: bytes, body: bytes) -> "asyncio.Future[object] | None":
        """Propose a command if this node leads its range, else None; the future is the host's."""
        ...

    async def client_request(self, op: int, fields: list[Scalar], timeout: float) -> Sequence[Scalar]:  # noqa: ASYNC109 # the client's own
        """Carry out an operation. Raises :class:`Error`."""
        ...


class Service:
    """Implements :class:`~multiraft.engine.host.Requests` for a node of ranges."""

    def __init__(
        self,
        known_store: Callable[[int], bytes | None],
        addresses: Callable[[], dict[int, str]],
        joined: Callable[[], bool],
        on_stopped: Callable[[Error], None],
    ) -> None:
        """``joined`` says whether this node belongs to a cluster for good."""
        self.channels: dict[int, Channel] = {}
        """The nodes that can be asked now."""
        self._known_store = known_store
        self._addresses = addresses
        self._joined = joined
        self._on_stopped = on_stopped
        self._replies: dict[int, Outgoing] = {}
        self._sessions: dict[ClientSession, tuple[Outgoing, UnderWay]] = {}
        self._host: Host
        self._operations: Operations

    def serve(self, host: Host, operations: Operations) -> None:
        """Name the parts that answer; call once, before the host starts."""
        self._host = host
        self._operations = operations

    # -- peers -----------------------------------------------------------------------------------

    def admit(self, hello: Hello) -> None:
        """Refuse a node that comes back with another data directory than the one on record."""
        known = self._known_store(hello.node_id)
        if known is not None and known != hello.store_uuid:
            raise ClusterMismatch(
                f"node {hello.node_id} is on record with another data directory: a wiped or copied node "
                "does not come back by itself",
                replaced=True,
            )

    def peer_connected(self, node: int, hello: Hello) -> None:  # noqa: ARG002 # the port's signature
        """Open both directions of the request protocol."""
        send = partial(self._host.send, node)
        self.channels[node] = Channel(send, f"node {node}")
        self._replies[node] = Outgoing(FrameKind.REPLY, send, lambda: None)

    def peer_lost(self, node: int) -> None:
        """Nobody there answers any more."""
        replies = self._replies.pop(node, None)
        if replies is not None:
            replies.close()
        channel = self.channels.pop(node, None)
        if channel is not None:
            channel.lost()

    def refused(self, node: int, error: Error) -> None:
        """A peer will not talk to this node.

        If it knows this node with another directory or process, this one must not go on. A node that has
        joined no cluster yet was started wrongly if it fits nowhere; one that has may stand by what it knows.
        """
        if isinstance(error, ClusterMismatch) and (error.replaced or not self._joined()):
            self._on_stopped(error)
        else:
            logger.warning("node %d refuses to talk to this node: %s", node, error)

    def peer_frame(self, node: int, kind: FrameKind, payload: bytes) -> None:
        """A request or a reply of another node."""
        try:
            if kind is FrameKind.REPLY:
                channel = self.channels.get(node)
                if channel is not None:
                    channel.received(payload)
                return
            replies = self._replies.get(node)
            if replies is not None:
                for request in decode_requests(payload):
                    self._serve_peer(replies, request)
        except Malformed as error:
            logger.error("node %d: %s", node, error)  # noqa: TRY400 # its bytes are at fault, not our code
            self._host.hang_up(node, error)

    def _serve_peer(self, replies: Outgoing, request: Request) -> None:
        try:
            match request.op, request.fields:
                case Op.PROPOSE, [int(group), bytes(command)]:
                    future = self._host.propose(group, [command])
                    future.add_done_callback(partial(_reply_proposed, replies, request.id))
                case ((Op.READ_GET | Op.READ_SCAN | Op.READ_VERSION), fields):
                    future = self._host.read(*query_of(request.op, fields))
                    future.add_done_callback(partial(_reply_read, replies, request.id))
                case ((Op.STALE_GET | Op.STALE_SCAN), fields):
                    answer = read_stale(self._host.node, *query_of(request.op, fields))
                    replies.add(encode_reply(request.id, answer))
                case Op.NODE_STATUS, []:
                    replies.add(encode_reply(request.id, [self.own_status()]))
                case Op.DIGESTS, []:
                    replies.add(encode_reply(request.id, [json.dumps(digests(self._host.node))]))
                case Op.GROUP_FACTS, [int(group)]:
                    replies.add(encode_reply(request.id, [encode_facts(group_facts(self._host, group))]))
                case _:
                    raise Malformed(f"a node does not ask operation {request.op} with these fields")
        except Error as error:
            replies.add(encode_failure(request.id, error))

    def own_status(self) -> str:
        """The line of ``status`` about this node, as JSON."""
        return json.dumps(node_status(self._host, self._addresses()))

    # -- clients ---------------------------------------------------------------------------------

    def client_frame(self, session: ClientSession, kind: FrameKind, payload: bytes) -> None:
        """A request of a client: each is carried out by a task of its own."""
        try:
            requests = decode_requests(payload) if kind is FrameKind.REQUEST else []
        except Malformed as error:
            logger.warning("a client sent what is no request: %s", error)
            session.close()
            return
        known = self._sessions.get(session)
        if known is None:
            replies = Outgoing(FrameKind.REPLY, session.send, lambda: None)
            known = self._sessions[session] = (replies, {})
        replies, tasks = known
        for request in requests:
            if len(tasks) >= SESSION_REQUESTS:
                full = Overloaded(f"{SESSION_REQUESTS} requests of this client are under way")
                replies.add(encode_failure(request.id, full))
                continue
            future = self._write_here(request)  # the common case needs no task: it halves what a put costs
            if future is None:
                self._start_task(replies, request, tasks)
            else:
                tasks[future] = None
                future.add_done_callback(partial(self._answer_write, replies, request, tasks))

    def _write_here(self, request: Request) -> "asyncio.Future[object] | None":
        match request.op, request.fields:
            case Op.WRITE, [bytes(low), bytes(high), bytes(body)]:
                try:
                    return self._operations.write_here(low, high, body)
                except Error:
                    return None  # the long way answers with it
            case _:
                return None

    def _answer_write(
        self,
        replies: Outgoing,
        request: Request,
        under_way: UnderWay,
        future: "asyncio.Future[object]",
    ) -> None:
        under_way.pop(future, None)
        if future.cancelled():
            return
        value = future.result()
        result = value if isinstance(value, Error) else cast("list[object]", value)[0]
        if isinstance(result, REFUSALS):  # nothing happened: find out who serves the range now
            self._start_task(replies, request, under_way)
        elif isinstance(result, Error):
            replies.add(encode_failure(request.id, result))
        else:
            replies.add(encode_reply(request.id, reply_fields(result)))

    def _start_task(self, replies: Outgoing, request: Request, under_way: UnderWay) -> None:
        task = asyncio.get_running_loop().create_task(self._serve_client(replies, request))
        under_way[task] = None
        task.add_done_callback(lambda done: under_way.pop(done, None))

    async def _serve_client(self, replies: Outgoing, request: Request) -> None:
        try:
            match request.op, request.fields:
                case Op.NODE_STATUS, []:
                    fields: Sequence[Scalar] = [self.own_status()]
                case Op.DIGESTS, []:
                    fields = [json.dumps(digests(self._host.node))]
                case Op.LED_RANGES, []:
                    fields = led_ranges(self._host.node)
                case op, given:
                    work = self._operations.client_request(op, given, request.timeout_ms / 1000)
                    fields = await work
            replies.add(encode_reply(request.id, fields))
        except Error as error:
            replies.add(encode_failure(request.id, error))
        except Exception as error:
            logger.exception("operation %d of a client failed", request.op)
            replies.add(encode_failure(request.id, OutcomeUnknown(f"the node failed at it: {error!r}")))

    def client_lost(self, session: ClientSession) -> None:
        """Nobody waits for these answers any more."""
        known = self._sessions.pop(session, None)
        if known is not None:
            for task in known[1]:
                task.cancel()

    # -- the end ---------------------------------------------------------------------------------

    def stopped(self, error: Error) -> None:
        """The node has stopped by itself."""
        self._on_stopped(error)

    async def close(self) -> None:
        """Cancel what is under way for clients."""
        tasks = [task for _, under_way in self._sessions.values() for task in under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node in list(self.channels):
            self.peer_lost(node)


def _reply_proposed(replies: Outgoing, id_: int, future: "asyncio.Future[object]") -> None:
    value = _value(future)
    result = value if isinstance(value, Error) else cast("list[object]", value)[0]
    if isinstance(result, Error):
        replies.add(encode_failure(id_, result))
    else:
        replies.add(encode_reply(id_, reply_fields(result)))


def _reply_read(replies: Outgoing, id_: int, future: "asyncio.Future[object]") -> None:
    value = _value(future)
    if isinstance(value, Error):
        replies.add(encode_failure(id_, value))
    else:
        replies.add(encode_reply(id_, cast("Sequence[Scalar]", value)))


def _value(future: "asyncio.Future[object]") -> object:
    return Closed("the node is closing") if future.cancelled() else future.result()
