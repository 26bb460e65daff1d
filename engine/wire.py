"""Raft messages as rows of a MESSAGES frame, and back.

A row is a fixed tuple of integers (its layout is :mod:`multiraft.native.messages`'s) followed by the
message's encoded run of entries and its *extra* bytes: the ReadIndex context.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgpack

from ..native.errors import BadFrame
from ..native.messages import REJECT, decode_messages
from ..native.restdigest import check_list
from ..raft.entry import Entry, EntryId, EntryType
from ..raft.messages import Message, MsgType
from ..raft.state import ConfState, Snapshot

COMMIT_NOTICE: Final = 200
"""Row type of a commit notice: term and commit index, from the leader, never answered."""
UNKNOWN_GROUP: Final = 201
"""Row type of the answer to a message for a group that this node does not hold."""
STATE_REQUEST: Final = 202
"""Row type of a follower's request for its leader's state: its own is lost.

If its log is lost, too, it names the last entry that was in it.
"""
BEAT: Final = 203
"""Row type of a node's beat: how many resting groups it leads that the receiver holds, and a digest."""
REST: Final = 204
"""Row type of a leader's word that its group rests, in its term, with every log ending at its commit."""
WAKE: Final = 205
"""Row type of a node's word that a group does not rest there."""
RESTING: Final = 206
"""Row type of a list: what rests at its sender because the receiver leads it, between two groups."""
ASK_LED: Final = 207
"""Row type of the question of a node that has started again: what rests because the receiver leads it, from a
group on?"""
LED: Final = 208
"""Row type of the answer, a list as `RESTING`: what rests at its sender, its leader, between two groups."""
OF_REST: Final = frozenset({BEAT, REST, WAKE, RESTING, ASK_LED, LED})
LISTED: Final = 1024
"""Groups in one row of a list."""
WHOLE_LOG: Final = EntryId(0, 0)
"""In a request of a follower whose log is whole."""

SNAPSHOT_CONF_LIMIT: Final = 64 * 1024

_PEER_TYPES: Final[dict[int, MsgType]] = {
    int(kind): kind
    for kind in (
        MsgType.APP,
        MsgType.APP_RESP,
        MsgType.VOTE,
        MsgType.VOTE_RESP,
        MsgType.PRE_VOTE,
        MsgType.PRE_VOTE_RESP,
        MsgType.HEARTBEAT,
        MsgType.HEARTBEAT_RESP,
        MsgType.TRANSFER_LEADER,
        MsgType.TIMEOUT_NOW,
        MsgType.READ_INDEX,
        MsgType.READ_INDEX_RESP,
        MsgType.PROP,
    )
}
"""The only types that a peer may send: a storage response from the wire would forge durability, and a
MsgSnap is made where the data of a snapshot has arrived."""
_NOT_RAFT: Final = OF_REST | {COMMIT_NOTICE, UNKNOWN_GROUP, STATE_REQUEST}
_TERMLESS: Final = frozenset({MsgType.PROP, MsgType.READ_INDEX})
_ENTRY_TYPES: Final = {int(kind): kind for kind in EntryType}
_LENGTH: Final = struct.Struct("<I")
_SNAPSHOT_POINT: Final = struct.Struct("<QQ")


class Received(NamedTuple):
    """One row of a frame: ``kind`` is a :class:`MsgType` or one of the row types above."""

    group: int
    kind: int
    message: Message
    run: bytes


def make_entry(term: int, index: int, kind: int, data: bytes) -> Entry:
    """An entry from its decoded columns.

    Raises:
        BadFrame: the entry's type is not known.
    """
    if kind == 0:
        return Entry(term, index, EntryType.NORMAL, data)
    try:
        return Entry(term, index, _ENTRY_TYPES[kind], data)
    except KeyError:
        raise BadFrame(f"entry {index} has the unknown type {kind}") from None


