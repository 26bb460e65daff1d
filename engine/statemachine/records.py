"""What lies where in the state file, and how its bytes prove themselves.

A key begins with a data prefix, u64 big-endian. Prefix 0 holds records, every other one a group's data:

====================================  ===========================================================
0 | HEAD                              format version u16, flush sequence u64, next free prefix u64
0 | DEAD | prefix u64                 empty; the data under this prefix belongs to nobody
0 | GROUP | group u64                 data prefix, number of keys, their sum u64 each; applied record
0 | CHECKPOINT | group u64 | n u32    piece n of a checkpoint (piece 0 begins with its record)
0 | PROMISED | group u64              term and index u64 each: the last entry that a damaged log held
prefix | user key                     value
====================================  ===========================================================

Every stored value begins with the CRC32C of its key and its content, so neither a flipped bit nor a
value that turns up under another key passes for good. Number and sum (:mod:`.tally`) show that a key has
vanished, or is an older one.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ..errors import Corruption
from .applied import MalformedRecord, Point, decode_point, encode_point

FORMAT_VERSION = 2
"""Version 1 had no tallies. It was never released, and is refused."""

#: Pieces of a checkpoint fill sixteen overflow pages of LMDB together with their header.
PIECE_BYTES = 65_000

CRC = struct.Struct("<I")
PREFIX = struct.Struct(">Q")
STORED_KEY_MAX: Final = 511 - PREFIX.size
"""Bytes of a stored key behind its prefix: LMDB's limit. The directory's keys are longer than users'."""
RECORD = struct.Struct(">QBQ")
PIECE = struct.Struct(">QBQI")
HEAD = struct.Struct("<HQQ")
CHECKPOINT_HEAD = struct.Struct("<IQ")
PROMISED = struct.Struct("<QQ")


class Kind(IntEnum):
    """The records under prefix 0."""

    HEAD = 1
    DEAD = 3
    GROUP = 4
    CHECKPOINT = 5
    PROMISED = 6


class Head(NamedTuple):
    """The one record of the whole file. ``sequence`` counts flushes."""

    version: int = FORMAT_VERSION
    sequence: int = 0
    next_prefix: int = 1


HEAD_KEY = RECORD.pack(0, Kind.HEAD, 0)


def seal(key: bytes, content: bytes) -> bytes:
    """The stored form of a value."""
    return CRC.pack(crc32c(key + content)) + content


def unseal(key: bytes, stored: bytes, group: int | None) -> bytes:
    """The content of a stored value. Raises Corruption, which names the group and the key."""
    content = stored[4:]
    if len(stored) < CRC.size or crc32c(key + content) != CRC.unpack_from(stored)[0]:
        raise damaged(key, group, "its checksum does not match")
    return content


def damaged(key: bytes, group: int | None, what: str) -> Corruption:
    """The error for damage at a stored key."""
    return Corruption(f"state of group {group}, stored key {key.hex()}: {what}", group)


def record_key(kind: Kind, number: int) -> bytes:
    """Where the record of a group (or of a dead prefix) lies."""
    return RECORD.pack(0, kind, number)


def kind_range(kind: Kind) -> tuple[bytes, bytes]:
    """The range of keys of all records of one kind."""
    return PREFIX.pack(0) + bytes((kind,)), PREFIX.pack(0) + bytes((kind + 1,))


def record_number(key: bytes) -> int:
    """The group (or dead prefix) that a record's key names."""
    number: int = RECORD.unpack_from(key)[2]
    return number


def encode_head(head: Head) -> bytes:
    """The content of the head record."""
    return HEAD.pack(*head)


def checkpoint_range(group: int) -> tuple[bytes, bytes]:
    """The range of keys of one group's checkpoint."""
    return PIECE.pack(0, Kind.CHECKPOINT, group, 0), PIECE.pack(0, Kind.CHECKPOINT, group, 0xFFFF_FFFF)


def checkpoint_pieces(group: int, point: Point, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and content of every piece of a checkpoint, ascending."""
    record = encode_point(point)
    head = CHECKPOINT_HEAD.pack(len(record), len(data)) + record
    yield PIECE.pack(0, Kind.CHECKPOINT, group, 0), head
    for number, offset in enumerate(range(0, len(data), PIECE_BYTES), start=1):
        key = PIECE.pack(0, Kind.CHECKPOINT, group, number)
        yield key, data[offset : offset + PIECE_BYTES]


def open_checkpoint_head(key: bytes, content: bytes, group: int) -> tuple[Point, int]:
    """Point and length of a checkpoint from its first piece. Raises Corruption."""
    if len(content) < CHECKPOINT_HEAD.size:
        raise damaged(key, group, "a checkpoint's head is cut short")
    length, data_bytes = CHECKPOINT_HEAD.unpack_from(content)
    if len(content) != CHECKPOINT_HEAD.size + length:
        raise damaged(key, group, "a checkpoint's head has the wrong length")
    return open_point(key, content[CHECKPOINT_HEAD.size :], group), data_bytes


def open_point(key: bytes, content: bytes, group: int) -> Point:
    """The applied record in intact bytes. Raises Corruption."""
    try:
        return decode_point(content)
    except MalformedRecord as error:
        raise damaged(key, group, f"no applied record ({error})") from error


def prefix_range(prefix: int) -> tuple[bytes, bytes]:
    """The range of keys that holds a data prefix."""
    return PREFIX.pack(prefix), PREFIX.pack(prefix + 1)
