"""Requests over one connection: batched on their way out, matched with their replies on the way back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ..engine.errors import Error, OutcomeUnknown, Overloaded, Unavailable
from ..engine.transport.kinds import FrameKind
from ..native.frames import seal
from .requests import WRITES, Reply, Request, Scalar, cut, decode_replies, encode_request

OUTSTANDING: Final = 65_536
"""Requests without an answer per connection; more is refused as Overloaded."""


class Outgoing:
    """Items that leave together at the end of the loop's pass, over one connection and no other."""

    def __init__(self, kind: FrameKind, send: Callable[[bytes], bool], lost: Callable[[], None]) -> None:
        self._kind = kind
        self._send = send
        self._lost = lost
        self._items: list[bytes] = []
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def add(self, item: bytes) -> None:
        """Queue one item; nobody gets it if the connection is gone."""
        if self._closed:
            return
        if not self._items:
            self._loop.call_soon(self._flush)
        self._items.append(item)

    def close(self) -> None:
        """The connection is gone: what was meant for it must not leave over its successor.

        Requests are numbered by connection, so a late reply would answer a request of the next one.
        """
        self._closed = True
        self._items = []

    def _flush(self) -> None:
        items, self._items = self._items, []
        for payload in cut(items):
            if not self._send(seal(self._kind, payload)):
                self._lost()
                return


class Channel:
    """The asking side of a connection.

    Every future resolves to a :class:`~multiraft.shards.requests.Reply`, never to an exception: if the
    connection breaks, a write becomes ``OutcomeUnknown`` and a read may be asked again.
    """

    def __init__(self, send: Callable[[bytes], bool], peer: str) -> None:
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._outgoing = Outgoing(FrameKind.REQUEST, send, self._give_up)
        self._waiting: dict[int, tuple[int, asyncio.Future[Reply]]] = {}
        self._next_id = 1

    def ask(self, op: int, timeout_ms: int, fields: Sequence[Scalar]) -> "asyncio.Future[Reply]":
        """Send a request; await the future for its reply.

        Raises:
            Overloaded: too many requests on this connection have no answer yet.
        """
        if len(self._waiting) >= OUTSTANDING:
            raise Overloaded(f"{OUTSTANDING} requests to {self._peer} have no answer yet")
        id_ = self._next_id
        self._next_id += 1
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[id_] = (op, future)
        self._outgoing.add(encode_request(Request(id_, op, timeout_ms, list(fields))))
        return future

    def received(self, payload: bytes) -> None:
        """Resolve the futures that a REPLY frame answers.

        Raises:
            Malformed: the frame is no reply; the connection should be closed.
        """
        for reply in decode_replies(payload):
            _, future = self._waiting.pop(reply.id, (0, None))
            if future is not None and not future.done():
                future.set_result(reply)

    def lost(self) -> None:
        """The connection broke: nothing that was asked will be answered."""
        self._outgoing.close()
        self._give_up()

    def _give_up(self) -> None:
        """Requests could not be sent: their answers, and those of all before them, are not waited for."""
        waiting, self._waiting = self._waiting, {}
        for id_, (op, future) in waiting.items():
            if not future.done():
                future.set_result(Reply(id_, [], self._no_answer(op)))

    def _no_answer(self, op: int) -> Error:
        if op in WRITES:
            return OutcomeUnknown(f"the connection to {self._peer} broke before the write was answered")
        return Unavailable(f"the connection to {self._peer} broke")
