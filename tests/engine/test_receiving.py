"""What a receiver of snapshots takes from a connection, and what it refuses."""

import pytest

from multiraft.engine.snapshots.chunks import encode_chunk
from multiraft.engine.snapshots.frames import Head, Offer, decode_grant, encode_head, encode_offer
from multiraft.engine.snapshots.work import StreamEvent
from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import HEADER_SIZE, open_header, seal
from multiraft.raft.state import ConfState, Snapshot

from .harness import Nodes
from .settled import GROUP
from .streams import End
from .test_transfers import SMALL, behind, check_store, check_whole, hear_of_term


class Sender:
    """A connection in the hands of the test, to node 3."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.near, self.end = End(nodes[1]), End(nodes[3])
        self.near.other, self.end.other = self.end, self.near
        nodes.streams._ends[self.end.token] = self.end
        nodes.streams._ends[self.near.token] = self.near

    def send(self, frame: bytes) -> list[FrameKind | None]:
        """What comes back for a frame."""
        host = self.nodes[3]
        kind, payload = FrameKind(open_header(frame)[0]), frame[HEADER_SIZE:]
        host.inputs.streams.append(StreamEvent(self.end.token, 1, kind, payload))
        return self.turn()

    def turn(self) -> list[FrameKind | None]:
        self.nodes[3].turn()
        answer = [sent for sent in self.nodes.streams.wire if sent.to is self.near]
        self.nodes.streams.wire.clear()
        return [sent.kind for sent in answer]


def offer_of(nodes: Nodes, **changes: int) -> bytes:
    term = nodes[3].replica(GROUP).raw.raft.term
    return encode_offer(Offer(**({"group": GROUP, "from_": 11, "to": 13, "term": term} | changes)))


def test_an_offer_is_granted_a_window():
    nodes = behind()
    sender = Sender(nodes)
    nodes[3].inputs.streams.append(
        StreamEvent(sender.end.token, 1, FrameKind.OFFER, offer_of(nodes)[HEADER_SIZE:])
    )
    nodes[3].turn()
    (sent,) = nodes.streams.wire
    assert sent.frame is not None
    assert decode_grant(sent.frame[HEADER_SIZE:]) == 4 * SMALL.snapshot_chunk_bytes


@pytest.mark.parametrize(
    "changes", [{"group": 99}, {"to": 12}, {"from_": 12}, {"from_": 99}, {"term": 0}], ids=str
)
def test_an_offer_for_somebody_else_is_refused(changes: dict[str, int]):
    nodes = behind()
    assert Sender(nodes).send(offer_of(nodes, **changes)) == [None]
    assert nodes[3].node.backlog()["snapshots received"] == 0


def test_an_offer_of_a_term_that_is_over_is_refused():
    nodes = behind()
    offer = offer_of(nodes)
    hear_of_term(nodes, 1)
    assert Sender(nodes).send(offer) == [None]


def test_a_second_offer_for_a_group_takes_the_place_of_the_first():
    nodes = behind()
    first, second = Sender(nodes), Sender(nodes)
    assert first.send(offer_of(nodes)) == [FrameKind.GRANT]
    assert second.send(offer_of(nodes)) == [FrameKind.GRANT]
    assert nodes[3].node.backlog()["snapshots received"] == 1
    third = Sender(nodes)
    assert third.send(offer_of(nodes, term=99)) == [FrameKind.GRANT]
    assert Sender(nodes).send(offer_of(nodes)) == [None], "an older leader does not replace a newer one"


HEAD = encode_head(Head(Snapshot(99, 5, ConfState((11, 12, 13)), b""), durable=True))
VOLATILE = encode_head(Head(Snapshot(99, 5, ConfState((11, 12, 13)), b""), durable=False))


def chunk(number: int = 0, *, last: bool = False, key: bytes = b"k", before: int = 0) -> bytes:
    return seal(FrameKind.CHUNK, encode_chunk(number, [(key, b"v")], before, last=last))


def flipped(frame: bytes) -> bytes:
    payload = bytearray(frame[HEADER_SIZE:])
    payload[-1] ^= 1
    return seal(FrameKind.CHUNK, bytes(payload))


COURSES: dict[str, tuple[list[bytes], ...]] = {
    "a chunk before the head": ([chunk()],),
    "two heads": ([HEAD], [HEAD]),
    "a head that is none": ([seal(FrameKind.HEAD, b"\2")],),
    "a head with pieces of a checkpoint": ([VOLATILE],),
    "a second offer": ([seal(FrameKind.OFFER, bytes(32))],),
    "a grant": ([seal(FrameKind.GRANT, bytes(8))],),
    "a damaged chunk": ([HEAD], [flipped(chunk())]),
    "a chunk too late": ([HEAD], [chunk(1)]),
    "a chunk twice": ([HEAD], [chunk()], [chunk()]),
    "a chunk of another snapshot": ([HEAD], [chunk()], [chunk(1, key=b"l", before=7)]),
    "a chunk that is none": ([HEAD], [seal(FrameKind.CHUNK, b"short")]),
    "more than was granted": ([HEAD], [chunk(key=b"k" * 400)] * 3),
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_what_breaks_the_protocol_ends_the_connection_and_leaves_nothing(course: tuple[list[bytes], ...]):
    nodes = behind()
    sender = Sender(nodes)
    assert sender.send(offer_of(nodes)) == [FrameKind.GRANT]
    answers: list[FrameKind | None] = []
    for frames in course:
        for frame in frames:
            answers += sender.send(frame)
        nodes[3].flush_staged()
        answers += sender.turn()
    assert answers[-1] is None
    assert nodes[3].node.backlog()["snapshots received"] == 0
    check_whole(nodes)


def test_a_snapshot_that_the_core_has_no_use_for_leaves_nothing():
    """An old one: all of it arrives, and is removed again."""
    nodes = behind()
    sender = Sender(nodes)
    head = encode_head(Head(Snapshot(1, 1, ConfState((11, 12, 13)), b""), durable=True))
    assert sender.send(offer_of(nodes)) == [FrameKind.GRANT]
    assert sender.send(head) == []
    assert sender.send(chunk(last=True)) == []
    nodes[3].flush_staged()
    assert sender.turn() == [FrameKind.DONE, None]
    assert nodes[3].node.backlog()["abandoned prefixes"] == 1
    check_whole(nodes)
    check_store(nodes[3])
