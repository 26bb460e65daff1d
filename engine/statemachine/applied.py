"""Applied records: up to where a group's log has gone into its state, and their stored form."""

from typing import NamedTuple

import msgpack

from ...raft.state import ConfState

#: A record is short: a configuration has a handful of members, metadata two keys and a number.
MAX_RECORD_BYTES = 64 << 10
FIELDS = 9
#: Room for an array is made before its elements are read, also for arrays in arrays.
MAX_MEMBERS = 1024
_RECORD = bytes((0x90 + FIELDS,))
_NUMBER_BYTES = {b"\xcc": 2, b"\xcd": 3, b"\xce": 5, b"\xcf": 9}
"""What a number takes in msgpack, by its first byte; one below 128 takes that byte."""


class Applied(NamedTuple):
    """A point of a group's log and what held there: everything up to it has been applied to the state."""

    index: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride] # hides tuple.index
    term: int
    conf_state: ConfState
    metadata: bytes = b""


class Point(NamedTuple):
    """An applied record and its install marker.

    ``install_term`` is the term of the message that carried the snapshot which put the group exactly here; 0
    if it got here by applying its log. Being part of the record, the marker goes when the point moves on.
    """

    applied: Applied
    install_term: int = 0


class MalformedRecord(ValueError):
    """The bytes are intact but are no applied record; its owner reports the damage with group and place."""


def encode_point(point: Point) -> bytes:
    """The stored form."""
    applied, conf = point.applied, point.applied.conf_state
    fields = (
        applied.index,
        applied.term,
        point.install_term,
        conf.voters,
        conf.voters_outgoing,
        conf.learners,
        conf.learners_next,
        conf.auto_leave,
        applied.metadata,
    )
    return msgpack.packb(fields)


def decode_point(data: bytes) -> Point:
    """Read the stored form. Raises MalformedRecord."""
    if len(data) > MAX_RECORD_BYTES:
        raise MalformedRecord(f"{len(data)} bytes")
    try:
        fields = msgpack.unpackb(
            data, use_list=False, max_array_len=MAX_MEMBERS, max_ext_len=0, max_map_len=0
        )
    except ValueError as error:
        raise MalformedRecord(str(error)) from error
    if not _well_formed(fields):
        raise MalformedRecord("unexpected fields")
    index, term, install_term, voters, outgoing, learners, learners_next, auto_leave, metadata = fields
    conf = ConfState(voters, outgoing, learners, learners_next, auto_leave)
    return Point(Applied(index, term, conf, metadata), install_term)


def is_unmarked(data: bytes) -> bool:
    """Whether a stored form begins as one that has no install marker. A hundred thousand are looked at."""
    at = 1
    for _ in range(2):
        at += _NUMBER_BYTES.get(data[at : at + 1], 1)
    return data[:1] == _RECORD and data[at : at + 1] == b"\0"


def _well_formed(fields: object) -> bool:
    if not isinstance(fields, tuple) or len(fields) != FIELDS:
        return False
    numbers, members, rest = fields[:3], fields[3:7], fields[7:]
    return (
        all(type(number) is int and number >= 0 for number in numbers)
        and all(isinstance(ids, tuple) and all(type(id_) is int for id_ in ids) for ids in members)
        and isinstance(rest[0], bool)
        and isinstance(rest[1], bytes)
    )
