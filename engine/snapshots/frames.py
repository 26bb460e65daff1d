"""What travels on a snapshot's connection, beside the chunks: offer, grant, head."""

import struct
from typing import Final, NamedTuple

from ...native.errors import BadFrame
from ...native.frames import seal
from ...raft.state import Snapshot
from ..transport.kinds import FrameKind
from ..wire import decode_snapshot, encode_snapshot

MAX_METADATA: Final = 64 << 10
MAX_GRANT: Final = 1 << 30

_OFFER: Final = struct.Struct("<QQQQ")
_GRANT: Final = struct.Struct("<Q")


class Offer(NamedTuple):
    """Which replica would get a snapshot, from which leader, in which term."""

    group: int
    from_: int
    to: int
    term: int


class Head(NamedTuple):
    """What follows in chunks: the state at a point of the log. ``point.data`` is the machine's metadata.

    ``durable`` says that the pairs are the machine's keys and values, not the pieces of a checkpoint.
    """

    point: Snapshot
    durable: bool


DONE: Final = seal(FrameKind.DONE, b"")


def encode_offer(offer: Offer) -> bytes:
    """The sealed frame."""
    return seal(FrameKind.OFFER, _OFFER.pack(*offer))


def decode_offer(payload: bytes) -> Offer:
    """Raises BadFrame."""
    if len(payload) != _OFFER.size:
        raise BadFrame(f"an offer of {len(payload)} bytes")
    offer = Offer(*_OFFER.unpack(payload))
    if not all(offer):
        raise BadFrame("an offer names no group, replica or term")
    return offer


def encode_grant(size: int) -> bytes:
    """The sealed frame."""
    return seal(FrameKind.GRANT, _GRANT.pack(size))


def decode_grant(payload: bytes) -> int:
    """How many bytes more may come. Raises BadFrame."""
    if len(payload) != _GRANT.size:
        raise BadFrame(f"a grant of {len(payload)} bytes")
    (size,) = _GRANT.unpack(payload)
    if not 0 < size <= MAX_GRANT:
        raise BadFrame(f"a grant of {size} bytes")
    granted: int = size
    return granted


def encode_head(head: Head) -> bytes:
    """The sealed frame."""
    return seal(FrameKind.HEAD, bytes((head.durable,)) + encode_snapshot(head.point))


def decode_head(payload: bytes) -> Head:
    """Raises BadFrame."""
    if not payload or payload[0] > 1:
        raise BadFrame("the head of a snapshot has another shape")
    point = decode_snapshot(payload[1:])
    if point.index < 1 or point.term < 1 or not point.conf_state.voters:
        raise BadFrame("the head of a snapshot names no point of a log")
    if len(point.data) > MAX_METADATA:
        raise BadFrame(f"metadata of {len(point.data)} bytes")
    return Head(point, durable=payload[0] == 1)
