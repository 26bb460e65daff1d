"""Bodies of META rows: what a replica is and was, in msgpack of fixed shape under strict limits."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from ...raft.state import ConfState
from .port import Birth

BODY_MAX: Final = 1 << 20
_MEMBERS_MAX: Final = 4096
_KEY_MAX: Final = 480
_NAME_MAX: Final = 64
_PLACEMENTS_MAX: Final = 64
_SEVEN: Final = b"\x97"
"""How msgpack begins a list of seven."""
_FIVE: Final = b"\x95"


class MetaKind(IntEnum):
    """What a META row means for its group."""

    BIRTH = 1
    """The replica exists. Body: the birth."""
    SNAPSHOT_POINT = 2
    """The log was emptied and stands at a point. Body: index, term, members."""
    MEMBERS = 3
    """The members of the last snapshot point, rewritten without the point. Body: members."""
    TOMBSTONE = 4
    """The replica was removed and never comes back. No body."""


class BadMeta(ValueError):
    """A META body does not have the shape of its kind."""


@dataclass(frozen=True, slots=True)
class SnapshotPoint:
    """Where a log stood after it had been emptied."""

    index: int
    term: int
    conf_state: ConfState


class _Placement(NamedTuple):
    """Members and peers, and how many bytes of a birth's body say so."""

    conf_state: ConfState
    peers: tuple[tuple[int, int], ...]
    size: int


class _Placements:
    """The placements read so far, by their bytes: of a hundred thousand groups most are placed alike.

    They are looked at once then, and are the same objects for all of these groups.
    """

    def __init__(self) -> None:
        self._by_bytes: dict[bytes, _Placement] = {}
        self._sizes: tuple[int, ...] = ()

    def find(self, body: bytes) -> _Placement | None:
        """The placement in the body of a birth, if its very bytes were read before."""
        if body[:1] == _SEVEN:
            for size in self._sizes:
                found = self._by_bytes.get(body[1 : 1 + size])
                if found is not None:
                    return found
        return None

    def read(self, members: object, peers: object, body: bytes) -> _Placement:
        """The placement that was unpacked from a body. Raises `BadMeta`."""
        if not isinstance(peers, list) or not all(
            isinstance(peer, list) and len(peer) == 2 for peer in peers
        ):
            raise BadMeta("peers are not pairs of numbers")
        said = _pack([members, peers])[1:]
        pairs = tuple((_number(replica), _number(node)) for replica, node in peers)
        placement = _Placement(_conf_state(members), pairs, len(said))
        if body.startswith(said, 1):
            if len(self._by_bytes) >= _PLACEMENTS_MAX:
                self._by_bytes, self._sizes = {}, ()
            self._by_bytes[said] = placement
            if len(said) not in self._sizes:
                self._sizes = (*self._sizes, len(said))
        return placement


_PLACEMENTS: Final = _Placements()


def encode_birth(birth: Birth) -> bytes:
    """The body of a BIRTH row; group and replica stand in the row itself."""
    return _pack(
        [
            _members(birth.conf_state),
            [list(peer) for peer in birth.peers],
            birth.start,
            birth.end,
            birth.epoch,
            birth.directory_index,
            birth.machine,
        ]
    )


def decode_birth(group: int, replica_id: int, body: bytes) -> Birth:
    """The birth of a row. Raises `BadMeta`."""
    known = _PLACEMENTS.find(body)
    if known is not None:
        placement = known
        start, end, epoch, directory_index, machine = _unpack(_FIVE + body[1 + known.size :], 5)
    else:
        members, peers, start, end, epoch, directory_index, machine = _unpack(body, 7)
        placement = _PLACEMENTS.read(members, peers, body)
    if not isinstance(start, bytes) or not (end is None or isinstance(end, bytes)):
        raise BadMeta("bounds are not keys")
    if not isinstance(machine, str):
        raise BadMeta("the state machine's name is not text")
    return Birth(
        group=group,
        replica_id=replica_id,
        conf_state=placement.conf_state,
        peers=placement.peers,
        start=start,
        end=end,
        epoch=_number(epoch),
        directory_index=_number(directory_index),
        machine=machine,
    )


def encode_snapshot_point(point: SnapshotPoint) -> bytes:
    """The body of a SNAPSHOT_POINT row."""
    return _pack([point.index, point.term, _members(point.conf_state)])


def decode_snapshot_point(body: bytes) -> SnapshotPoint:
    """The point of a row. Raises `BadMeta`."""
    index, term, members = _unpack(body, 3)
    return SnapshotPoint(_number(index), _number(term), _conf_state(members))


def encode_members(conf_state: ConfState) -> bytes:
    """The body of a MEMBERS row."""
    return _pack(_members(conf_state))


def decode_members(body: bytes) -> ConfState:
    """The members of a row. Raises `BadMeta`."""
    return _conf_state(_unpack(body, 5))


def _pack(body: list[object]) -> bytes:
    packed: bytes = msgpack.packb(body)
    return packed


def _members(conf: ConfState) -> list[object]:
    lists = (conf.voters, conf.voters_outgoing, conf.learners, conf.learners_next)
    return [*(list(ids) for ids in lists), conf.auto_leave]


def _conf_state(members: object) -> ConfState:
    if not isinstance(members, list) or len(members) != 5 or not isinstance(members[4], bool):
        raise BadMeta("members are not four lists and a flag")
    for ids in members[:4]:
        if not isinstance(ids, list):
            raise BadMeta("replica ids are not a list")
    voters, outgoing, learners, learners_next = (tuple(map(_number, ids)) for ids in members[:4])
    return ConfState(voters, outgoing, learners, learners_next, members[4])


def _unpack(body: bytes, fields: int) -> list[Any]:
    """A list of `fields` items. Damage is caught by checksums before; this keeps a wrong writer out."""
    if len(body) > BODY_MAX:
        raise BadMeta(f"a META body of {len(body)} bytes is over the limit")
    try:
        decoded = msgpack.unpackb(
            body,
            strict_map_key=True,
            max_array_len=_MEMBERS_MAX,
            max_map_len=0,
            max_ext_len=0,
            max_bin_len=_KEY_MAX,
            max_str_len=_NAME_MAX,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise BadMeta("a META body is not msgpack within its limits") from error
    if not isinstance(decoded, list) or len(decoded) != fields:
        raise BadMeta(f"a META body is not a list of {fields}")
    return decoded


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise BadMeta("not an unsigned number of 64 bits")
    return value
