"""The connections of snapshots between the hosts of the harness: what is sent waits until it is delivered."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from multiraft.engine.snapshots.work import StreamEffects, StreamEvent
from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import HEADER_SIZE, open_header

if TYPE_CHECKING:
    from .harness import Host, Nodes


class End:
    """One end of a connection. The token of the end that was dialed is the end itself."""

    def __init__(self, host: "Host", token: object | None = None) -> None:
        self.host = host
        self.token = self if token is None else token
        self.other: End


class Sent(NamedTuple):
    """A frame on its way; no frame: the connection ends."""

    to: End
    frame: bytes | None

    @property
    def kind(self) -> FrameKind | None:
        return None if self.frame is None else FrameKind(open_header(self.frame)[0])


class Streams:
    """Every connection of a cluster."""

    def __init__(self, nodes: "Nodes") -> None:
        self.wire: deque[Sent] = deque()
        self.made = 0
        """Connections so far."""
        self._nodes = nodes
        self._ends: dict[object, End] = {}

    def carry_out(self, host: "Host", effects: StreamEffects) -> None:
        """What a host wants; its work waits with the host."""
        for token, node, first in effects.dials:
            self.made += 1
            here, there = End(host, token), End(self._nodes[node])
            here.other, there.other = there, here
            self._ends[here.token], self._ends[there.token] = here, there
            self.wire.append(Sent(there, first))
        for token, frame in effects.frames:
            if (end := self._ends.get(token)) is not None:
                self.wire.append(Sent(end.other, frame))
        for token, _ in effects.closes:
            if (end := self._ends.pop(token, None)) is not None:
                self.wire.append(Sent(end.other, None))
        for work in effects.work:
            (host.unflushed if work.writes else host.unread).append(work)

    def deliver(self, most: int | None = None) -> int:
        """Hand over what is on the way, or the oldest frames only; what a cut node has sent is lost."""
        count = len(self.wire) if most is None else min(most, len(self.wire))
        for _ in range(count):
            end, frame = self.wire.popleft()
            if {end.host.node_id, end.other.host.node_id} & self._nodes.cut:
                self.break_up(end)
            elif frame is None:
                self._lose(end)
            elif self._ends.get(end.token) is end:
                kind, payload = FrameKind(open_header(frame)[0]), frame[HEADER_SIZE:]
                event = StreamEvent(end.token, end.other.host.node_id, kind, payload)
                end.host.inputs.streams.append(event)
        return count

    def lose(self, kind: FrameKind) -> None:
        """Frames of this kind vanish from the way."""
        self.wire = deque(sent for sent in self.wire if sent.kind is not kind)

    def break_all(self) -> None:
        """Every connection breaks, and what was under way is gone."""
        for end in list(self._ends.values()):
            self.break_up(end)

    def break_up(self, end: End) -> None:
        """Both ends hear that the connection is gone."""
        self.wire = deque(sent for sent in self.wire if sent.to not in {end, end.other})
        self._lose(end)
        self._lose(end.other)

    def crashed(self, host: "Host") -> None:
        """A process is gone: the other ends hear of it."""
        for end in list(self._ends.values()):
            if end.host is host:
                self.wire = deque(sent for sent in self.wire if sent.to not in {end, end.other})
                self._lose(end.other)
                self._ends.pop(end.token, None)

    def _lose(self, end: End) -> None:
        if self._ends.pop(end.token, None) is not None:
            end.host.inputs.streams.append(StreamEvent(end.token, end.other.host.node_id, None))
