"""Commands of the directory: what each says, its bytes, and reading them under strict limits.

A command's body (behind the envelope that all commands share) is one msgpack array:

=====================================================  ===============================================
``[1, node, store uuid, address, cluster uuid]``       a node says who and where it is
``[2, replicas, [node, ...], [[start, end], ...]]``    create ranges; an end of nil is no upper bound
``[3, [[group, epoch], ...]]``                         delete the ranges of these groups, which are retired
=====================================================  ===============================================
"""

from collections.abc import Iterable, Sequence, Sized
from enum import IntEnum
from itertools import pairwise, starmap
from operator import le, lt
from typing import Final, NamedTuple, TypeAlias, TypeGuard, cast

import msgpack

from ..engine.errors import CommandTooLarge, InvalidArgument, InvalidRanges
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.commands import MAX_KEY, check_key
from .keyrange import Interval, KeyRange

MAX_BODY: Final = 256 * 1024
MAX_RANGES: Final = 1000
"""Ranges that one command creates or deletes."""
MAX_ARRAY: Final = 2 * MAX_RANGES
MAX_ADDRESS: Final = 300
"""Bytes of an address: the longest host name, a colon and a port fit."""
MAX_NODE: Final = 2**32 - 1
MAX_NUMBER: Final = 2**64 - 1
"""Of a group or an epoch."""
UUID_BYTES: Final = 16


class Op(IntEnum):
    """The first element of a body."""

    REGISTER = 1
    CREATE = 2
    DELETE = 3


class Register(NamedTuple):
    """A node says who and where it is, and proposes a cluster uuid in case there is none yet."""

    node: int
    store_uuid: bytes
    address: str
    cluster_uuid: bytes


class Create(NamedTuple):
    """Create ranges, each with this many replicas on some of these nodes."""

    replicas: int
    nodes: tuple[int, ...]
    ranges: tuple[KeyRange, ...]
    """Ascending; none is empty and no two overlap."""


class Doomed(NamedTuple):
    """A range to be deleted: its group, and the epoch at which that was retired."""

    group: int
    epoch: int


class Delete(NamedTuple):
    """Delete ranges. Whoever proposes it knows that their groups serve nothing any more."""

    ranges: tuple[Doomed, ...]


Command: TypeAlias = Register | Create | Delete


def register_body(node: int, store_uuid: bytes, address: str, cluster_uuid: bytes) -> bytes:
    """The body of a registration. Raises InvalidArgument for what every replica would refuse."""
    return _body((Op.REGISTER, node, store_uuid, address, cluster_uuid))


def create_body(ranges: Iterable[Interval], replicas: int, nodes: Sequence[int]) -> bytes:
    """The body of a creation: at most 1,000 ranges and 256 KiB (``planning.chunks`` cuts to that).

    The order of ``nodes`` is the order of the round robin. Raises what every replica would answer:
    InvalidRanges, KeyTooLarge, CommandTooLarge, InvalidArgument.
    """
    pairs = [tuple(one) for one in ranges]
    _check_count(pairs)
    return _body((Op.CREATE, replicas, tuple(nodes), pairs))


def delete_body(ranges: Iterable[Doomed]) -> bytes:
    """The body of a deletion: at most 1,000 ranges, each of them retired.

    Raises what every replica would answer: InvalidRanges, InvalidArgument.
    """
    return _body((Op.DELETE, [tuple(one) for one in ranges]))


def decode(body: bytes) -> Command:
    """Read a body.

    Raises:
        InvalidRanges: an interval is empty, two overlap, or there are none or too many.
        KeyTooLarge: a bound is longer than a key may be.
        CommandTooLarge: the body has more than 256 KiB.
        InvalidArgument: anything else that no command has; same bytes, same error.
    """
    if len(body) > MAX_BODY:
        raise CommandTooLarge(f"a directory command has at most {MAX_BODY} bytes, this one has {len(body)}")
    match _unpack(body):
        case (Op.REGISTER, int(node), bytes(store_uuid), str(address), bytes(cluster_uuid)):
            return _register(Register(node, store_uuid, address, cluster_uuid))
        case (Op.CREATE, int(replicas), tuple(nodes), tuple(ranges)):
            return Create(_replicas(replicas), _nodes(nodes), _ranges(ranges))
        case (Op.DELETE, tuple(ranges)):
            return Delete(_doomed(ranges))
    raise InvalidArgument("a directory command has the wrong shape")


