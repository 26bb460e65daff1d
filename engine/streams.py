"""The shell's part in snapshots: their connections, and their work in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future

from .snapshots.work import Stream, StreamEffects, StreamEvent, Work, Worked
from .transport.kinds import FrameKind
from .transport.port import SnapshotStream, Transport
from .turn import Inputs


class Streams:
    """Carries out what a node wants for its snapshots, and brings back what came of it.

    Args:
        transport: connects.
        flusher, reader: the threads for work that writes the state store, and that reads it.
        inputs: the inputs of the next turn; called on the loop, and to be acted on soon.
    """

    def __init__(
        self, transport: Transport, flusher: Executor, reader: Executor, inputs: Callable[[], Inputs]
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._reader = reader
        self._inputs = inputs
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Stream, SnapshotStream] = {}
        """By the token that the node knows them by: its own, or for what came in the connection itself."""
        self._tokens: dict[SnapshotStream, Stream] = {}

    def carry_out(self, effects: StreamEffects) -> None:
        """Connect, send, close, and hand work to the threads."""
        for token, node, first in effects.dials:
            self._know(self._transport.open_stream(node, first), token)
        for token, frame in effects.frames:
            connection = self._connections.get(token)
            if connection is not None and not connection.send(frame):
                connection.abort()
        for token, error in effects.closes:
            connection = self._connections.get(token)
            if connection is not None:
                connection.close(error)
        for work in effects.work:
            self._submit(work)

    def received(self, connection: SnapshotStream, kind: FrameKind, payload: bytes) -> None:
        """A frame has come."""
        token = self._tokens.get(connection)
        if token is None:
            token = self._know(connection, connection)
        self._inputs().streams.append(StreamEvent(token, connection.node, kind, payload))

    def lost(self, connection: SnapshotStream) -> None:
        """A connection is gone."""
        token = self._tokens.pop(connection, connection)
        self._connections.pop(token, None)
        self._inputs().streams.append(StreamEvent(token, connection.node, None))

    def _know(self, connection: SnapshotStream, token: Stream) -> Stream:
        self._connections[token] = connection
        self._tokens[connection] = token
        return token

    def _submit(self, work: Work) -> None:
        thread = self._flusher if work.writes else self._reader
        thread.submit(work.call).add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._worked, work.token, done)
        )

    def _worked(self, token: object, done: "Future[object]") -> None:
        error = done.exception()
        value = None if error is not None else done.result()
        self._inputs().worked.append(Worked(token, value, error))
