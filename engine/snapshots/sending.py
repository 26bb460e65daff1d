"""The sending side: a queue of snapshots that cores of leaders asked for, and the few that are under way."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf
from typing import Final, NamedTuple

from ...native.errors import BadFrame
from ...native.frames import seal
from ...raft.entry import EntryId
from ...raft.messages import Message, MsgType
from ...raft.progress import ProgressState
from ...raft.state import Snapshot
from ..config import EngineConfig
from ..errors import Corruption, Error, InvalidArgument
from ..replica import Replica
from ..statemachine.store import StateStore, StateView
from ..transport.kinds import FrameKind
from ..turn import Turn
from .chunks import crc_of, encode_chunk
from .frames import Head, Offer, decode_grant, encode_head, encode_offer
from .pace import Pace
from .work import Dial, StreamEvent, Work, Worked

logger = logging.getLogger("multiraft.snapshots")

Receiver = tuple[int, int]
"""Group and replica id."""

MAX_CREDIT: Final = 1 << 31


class Encoded(NamedTuple):
    """What the thread that reads hands back."""

    chunk: bytes
    last: bool


class Outgoing:
    """One snapshot on its way to one replica; also the token of its connection and of its work.

    Invariant: ``reading`` is set while another thread uses ``view``.
    """

    def __init__(self, replica: Replica, message: Message, node: int, *, asked: bool) -> None:
        self.asked = asked
        """Whether the receiver has asked for it, having lost its state: then no core waits for it."""
        self.replica = replica
        self.message = message
        self.node = node
        self.view: StateView | None = None
        """What is sent, from the first grant to the last chunk."""
        self.index: int | None = None
        """Where in the log that stands, once it is known."""
        self.credit = 0
        self.chunks = 0
        self.crc = 0
        self.reading = False
        self.sent_all = False
        self.heard = 0.0
        """When something last came from the receiver."""

    @property
    def receiver(self) -> Receiver:
        """Who gets it."""
        return self.replica.group, self.message.to

    @property
    def wanted(self) -> bool:
        """Whether its leader still waits for exactly this one to arrive."""
        raft = self.replica.raw.raft
        progress = raft.tracker.progress.get(self.message.to)
        return (
            self.replica.leads
            and not self.replica.stopped
            and raft.term == self.message.term
            and progress is not None
            and (self.asked or progress.state is ProgressState.SNAPSHOT)
        )

    @property
    def of_use(self) -> bool:
        """Whether the sender's log still reaches back to the state that is being sent."""
        return self.index is None or self.replica.raw.raft.log.first_index() <= self.index + 1


