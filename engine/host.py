"""The shell around a node: collects inputs on the event loop, takes turns, carries their effects out."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol

from .applytasks import ApplyTasks
from .config import EngineConfig
from .errors import Closed, DiskFull, Error, Overloaded, StorageFailed
from .figures import Turns
from .logstore.port import Batch
from .node import Node
from .outage import Outage, Space
from .pending import Answer, Proposal, Read
from .statemachine.protocol import StateMachine
from .statemachine.store import Flush
from .streams import Streams
from .tickets import Ticket
from .transport.hello import Hello
from .transport.kinds import FrameKind
from .transport.port import ClientSession, SnapshotStream, Transport
from .turn import Effects, Inputs

logger = logging.getLogger("multiraft.host")


class Requests(Protocol):
    """Who handles what is not Raft's: requests of clients and of other nodes, and their answers."""

    def admit(self, hello: Hello) -> None:
        """Judge a peer; raises what :class:`~multiraft.engine.transport.port.Handler` says."""

    def peer_connected(self, node: int, hello: Hello) -> None:
        """A peer can be reached."""

    def peer_lost(self, node: int) -> None:
        """A peer cannot be reached any more: what it was asked has no answer."""

    def peer_frame(self, node: int, kind: FrameKind, payload: bytes) -> None:
        """A request or a reply of another node."""

    def refused(self, node: int, error: Error) -> None:
        """A peer will not talk to this node."""

    def client_frame(self, session: ClientSession, kind: FrameKind, payload: bytes) -> None:
        """A request of a client."""

    def client_lost(self, session: ClientSession) -> None:
        """A client is gone."""

    def stopped(self, error: Error) -> None:
        """The node has stopped by itself, for this reason."""


class BatchWriter(Protocol):
    """Who makes log batches durable; :class:`~multiraft.engine.logstore.writer.LogWriter` says more."""

    def submit(self, batch: Any, /) -> None:  # noqa: ANN401 # the log store's own kind of batch
        """Queue a batch; never blocks."""

    def resume(self) -> None:
        """Commit again after an error: all that was submitted has been notified."""

    def close(self) -> None:
        """Commit what was submitted and notify. Not on the loop."""


