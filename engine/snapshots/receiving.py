"""The receiving side: grants credits, stages chunks, hands a whole snapshot to the core of its replica."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Final

from ...native.errors import BadFrame
from ...raft.messages import Message, MsgType
from ...raft.state import Snapshot
from ..config import EngineConfig
from ..errors import Error, InvalidArgument, Overloaded, SnapshotTooLarge
from ..replica import Arrived, Replica
from ..replicas import Replicas
from ..statemachine.kv_snapshot import MAX_SNAPSHOT
from ..statemachine.store import StagedData, StateStore
from ..transport.kinds import FrameKind
from ..turn import Turn
from .chunks import decode_chunk
from .frames import DONE, Head, Offer, decode_head, decode_offer, encode_grant
from .pace import Pace
from .work import Stream, StreamEvent, Work, Worked

logger = logging.getLogger("multiraft.snapshots")

WINDOW_CHUNKS: Final = 4
"""Chunks of this node's own size that a sender may have under way."""
MAX_CHECKPOINT: Final = MAX_SNAPSHOT + (1 << 20)
"""Bytes of chunks that bring the state of a machine in memory: it is put together there."""
MAX_WAITING: Final = 64
"""Offers that wait for a slot, over all nodes; each costs its sender a slot of its own, so there are few."""

BUSY: Final = "the state machine is applying commands: nothing can take its place now"


class Incoming:
    """One snapshot on its way in; also the token of its work.

    Invariants: ``0 <= unstaged``; ``writing`` is set while another thread uses ``staging``.
    """

    def __init__(self, stream: Stream, node: int, offer: Offer, replica: Replica) -> None:
        self.stream = stream
        self.node = node
        self.offer = offer
        self.replica = replica
        self.staging: StagedData | None = None
        """From the first grant on, until it is handed over."""
        self.snapshot: Snapshot | None = None
        """What the core has been shown; until it is installed, the slot is taken."""
        self.head: Head | None = None
        self.chunks: deque[bytes] = deque()
        """Received and not handed over to be written."""
        self.size = 0
        """Bytes received."""
        self.unstaged = 0
        """Bytes received and not durable."""
        self.owed = 0
        """Bytes that the sender may be granted, as soon as the pace allows."""
        self.writing = False
        self.written = 0
        """Chunks that are durable."""
        self.crc = 0
        self.after: bytes | None = None
        """The last key that is durable."""
        self.heard = 0.0
        """When something last came from the sender, or was asked of it."""

    @property
    def installed(self) -> bool:
        """Whether the core has nothing to do with it any more: it is durable, or was of no use."""
        return self.snapshot is not None and self.replica.raw.raft.log.unstable.snapshot is not self.snapshot

    @property
    def in_time(self) -> bool:
        """Whether it still comes from a leader that the replica has not seen deposed."""
        return self.replica.raw.raft.term <= self.offer.term


