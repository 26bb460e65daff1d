"""The directory as pairs of a key and a value, in its state store and in snapshots of it.

==========================  ===================================================================
``c``                       ``[version, next group, cluster uuid or nil]``; there from the first command on
``n`` + node id (u32 BE)    ``[store uuid, address]``
``r`` + start of the range  ``[end or nil, group, epoch, created, [[replica id, node id], ...]]``
==========================  ===================================================================

Values are msgpack.
"""

import struct
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, cast

import msgpack

from ..engine.errors import Corruption, InvalidRanges
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.commands import MAX_KEY
from ..engine.statemachine.paging import Pair
from ..native.checksum import crc32c
from .descriptor import RangeDescriptor, Replicas
from .directory import FIRST_USER_GROUP, Directory, NodeRecord

META_KEY: Final = b"c"
_NODE_PREFIX: Final = b"n"
_RANGE_PREFIX: Final = b"r"
_NODE: Final = struct.Struct(">cI")

_PIECE: Final = 4096
"""Pairs that are taken over at once: a hundred thousand descriptors would take 50 MB until they are columns,
and the garbage collector through all of them again and again."""

MAX_REPLICAS: Final = 1024
"""Of one range; a bound for claims only."""


def meta_pair(directory: Directory) -> Pair:
    """Version, counter and cluster uuid."""
    return META_KEY, _pack((directory.version, directory.next_group, directory.cluster_uuid))


def node_pair(node: int, record: NodeRecord) -> Pair:
    """What is known of a node."""
    return _NODE.pack(_NODE_PREFIX, node), _pack(record)


def range_key(start: bytes) -> bytes:
    """Where the range stands that begins here."""
    return _RANGE_PREFIX + start


def range_pair(one: RangeDescriptor) -> Pair:
    """One range."""
    return range_key(one.start), _pack((one.end, one.group, one.epoch, one.created, one.replicas))


def read_directory(pairs: Iterable[Pair]) -> Directory:
    """The directory that these pairs, in ascending order, make up; a new one if there are none.

    Raises:
        Corruption: they are not what a directory machine writes.
    """
    directory = Directory()
    rest = iter(pairs)
    while piece := list(islice(rest, _PIECE)):
        _read_piece(directory, piece)
    _check_counters(directory)
    return directory


def digest(pairs: Iterable[Pair]) -> int:
    """A 64-bit sum over the pairs that does not depend on their order."""
    total = 0
    for key, value in pairs:
        # Both orders: the sum must see where a key ends and its value begins.
        total += crc32c(value, crc32c(key)) << 32 | crc32c(key, crc32c(value))
    return total & 0xFFFF_FFFF_FFFF_FFFF


_pack: Final[Callable[[object], bytes]] = msgpack.Packer().pack
"""With a packer of its own; one for each value would cost as much as the packing."""


def _unpack_value(value: bytes) -> object:
    return msgpack.unpackb(
        value, use_list=False, max_bin_len=MAX_KEY, max_array_len=MAX_REPLICAS, max_map_len=0, max_ext_len=0
    )


def _read_piece(directory: Directory, pairs: list[Pair]) -> None:
    """Take pairs over. Raises Corruption."""
    ranges: list[RangeDescriptor] = []
    for key, value in pairs:
        try:
            _read_pair(directory, ranges, key, _unpack_value(value))
        except (ValueError, msgpack.UnpackException, struct.error) as error:
            raise _damaged(f"the pair of {key!r}: {error}") from error
    try:
        directory.add(ranges)
    except (InvalidRanges, OverflowError) as error:
        raise _damaged(str(error)) from error


def _read_pair(directory: Directory, ranges: list[RangeDescriptor], key: bytes, fields: object) -> None:
    """Take one pair over. Raises ValueError or struct.error if it is none."""
    match key[:1], fields:
        case b"r", (bytes() | None as end, int(group), int(epoch), int(created), tuple(replicas)):
            ranges.append(RangeDescriptor(group, key[1:], end, epoch, _replicas(replicas), created))
        case b"n", (bytes(store_uuid), str(address)):
            directory.nodes[_NODE.unpack(key)[1]] = NodeRecord(store_uuid, address)
        case b"c", (int(version), int(next_group), bytes() | None as cluster_uuid) if key == META_KEY:
            directory.version, directory.next_group = version, next_group
            directory.cluster_uuid = cluster_uuid
        case _:
            raise ValueError("fields of another shape")


def _replicas(pairs: tuple[object, ...]) -> Replicas:
    for pair in pairs:
        match pair:
            case (int(), int()):
                continue
        raise ValueError("replicas of another shape")
    return cast("Replicas", pairs)


def _check_counters(directory: Directory) -> None:
    low, high = directory.group_bounds
    if directory.ranges and not FIRST_USER_GROUP <= low <= high < directory.next_group:
        raise _damaged(f"groups {low}..{high}, but the counter is {directory.next_group}")
    if (directory.ranges or directory.nodes) and directory.version == 0:
        raise _damaged("there are ranges or nodes, but no command has been applied")


def _damaged(what: str) -> Corruption:
    return Corruption(f"the directory's state is damaged: {what}", SYSTEM_GROUP)