def row_of(group: int, message: Message) -> list[int]:
    """The row's integers; the two lengths at its end are filled in when the frame is cut."""
    return [
        group,
        message.to,
        message.from_,
        message.type | (REJECT if message.reject else 0),
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.reject_hint,
        0,
        0,
    ]


def read_frame(payload: bytes) -> tuple[int, Iterator[Received]]:
    """The sender's directory index and the rows of a frame.

    Raises:
        BadFrame: the frame breaks a rule of the format; nothing of it may be used.
    """
    directory_index, rows = decode_messages(payload, make_entry)
    return directory_index, iter([_received(row) for row in rows])


def _received(row: tuple) -> Received:  # type: ignore[type-arg] # a heterogeneous row, unpacked right below
    (group, to, from_, kind, reject, term, log_term, index, commit, reject_hint, entries, run, extra) = row
    known = _PEER_TYPES.get(kind)
    if known is None:
        if kind not in _NOT_RAFT:
            raise BadFrame(f"a peer may not send messages of type {kind}")
        known = MsgType.HEARTBEAT
        if kind in {RESTING, LED}:
            check_list(extra, LISTED)
    if not term and kind in _PEER_TYPES and known not in _TERMLESS:
        raise BadFrame(f"a message of type {kind} names no term")
    if known is MsgType.APP and entries and (entries[0].index != index + 1 or entries[-1].term > term):
        raise BadFrame(f"entries from {entries[0].index} in an append behind {index} of term {term}")
    message = Message(known, to, from_, term, log_term, index, commit, entries, reject, reject_hint, extra)
    return Received(group, kind, message, run)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as bytes: point, length and msgpack of the ConfState, data."""
    conf = encode_conf_state(snapshot.conf_state)
    point = _SNAPSHOT_POINT.pack(snapshot.index, snapshot.term)
    return b"".join((point, _LENGTH.pack(len(conf)), conf, snapshot.data))


def decode_snapshot(data: bytes) -> Snapshot:
    """The snapshot that :func:`encode_snapshot` wrote.

    Raises:
        BadFrame: the bytes are not one.
    """
    head = _SNAPSHOT_POINT.size + _LENGTH.size
    if len(data) < head:
        raise BadFrame(f"a snapshot of {len(data)} bytes is too short")
    index, term = _SNAPSHOT_POINT.unpack_from(data)
    (length,) = _LENGTH.unpack_from(data, _SNAPSHOT_POINT.size)
    if length > SNAPSHOT_CONF_LIMIT or head + length > len(data):
        raise BadFrame(f"a snapshot's ConfState claims {length} bytes")
    conf_state = decode_conf_state(data[head : head + length])
    return Snapshot(index=index, term=term, conf_state=conf_state, data=data[head + length :])


def encode_conf_state(conf: ConfState) -> bytes:
    """A ConfState as msgpack of fixed shape."""
    packed: bytes = msgpack.packb(
        [
            list(conf.voters),
            list(conf.voters_outgoing),
            list(conf.learners),
            list(conf.learners_next),
            conf.auto_leave,
        ]
    )
    return packed


def decode_conf_state(data: bytes) -> ConfState:
    """The ConfState that :func:`encode_conf_state` wrote.

    Raises:
        BadFrame: the bytes have another shape.
    """
    try:
        *lists, auto_leave = msgpack.unpackb(data, max_array_len=1024, max_map_len=0, max_ext_len=0)
    except (ValueError, TypeError) as error:
        raise BadFrame(f"a ConfState does not decode: {error}") from None
    if len(lists) != 4 or type(auto_leave) is not bool:
        raise BadFrame("a ConfState has another shape")
    for ids in lists:
        if type(ids) is not list or any(type(one) is not int or one < 1 for one in ids):
            raise BadFrame("a ConfState lists something that is no replica id")
    voters, outgoing, learners, learners_next = (tuple(ids) for ids in lists)
    return ConfState(voters, outgoing, learners, learners_next, auto_leave)
