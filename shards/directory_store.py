"""The directory as pairs of a key and a value, in its state store and in snapshots.

==========================  ===================================================================
``c``                       ``[version, next group, cluster uuid or nil]``; there from the first command on
``n`` + node id (u32 BE)    ``[store uuid, address]``
``r`` + start of the range  ``[end or nil, group, epoch, created, [[replica id, node id], ...]]``
==========================  ===================================================================

Values are msgpack. A snapshot is a magic number, the CRC32C of what follows (u32, little-endian), and one
msgpack array of format version, key, value, key, value, ... in ascending order of the keys.
"""

import struct
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any, Final, cast

import msgpack

from ..engine.errors import Corruption, InvalidRanges, SnapshotTooLarge, VersionMismatch
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

MAGIC: Final = b"MRDR"
FORMAT: Final = 1
MAX_SNAPSHOT: Final = 60 << 20
"""A snapshot is one message; with the message's own fields it stays below a frame's limit."""
_HEAD: Final = struct.Struct("<4sI")
MAX_REPLICAS: Final = 1024
"""Of one range; a bound for claims only."""


def meta_pair(directory: Directory) -> Pair:
    """Version, counter and cluster uuid."""
    return META_KEY, _pack((directory.version, directory.next_group, directory.cluster_uuid))


def node_pair(node: int, record: NodeRecord) -> Pair:
    """What is known of a node."""
    return _NODE.pack(_NODE_PREFIX, node), _pack(record)


def range_pair(one: RangeDescriptor) -> Pair:
    """One range."""
    return _RANGE_PREFIX + one.start, _pack((one.end, one.group, one.epoch, one.created, one.replicas))


def read_directory(pairs: Iterable[Pair]) -> Directory:
    """The directory that these pairs, in ascending order, make up; a new one if there are none.

    Raises:
        Corruption: they are not what a directory machine writes.
    """
    directory = Directory()
    ranges: list[RangeDescriptor] = []
    for key, value in pairs:
        try:
            _read_pair(directory, ranges, key, _unpack_value(value))
        except (ValueError, msgpack.UnpackException, struct.error) as error:
            raise _damaged(f"the pair of {key!r}: {error}") from error
    try:
        directory.add(ranges)
        _check_counters(directory, ranges)
    except (InvalidRanges, OverflowError) as error:
        raise _damaged(str(error)) from error
    return directory


def encode_snapshot(pairs: Iterable[Pair]) -> bytes:
    """The pairs of a directory, in ascending order, as a snapshot. Raises SnapshotTooLarge."""
    body = _pack([FORMAT, *chain.from_iterable(pairs)])
    if len(body) + _HEAD.size > MAX_SNAPSHOT:
        raise SnapshotTooLarge(f"a directory of {len(body)} bytes does not fit one snapshot")
    return _HEAD.pack(MAGIC, crc32c(body)) + body


def decode_snapshot(data: bytes) -> list[Pair]:
    """The pairs of a snapshot; nothing is believed before the checksum has been compared.

    Raises:
        Corruption: it is damaged, or no snapshot of a directory.
        VersionMismatch: a newer version made it.
    """
    if len(data) < _HEAD.size or len(data) > MAX_SNAPSHOT:
        raise _damaged(f"a snapshot of {len(data)} bytes")
    magic, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic != MAGIC or crc32c(body) != checksum:
        raise _damaged("a snapshot's checksum does not match")
    try:
        fields = _unpack_flat(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise _damaged(f"a snapshot does not decode: {error}") from error
    if not fields:
        raise _damaged("a snapshot has another shape")
    if fields[0] != FORMAT:
        raise VersionMismatch(f"a directory snapshot has format {fields[0]!r}, this version reads {FORMAT}")
    keys, values = fields[1::2], fields[2::2]
    if len(keys) != len(values) or not all(isinstance(one, bytes) for one in fields[1:]):
        raise _damaged("a snapshot does not consist of pairs")
    if any(key >= after for key, after in pairwise(keys)):
        raise _damaged("a snapshot's keys do not ascend")
    return list(zip(keys, values, strict=True))


def digest(pairs: Iterable[Pair]) -> int:
    """A 64-bit sum over the pairs that does not depend on their order."""
    total = 0
    for key, value in pairs:
        # Both orders: the sum must see where a key ends and its value begins.
        total += crc32c(value, crc32c(key)) << 32 | crc32c(key, crc32c(value))
    return total & 0xFFFF_FFFF_FFFF_FFFF


def _pack(fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack_flat(body: bytes) -> list[Any]:
    """The elements of an array without arrays in it: room is made for what is there, not for claims."""
    reader = msgpack.Unpacker(
        max_buffer_size=max(len(body), 1),
        max_bin_len=len(body),
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    reader.feed(body)
    fields = [reader.unpack() for _ in range(reader.read_array_header())]
    if reader.tell() != len(body):
        raise ValueError("bytes follow it")
    return fields


def _unpack_value(value: bytes) -> object:
    return msgpack.unpackb(
        value, use_list=False, max_bin_len=MAX_KEY, max_array_len=MAX_REPLICAS, max_map_len=0, max_ext_len=0
    )


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


def _check_counters(directory: Directory, ranges: list[RangeDescriptor]) -> None:
    groups = [one.group for one in ranges]
    if groups and not FIRST_USER_GROUP <= min(groups) <= max(groups) < directory.next_group:
        raise _damaged(f"groups {min(groups)}..{max(groups)}, but the counter is {directory.next_group}")
    if (ranges or directory.nodes) and directory.version == 0:
        raise _damaged("there are ranges or nodes, but no command has been applied")


def _damaged(what: str) -> Corruption:
    return Corruption(f"the directory's state is damaged: {what}", SYSTEM_GROUP)