class Sending:
    """At most ``snapshots_out`` at a time; the others wait their turn, node by node."""

    def __init__(self, config: EngineConfig, state: StateStore) -> None:
        self.damaged: Callable[[Turn, Mapping[int, Corruption]], None]
        """Called with groups whose state on the disk is damaged."""
        self._slots = config.snapshots_out
        self._patience = config.snapshot_ms / 1000
        self._chunk_bytes = config.snapshot_chunk_bytes
        self._pace = Pace(config.snapshot_bytes_per_second)
        self._state = state
        self._waiting: dict[Receiver, Outgoing] = {}
        self._active: dict[Receiver, Outgoing] = {}
        self._delivered: dict[Receiver, tuple[Outgoing, float]] = {}
        """Those that have arrived, and since when; the receiver's core has still to acknowledge them."""

    @property
    def under_way(self) -> int:
        """Snapshots asked for and not acknowledged or given up yet."""
        return len(self._waiting) + len(self._active) + len(self._delivered)

    def concerns(self, replica: Replica) -> bool:
        """Whether anything is kept for a snapshot of this replica."""
        delivered = [one for one, _ in self._delivered.values()]
        kept = (*self._waiting.values(), *self._active.values(), *delivered)
        return any(one.replica is replica for one in kept)

    def want(self, replica: Replica, message: Message, node: int, turn: Turn) -> None:
        """The core of ``replica`` wants a snapshot to reach the replica that ``message`` names."""
        self._add(Outgoing(replica, message, node, asked=False), turn)

    def asked(self, replica: Replica, peer: int, node: int, turn: Turn) -> None:
        """A peer has lost its state, and asks for this replica's. A leader that has one sends it, once."""
        if replica.leads and replica.rebuilding is None and not self._has((replica.group, peer)):
            message = Message(MsgType.SNAP, peer, replica.replica_id, replica.raw.raft.term)
            one = Outgoing(replica, message, node, asked=True)
            if one.wanted:
                self._add(one, turn)

    def asked_for_log(self, replica: Replica, peer: int, node: int, turn: Turn, lost: EntryId) -> None:
        """A peer has lost its log, up to this entry. A leader whose state reaches that sends it, once.

        What the peer had acknowledged does not count any more, and its core waits for this snapshot.
        """
        point = replica.durable_point
        if not replica.leads or point is None or point < lost or self._has((replica.group, peer)):
            return
        replica.raw.forget_log(peer, point.index)
        message = Message(MsgType.SNAP, peer, replica.replica_id, replica.raw.raft.term)
        one = Outgoing(replica, message, node, asked=False)
        if one.wanted:
            self._add(one, turn)

    def _has(self, receiver: Receiver) -> bool:
        return any(receiver in kept for kept in (self._waiting, self._active, self._delivered))

    def _add(self, one: Outgoing, turn: Turn) -> None:
        self._waiting.pop(one.receiver, None)
        self._delivered.pop(one.receiver, None)
        if (old := self._active.get(one.receiver)) is not None:
            self._end(old, turn)
        self._waiting[one.receiver] = one

    def lost(self, node: int, groups: Iterable[int] | None, turn: Turn) -> None:
        """A node is gone, or does not know these groups: what has not begun for it is given up.

        What is under way hears of it by its own connection, unless the groups are named.
        """
        named = None if groups is None else set(groups)
        for one in [*self._waiting.values(), *(one for one, _ in self._delivered.values())]:
            if one.node == node and (named is None or one.replica.group in named):
                self._fail(one)
        for one in list(self._active.values()):
            if one.node == node and named is not None and one.replica.group in named:
                self._break(one, "the receiver does not know the group", turn)

    # -- what comes in ---------------------------------------------------------------------------

    def take(self, event: StreamEvent, turn: Turn) -> None:
        """A frame of the receiver, or the end of the connection."""
        one = event.stream
        if not isinstance(one, Outgoing) or self._active.get(one.receiver) is not one:
            return
        one.heard = turn.now
        if event.kind is FrameKind.GRANT:
            self._grant(one, event.payload, turn)
        elif event.kind is FrameKind.DONE and one.sent_all:
            if not one.asked:
                self._delivered[one.receiver] = (one, turn.now)
            self._end(one, turn)
        elif event.kind is None:
            self._break(one, "the connection broke", turn)
        else:
            self._break(one, "the receiver sent what it may not", turn)

    def worked(self, done: Worked, turn: Turn) -> None:
        """A chunk has been read and encoded."""
        one = done.token
        assert isinstance(one, Outgoing)
        one.reading = False
        if self._active.get(one.receiver) is not one:
            self._close_view(one, turn)
        elif done.error is not None:
            self._break(one, f"its state cannot be read: {done.error}", turn)
            if isinstance(done.error, Corruption):
                self.damaged(turn, {one.replica.group: done.error})
        else:
            assert isinstance(done.value, Encoded)
            self._send(one, done.value, turn)

    def _grant(self, one: Outgoing, payload: bytes, turn: Turn) -> None:
        try:
            one.credit = min(one.credit + decode_grant(payload), MAX_CREDIT)
        except BadFrame as error:
            self._break(one, str(error), turn)
            return
        if one.index is None:
            self._open(one, turn)

    def _open(self, one: Outgoing, turn: Turn) -> None:
        """Look at the state, now that it is wanted."""
        try:
            one.view = view = self._state.view(one.replica.group)
        except Error as error:
            self._break(one, f"its state cannot be read: {error}", turn)
            if isinstance(error, Corruption):
                self.damaged(turn, {one.replica.group: error})
            return
        applied = view.applied
        if applied is None:
            self._break(one, "nothing of the group is on the disk", turn)
            return
        one.index = applied.index
        point = Snapshot(applied.index, applied.term, applied.conf_state, applied.metadata)
        turn.streams.frames.append((one, encode_head(Head(point, view.durable))))

    def _send(self, one: Outgoing, made: Encoded, turn: Turn) -> None:
        chunk = made.chunk
        one.chunks += 1
        one.crc = crc_of(chunk)
        one.credit -= len(chunk)
        self._pace.take(len(chunk))
        turn.streams.frames.append((one, seal(FrameKind.CHUNK, chunk)))
        if made.last:
            one.sent_all = True
            self._close_view(one, turn)

    # -- what goes on ----------------------------------------------------------------------------

    def go_on(self, turn: Turn) -> None:
        """Give up what has no hope, begin what there is room for, send what may be sent."""
        if not (self._active or self._waiting or self._delivered):
            return
        for one in list(self._active.values()):
            if not one.wanted:
                reason = InvalidArgument("its leader does not wait for it any more")
                self._end(one, turn, None if one.sent_all else reason)
            elif not one.of_use:
                self._break(one, "the log does not reach back to it any more", turn)
            elif turn.now - one.heard >= self._patience and (one.sent_all or one.credit <= 0):
                self._break(one, f"nothing came from the receiver for {self._patience:g} s", turn)
        self._expire(turn.now)
        while len(self._active) < self._slots and self._waiting:
            self._begin(self._next(), turn)
        for one in self._active.values():
            idle = one.view is not None and not one.sent_all and not one.reading
            if idle and one.credit > 0 and self._pace.ready(turn.now):
                one.reading = True
                turn.streams.work.append(Work(partial(_read, one, self._chunk_bytes), one, writes=False))

    def ready_at(self) -> float:
        """When to go on though nothing has happened."""
        if not self._active:
            return inf
        held_up = any(one.credit > 0 and not (one.reading or one.sent_all) for one in self._active.values())
        return self._pace.ready_at if held_up else inf

    def _next(self) -> Outgoing:
        """The oldest one that waits, of the node for which least is under way."""
        busy = [one.node for one in self._active.values()]
        return min(self._waiting.values(), key=lambda one: busy.count(one.node))

    def _begin(self, one: Outgoing, turn: Turn) -> None:
        del self._waiting[one.receiver]
        if not one.wanted:
            return
        one.heard = turn.now
        self._active[one.receiver] = one
        message = one.message
        offer = Offer(one.replica.group, message.from_, message.to, message.term)
        turn.streams.dials.append(Dial(one, one.node, encode_offer(offer)))

    def _expire(self, now: float) -> None:
        """Forget what was acknowledged, and ask again for what was not: nothing else is sent there."""
        for one, since in list(self._delivered.values()):
            if not one.wanted:
                del self._delivered[one.receiver]
            elif since + self._patience <= now:
                self._fail(one)

    # -- ends ------------------------------------------------------------------------------------

    def _break(self, one: Outgoing, reason: str, turn: Turn) -> None:
        """It has not arrived: its core asks for another one."""
        logger.info("the snapshot of group %d for node %d broke off: %s", one.replica.group, one.node, reason)
        self._end(one, turn, InvalidArgument(reason))
        self._fail(one)

    def _end(self, one: Outgoing, turn: Turn, error: Error | None = None) -> None:
        """Its connection and its view are done with."""
        del self._active[one.receiver]
        turn.streams.closes.append((one, error))
        if not one.reading:
            self._close_view(one, turn)

    def _fail(self, one: Outgoing) -> None:
        for kept in (self._waiting, self._delivered):
            kept.pop(one.receiver, None)
        if one.wanted and not one.asked:
            one.replica.raw.report_snapshot(one.message.to, ok=False)

    def _close_view(self, one: Outgoing, turn: Turn) -> None:
        """In the thread that reads: the loop must not wait for a page."""
        if one.view is not None:
            turn.streams.work.append(Work(one.view.close, None, writes=False))
            one.view = None


def _read(one: Outgoing, size: int) -> Encoded:
    """The next chunk; off the loop."""
    assert one.view is not None
    piece = one.view.read(size)
    return Encoded(encode_chunk(one.chunks, piece.pairs, one.crc, last=piece.last), piece.last)