def _body(fields: Sequence[object]) -> bytes:
    try:
        body: bytes = msgpack.packb(fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"no directory command holds this: {error}") from error
    decode(body)
    return body


def _unpack(body: bytes) -> object:
    """The fields. Room for an array is made before its elements are read, so its claim is bounded."""
    try:
        return msgpack.unpackb(body, use_list=False, max_array_len=MAX_ARRAY, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException):
        raise InvalidArgument("a directory command is not well-formed") from None


def _register(command: Register) -> Register:
    if not _is_node(command.node):
        raise InvalidArgument("a node id lies outside 1..2^32-1")
    if len(command.store_uuid) != UUID_BYTES or len(command.cluster_uuid) != UUID_BYTES:
        raise InvalidArgument(f"a uuid has {UUID_BYTES} bytes")
    if not 0 < len(command.address.encode()) <= MAX_ADDRESS:
        raise InvalidArgument(f"an address has 1 to {MAX_ADDRESS} bytes")
    return command


def _replicas(replicas: int) -> int:
    if replicas < 1 or isinstance(replicas, bool):
        raise InvalidArgument("a range has at least one replica")
    return replicas


def _nodes(nodes: tuple[object, ...]) -> tuple[int, ...]:
    if not all(map(_is_node, nodes)) or len(set(nodes)) != len(nodes):
        raise InvalidArgument("nodes are distinct ids within 1..2^32-1")
    return cast("tuple[int, ...]", nodes)


def _is_node(node: object) -> bool:
    return type(node) is int and 1 <= node <= MAX_NODE


def _ranges(pairs: tuple[object, ...]) -> tuple[KeyRange, ...]:
    _check_count(pairs)
    if _are_in_order(pairs):
        return tuple(starmap(KeyRange, pairs))
    ranges = sorted(map(_range, pairs), key=lambda one: one.start)
    for before, one in pairwise(ranges):
        if before.overlaps(one):
            raise InvalidRanges(f"the range {one} overlaps the range {before} of the same command")
    return tuple(ranges)


def _doomed(pairs: tuple[object, ...]) -> tuple[Doomed, ...]:
    _check_count(pairs)
    found = []
    for pair in pairs:
        match pair:
            case (int(group), int(epoch)) if SYSTEM_GROUP < group <= MAX_NUMBER and 0 <= epoch <= MAX_NUMBER:
                found.append(Doomed(group, epoch))
            case _:
                raise InvalidArgument("a range to be deleted is a group, not the directory's, and its epoch")
    return tuple(found)


def _are_in_order(pairs: tuple[object, ...]) -> TypeGuard[tuple[Interval, ...]]:
    """Whether they are ranges, ascend and do not overlap: what to expect, and found by whole columns.

    Looked at one by one, a thousand ranges take five times as long.
    """
    if set(map(type, pairs)) != {tuple} or set(map(len, cast("tuple[Sized, ...]", pairs))) != {2}:
        return False
    starts, ends = zip(*cast("tuple[Interval, ...]", pairs), strict=True)
    bounded = ends if ends[-1] is not None else ends[:-1]
    bounds = (*starts, *bounded)
    return (
        set(map(type, bounds)) == {bytes}
        and max(map(len, bounds)) <= MAX_KEY
        and all(map(lt, starts, bounded))
        and all(map(le, bounded, starts[1:]))
    )


def _check_count(pairs: Sequence[object]) -> None:
    if not 1 <= len(pairs) <= MAX_RANGES:
        raise InvalidRanges(f"a command creates or deletes 1 to {MAX_RANGES} ranges, not {len(pairs)}")


def _range(pair: object) -> KeyRange:
    match pair:
        case (bytes(start), (bytes() | None) as end):
            check_key(start)
            if end is not None:
                check_key(end)
            one = KeyRange(start, end)
            if one.empty:
                raise InvalidRanges(f"the interval {one} is empty")
            return one
    raise InvalidArgument("a range is a pair of keys, the second one possibly nil")