class Receiving:
    """At most ``snapshots_in`` at a time, from the first grant until it is installed; the others wait."""

    def __init__(self, config: EngineConfig, state: StateStore, replicas: Replicas) -> None:
        self.step: Callable[[Turn, Replica, Message], None]
        """Hands a message to a replica's core."""
        self._slots = config.snapshots_in
        self._patience = config.snapshot_ms / 1000
        self._window = WINDOW_CHUNKS * config.snapshot_chunk_bytes
        self._pace = Pace(config.snapshot_bytes_per_second)
        self._state = state
        self._replicas = replicas
        self._waiting: dict[Stream, Incoming] = {}
        self._active: dict[Stream, Incoming] = {}

    @property
    def under_way(self) -> int:
        """Snapshots offered, and neither handed over nor given up."""
        return len(self._waiting) + len(self._active)

    def concerns(self, replica: Replica) -> bool:
        """Whether a snapshot for this replica was offered, or comes."""
        return any(one.replica is replica for one in (*self._waiting.values(), *self._active.values()))

    # -- what comes in ---------------------------------------------------------------------------

    def take(self, event: StreamEvent, turn: Turn) -> None:
        """A frame of a sender, or the end of its connection."""
        one = self._active.get(event.stream) or self._waiting.get(event.stream)
        if event.kind is None:
            if one is not None:
                self._give_up(one)
            return
        try:
            if event.kind is FrameKind.OFFER and one is None:
                self._offered(event, turn)
            elif one is None:
                return  # given up, and the sender is about to hear of it
            else:
                one.heard = turn.now
                self._received(one, event, turn)
        except (BadFrame, Error) as error:
            refusal = error if isinstance(error, Error) else InvalidArgument(str(error))
            self._break(event.stream, one, refusal, turn)

    def _offered(self, event: StreamEvent, turn: Turn) -> None:
        offer = decode_offer(event.payload)
        replica = self._replicas.running.get(offer.group)
        if replica is None or replica.replica_id != offer.to or replica.nodes.get(offer.from_) != event.node:
            raise InvalidArgument(f"replica {offer.to} of group {offer.group} is not here")
        if self._replicas.trouble is not None:
            raise Overloaded(f"the disk takes no snapshot: {self._replicas.trouble}")
        if replica.applying is not None:
            raise Overloaded(BUSY)
        one = Incoming(event.stream, event.node, offer, replica)
        if not one.in_time:
            raise InvalidArgument(f"group {offer.group} has gone on to another term")
        for other in [*self._active.values(), *self._waiting.values()]:
            if other.offer.group == offer.group:  # its sender has begun anew, or another one has taken over
                newer = InvalidArgument(f"another snapshot of group {offer.group} was offered")
                if other.offer.term > offer.term:
                    raise newer
                self._break(other.stream, other, newer, turn)
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("too many snapshots were offered")
        self._waiting[one.stream] = one

    def _received(self, one: Incoming, event: StreamEvent, turn: Turn) -> None:
        if event.kind is FrameKind.HEAD and one.head is None and one.staging is not None:
            one.head = decode_head(event.payload)
            if one.head.durable != one.replica.machine.durable:
                raise InvalidArgument("the two replicas keep their state in different kinds of machines")
        elif event.kind is FrameKind.CHUNK and one.head is not None and one.snapshot is None:
            if one.unstaged > self._window:
                raise InvalidArgument("more came than was granted")
            one.size += len(event.payload)
            if one.size > MAX_CHECKPOINT and not one.head.durable:
                raise SnapshotTooLarge(f"a checkpoint of more than {MAX_CHECKPOINT} bytes")
            self._pace.take(len(event.payload))
            one.unstaged += len(event.payload)
            one.chunks.append(event.payload)
            self._write_next(one, turn)
        else:
            raise InvalidArgument("a snapshot came in another order than the protocol's")

    # -- what has been written -------------------------------------------------------------------

    def worked(self, done: Worked, turn: Turn) -> None:
        """A chunk is durable, or is none."""
        one = done.token
        assert isinstance(one, Incoming)
        one.writing = False
        if self._active.get(one.stream) is not one:
            self._abandon(one)
        elif done.error is not None:
            refusal = done.error if isinstance(done.error, Error) else InvalidArgument(repr(done.error))
            self._break(one.stream, one, refusal, turn)
        else:
            assert isinstance(done.value, tuple)
            size, last = done.value
            one.unstaged -= size
            one.owed += size
            if last:
                self._complete(one, turn)
            else:
                self._write_next(one, turn)

    def _write_next(self, one: Incoming, turn: Turn) -> None:
        if one.chunks and not one.writing:
            one.writing = True
            turn.streams.work.append(Work(partial(_stage, one, one.chunks.popleft()), one, writes=True))

    def _complete(self, one: Incoming, turn: Turn) -> None:
        """All of it is durable: it is the core's turn to say whether it is of use."""
        assert one.head is not None
        assert one.staging is not None
        if one.chunks:
            self._break(one.stream, one, InvalidArgument("something followed the last chunk"), turn)
            return
        replica, offer, point = one.replica, one.offer, one.head.point
        if replica.silence is not None and not replica.silence.ends_with(point):
            self._break(one.stream, one, InvalidArgument("the log that was lost reached further"), turn)
            return
        if replica.applying is not None:
            self._break(one.stream, one, Overloaded(BUSY), turn)
            return
        one.snapshot = snapshot = Snapshot(point.index, point.term, point.conf_state)
        replica.arrived = Arrived(snapshot, one.staging, point.data)
        self.step(turn, replica, Message(MsgType.SNAP, offer.to, offer.from_, offer.term, snapshot=snapshot))
        if one.installed and replica.rebuilding is not None:
            arrived, replica.arrived = replica.arrived, None
            replica.drop_arrived()  # one that was still waiting
            replica.rebuilding.arrived = arrived
        elif one.installed:
            replica.drop_arrived()
        one.staging = None

    # -- what goes on ----------------------------------------------------------------------------

    def go_on(self, turn: Turn) -> None:
        """Give up what has no hope, and grant what there is room for."""
        running = self._replicas.running
        for one in [*self._active.values(), *self._waiting.values()]:
            reason = None
            if running.get(one.offer.group) is not one.replica:
                reason = "the replica does not run any more"
            elif one.installed:
                self._finish(one, turn)
            elif one.snapshot is not None:
                continue
            elif self._replicas.trouble is not None:
                reason = f"the disk takes no snapshot: {self._replicas.trouble}"
            elif not one.in_time:
                reason = "the replica has gone on to another term"
            elif one.staging is not None and not (one.unstaged or one.owed) and self._is_late(one, turn.now):
                reason = f"nothing came from the sender for {self._patience:g} s"
            if reason is not None:
                self._break(one.stream, one, InvalidArgument(reason), turn)
        for one in self._startable():
            if len(self._active) >= self._slots:
                break
            del self._waiting[one.stream]
            self._active[one.stream] = one
            one.staging = self._state.stage()
            one.owed = self._window
        for one in self._active.values():
            if one.owed and one.snapshot is None and self._pace.ready(turn.now):
                turn.streams.frames.append((one.stream, encode_grant(one.owed)))
                one.owed = 0
                one.heard = turn.now

    def ready_at(self) -> float:
        """When to go on though nothing has happened."""
        if not self._active:
            return inf
        owes = any(one.owed and one.snapshot is None for one in self._active.values())
        return self._pace.ready_at if owes else inf

    def _is_late(self, one: Incoming, now: float) -> bool:
        return now - one.heard >= self._patience

    def _startable(self) -> Iterable[Incoming]:
        return [one for one in self._waiting.values() if one.replica.arrived is None]

    def _finish(self, one: Incoming, turn: Turn) -> None:
        del self._active[one.stream]
        turn.streams.frames.append((one.stream, DONE))
        turn.streams.closes.append((one.stream, None))

    # -- ends ------------------------------------------------------------------------------------

    def _break(self, stream: Stream, one: Incoming | None, reason: Error, turn: Turn) -> None:
        turn.streams.closes.append((stream, reason))
        if one is not None:
            logger.info(
                "the snapshot of group %d from node %d broke off: %s", one.offer.group, one.node, reason
            )
            self._give_up(one)

    def _give_up(self, one: Incoming) -> None:
        self._waiting.pop(one.stream, None)
        if self._active.pop(one.stream, None) is not None and not one.writing:
            self._abandon(one)

    def _abandon(self, one: Incoming) -> None:
        if one.staging is not None:
            self._state.abandon(one.staging.prefix)


def _stage(one: Incoming, data: bytes) -> tuple[int, bool]:
    """Check a chunk and make it durable; off the loop. Its size, and whether it is the last."""
    assert one.staging is not None
    chunk = decode_chunk(data, one.written, one.crc, one.after)
    if chunk.pairs:
        one.staging.write(chunk.pairs)
        one.after = chunk.pairs[-1][0]
    one.written += 1
    one.crc = chunk.crc
    return len(data), chunk.last