class Host:
    """Runs one node on the running event loop. Everything but the two stores' threads happens there.

    Args:
        node: it has started and taken no turn.
        writer: commits log batches and tells ``batch_written``.
        flusher: one thread; writes the state store.
        reader: another one; reads it for snapshots.
        transport: not started yet.
        requests: handles what is not Raft's.
        space: what a full disk is given back.
    """

    def __init__(
        self,
        node: Node,
        writer: BatchWriter,
        flusher: Executor,
        reader: Executor,
        transport: Transport,
        requests: Requests,
        space: Space,
    ) -> None:
        self.node = node
        self.turns = Turns()
        self.log_batches = 0
        """Batches that the log writer has committed, one transaction each."""
        self.state_flushes = 0
        """Flushes that the state store has committed, likewise."""
        self._config: EngineConfig = node.config
        self._writer = writer
        self._flusher = flusher
        self._reader = reader
        self._transport = transport
        self._applies = ApplyTasks(self._next_inputs)
        self._streams = Streams(transport, flusher, reader, self._next_inputs)
        self._requests = requests
        self._stopwatch = node.stopwatch
        self._loop = asyncio.get_running_loop()
        self._inputs = Inputs()
        self._queued_bytes = 0
        self.on_leaders: Callable[[Sequence[int]], None] = lambda _groups: None
        """Told of groups of which this node has just heard who leads them."""
        self._waiting: dict[Ticket, None] = {}
        """Everybody who has no answer yet, in the order in which they came."""
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stopped: Error | None = None
        self._outage = Outage(
            node.log, node.state, flusher, space, writer.resume, self._next_inputs, self._fail
        )

    @property
    def stopped(self) -> Error | None:
        """Why no turns are taken any more."""
        return self._stopped

    @property
    def queued_bytes(self) -> int:
        """What the requests that have no answer yet take of ``EngineConfig.request_bytes``."""
        return self._queued_bytes

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    # -- what callers use ------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, connect and take the first turn."""
        await self._transport.start(self)
        self.wake()

    def propose(self, group: int, commands: Sequence[bytes]) -> "asyncio.Future[object]":
        """Append commands to a group that this node leads.

        The future's result is the list of their results, or the :class:`Error` that took their place: it
        is a value, as one error may answer thousands of callers.

        Raises:
            Overloaded: too much is queued on this node.
            Closed: the node has stopped.
        """
        ticket = self._ticket(sum(map(len, commands)), writes=True)
        self._inputs.proposals.append(Proposal(group, commands, ticket))
        self.wake()
        return ticket.future

    def read(self, group: int, query: Callable[[StateMachine], object]) -> "asyncio.Future[object]":
        """Ask the state machine of a group that this node leads, linearizably; errors as in `propose`."""
        ticket = self._ticket(64, writes=False)
        self._inputs.reads.append(Read(group, query, ticket))
        self.wake()
        return ticket.future

    def send(self, node: int, frame: bytes) -> bool:
        """Send a sealed frame to another node; ``False`` if it cannot be queued."""
        return self._transport.send(node, frame)

    def hang_up(self, node: int, error: Error) -> None:
        """Close the connection to a node whose frames cannot be read."""
        self._transport.hang_up(node, error)

    def connected(self) -> list[int]:
        """The nodes that can be reached now."""
        return self._transport.connected()

    async def close(self) -> None:
        """Stop: nothing is accepted, what is on its way to the disk gets there, everybody is answered."""
        already = self._stopped
        self.stop(already or Closed("the engine is closed"))
        await self._applies.close()
        await self._transport.close()
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._flusher.shutdown)
        await asyncio.to_thread(self._reader.shutdown)
        if already is None:
            await asyncio.to_thread(self._last_flush)

    # -- turns -----------------------------------------------------------------------------------

    def _next_inputs(self) -> Inputs:
        """For who adds to them: a turn follows."""
        self.wake()
        return self._inputs

    def wake(self) -> None:
        """Take a turn as soon as the loop gets to it."""
        if self._scheduled is None and self._stopped is None:
            self._scheduled = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._scheduled = None
        inputs, self._inputs = self._inputs, Inputs()
        try:
            effects = self.node.turn(self._loop.time(), inputs)
            self._carry_out(effects)
        except Exception as error:
            logger.exception("a turn failed: the node stops")
            self._fail(StorageFailed(f"a turn of the node failed: {error!r}"), error)
            return
        if self.node.halted and not self.node.batches_in_flight:
            self._outage.log_rolled_back()
        effects.figures.laps.append(self._stopwatch())
        self.turns.add(effects.figures)
        if effects.again or self._inputs:
            self.wake()
        else:
            self._wait_until(self.node.deadline)

    def _wait_until(self, deadline: float) -> None:
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(deadline, self._on_timer), deadline

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def _carry_out(self, effects: Effects) -> None:
        if effects.batch is not None:
            self._writer.submit(effects.batch)
        figures = effects.figures
        for frame in effects.frames:
            figures.messages += len(frame.groups)
            figures.sent_bytes += len(frame.data)
            if not self._transport.send(frame.node, frame.data):
                self._inputs.frames_dropped.append((frame.node, frame.groups))
        if effects.flush is not None:
            flush = effects.flush
            self._flusher.submit(self.node.state.write, flush).add_done_callback(
                lambda done: self._loop.call_soon_threadsafe(self._flush_done, flush, done)
            )
        self._applies.start(effects.applies)
        self._streams.carry_out(effects.streams)
        self._answer(effects.answers)
        if effects.leaders:
            self.on_leaders(effects.leaders)
        for node, error in effects.hang_up:
            logger.error("node %d: %s", node, error)
            self._transport.hang_up(node, error)

    def _answer(self, answers: Sequence[Answer]) -> None:
        for ticket, value in answers:
            del self._waiting[ticket]
            self._queued_bytes -= ticket.size
            future = ticket.future
            if not future.done():
                future.set_result(value)

    def _ticket(self, size: int, *, writes: bool) -> Ticket:
        if self._stopped is not None:
            raise Closed(f"the node has stopped: {self._stopped}") from self._stopped
        if self._queued_bytes > self._config.request_bytes:
            raise Overloaded(f"{self._queued_bytes} bytes of requests are queued on this node")
        self._queued_bytes += size
        ticket = Ticket(self._loop.create_future(), size, writes=writes)
        self._waiting[ticket] = None
        return ticket

    # -- what the stores' threads report ---------------------------------------------------------

    def batch_written(self, batch: Batch, error: Exception | None) -> None:
        """For the log writer, from its thread: a batch is durable, or the disk refused it."""
        self._loop.call_soon_threadsafe(self._batch_done, batch, error)

    def _batch_done(self, batch: Batch, error: Exception | None) -> None:
        if isinstance(error, DiskFull | StorageFailed) and self._stopped is None:
            self._inputs.refused.append(batch)
            self._outage.log_refused(error)
        elif error is not None:
            self._fail(error if isinstance(error, Error) else StorageFailed(str(error)), error)
        else:
            self.log_batches += 1
            self._inputs.durable.append(batch)
            self._outage.log_written()
        self.wake()

    def _flush_done(self, flush: Flush, done: "Future[None]") -> None:
        error = done.exception()
        if isinstance(error, DiskFull | StorageFailed) and self._stopped is None:
            self._outage.flush_refused(flush, error)
            return
        if error is not None:
            self._fail(error if isinstance(error, Error) else StorageFailed(str(error)), error)
            return
        self.state_flushes += 1
        self._next_inputs().flushed.append(flush)

    def _last_flush(self) -> None:
        """A clean stop leaves nothing for the log to replay."""
        state = self.node.state
        if state.flushing is not None:
            # No turn has taken note of it: it may have failed, and what follows would say that it is there.
            state.write(state.flushing)
            state.flushed(state.flushing)
        flush = None if self.node.replicas.births.unsettled else state.freeze()
        if flush is not None:
            state.write(flush)
            state.flushed(flush)

    # -- stopping --------------------------------------------------------------------------------

    def _fail(self, error: Error, cause: BaseException) -> None:
        """Going on could break a promise: nothing that is in flight is acknowledged any more."""
        if self._stopped is None:
            if error is not cause:
                error.__cause__ = cause
            logger.error("the node stops: %s", error)
            self.stop(error)
            self._requests.stopped(error)

    def stop(self, reason: Error) -> None:
        """Stop taking turns, for a reason that lies outside: everybody who waits is answered with it."""
        if self._stopped is not None:
            return
        self._stopped = reason
        self._outage.end()
        self._applies.cancel()
        for handle in (self._scheduled, self._timer):
            if handle is not None:
                handle.cancel()
        inputs, self._inputs = self._inputs, Inputs()
        tokens = [one.token for one in inputs.proposals] + [one.token for one in inputs.reads]
        refused = [Answer(token, reason) for token in tokens]
        self._answer(refused + self.node.replicas.fail_all(reason))
        # A turn that failed has lost its answers, and what it was about to queue.
        self._answer([Answer(ticket, ticket.lost(reason)) for ticket in self._waiting])

    # -- what the transport reports --------------------------------------------------------------

    def admit(self, hello: Hello) -> None:
        """See :class:`~multiraft.engine.transport.port.Handler`, here and below."""
        self._requests.admit(hello)

    def peer_connected(self, node: int, hello: Hello) -> None:
        """A peer can be reached."""
        self._requests.peer_connected(node, hello)

    def peer_lost(self, node: int) -> None:
        """A connection broke."""
        self._inputs.peers_lost.append(node)
        self._requests.peer_lost(node)
        self.wake()

    def frame_received(self, node: int, kind: FrameKind, payload: bytes) -> None:
        """A frame of a peer."""
        if kind is FrameKind.MESSAGES:
            self._inputs.frames.append((node, payload))
            self.wake()
        elif kind in {FrameKind.REQUEST, FrameKind.REPLY}:
            self._requests.peer_frame(node, kind, payload)

    def stream_received(self, stream: SnapshotStream, kind: FrameKind, payload: bytes) -> None:
        """A frame of a snapshot's connection."""
        self._streams.received(stream, kind, payload)

    def stream_lost(self, stream: SnapshotStream) -> None:
        """A snapshot's connection is gone."""
        self._streams.lost(stream)

    def refused(self, node: int, error: Error) -> None:
        """A peer will not talk to this node."""
        self._requests.refused(node, error)

    def client_frame(self, session: ClientSession, kind: FrameKind, payload: bytes) -> None:
        """A request of a client."""
        self._requests.client_frame(session, kind, payload)

    def client_lost(self, session: ClientSession) -> None:
        """A client is gone."""
        self._requests.client_lost(session)
