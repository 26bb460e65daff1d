"""The key-value machine's state as bytes: its metadata alone, and whole snapshots.

Metadata: epoch u64, flags u8 (bit 0: there is an upper bound, bit 1: the range is retired), length of start
u16, length of end u16, start, end. Snapshot: magic, format version u16, metadata with its length u32, then
key length u16, value length u32, key and value of every pair in ascending order, and CRC32C of everything
before it. All little-endian.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ..errors import Corruption, SnapshotTooLarge, VersionMismatch
from .commands import MAX_KEY, MAX_VALUE
from .paging import Pair

MAGIC: Final = b"MRKV"
VERSION: Final = 1
MAX_SNAPSHOT: Final = 64 << 20

_BOUNDED: Final = 1
_RETIRED: Final = 2
_METADATA = struct.Struct("<QBHH")
_HEADER = struct.Struct("<4sHI")
_PAIR = struct.Struct("<HI")
_CRC = struct.Struct("<I")


class Bounds(NamedTuple):
    """The keys that a group serves, ``[start, end)``, and their epoch. None: no upper bound."""

    start: bytes
    end: bytes | None
    epoch: int
    retired: bool = False
    """Whether it serves nothing any more, for good."""


def encode_metadata(bounds: Bounds) -> bytes:
    """Bounds and epoch as bytes."""
    end = b"" if bounds.end is None else bounds.end
    flags = (bounds.end is not None) * _BOUNDED | bounds.retired * _RETIRED
    return _METADATA.pack(bounds.epoch, flags, len(bounds.start), len(end)) + bounds.start + end


def decode_metadata(data: bytes) -> Bounds:
    """Read bounds and epoch. Raises Corruption."""
    if len(data) < _METADATA.size:
        raise Corruption("bounds of a range are cut short")
    epoch, flags, start_bytes, end_bytes = _METADATA.unpack_from(data)
    middle = _METADATA.size + start_bytes
    if len(data) != middle + end_bytes or max(start_bytes, end_bytes) > MAX_KEY:
        raise Corruption("bounds of a range have the wrong length")
    bounded = bool(flags & _BOUNDED)
    if flags > _BOUNDED | _RETIRED or (end_bytes and not bounded):
        raise Corruption("bounds of a range have unknown flags")
    return Bounds(
        data[_METADATA.size : middle], data[middle:] if bounded else None, epoch, bool(flags & _RETIRED)
    )


def encode_snapshot(bounds: Bounds, pairs: Iterable[Pair]) -> bytes:
    """A whole snapshot. ``pairs`` ascend. Raises SnapshotTooLarge above 64 MiB."""
    metadata = encode_metadata(bounds)
    parts = [_HEADER.pack(MAGIC, VERSION, len(metadata)), metadata]
    size = sum(map(len, parts)) + _CRC.size
    for key, value in pairs:
        size += _PAIR.size + len(key) + len(value)
        if size > MAX_SNAPSHOT:
            raise SnapshotTooLarge(f"a range of more than {MAX_SNAPSHOT} bytes does not fit one snapshot")
        parts += (_PAIR.pack(len(key), len(value)), key, value)
    data = b"".join(parts)
    return data + _CRC.pack(crc32c(data))


def decode_snapshot(data: bytes) -> tuple[Bounds, list[Pair]]:
    """Read a whole snapshot. Nothing is believed before the checksum has been compared.

    Raises Corruption, VersionMismatch (made by a newer version), SnapshotTooLarge.
    """
    if len(data) > MAX_SNAPSHOT:
        raise SnapshotTooLarge(f"a snapshot has at most {MAX_SNAPSHOT} bytes, this one has {len(data)}")
    if len(data) < _HEADER.size + _CRC.size:
        raise Corruption("a snapshot is cut short")
    stop = len(data) - _CRC.size
    if crc32c(memoryview(data)[:stop]) != _CRC.unpack_from(data, stop)[0]:
        raise Corruption("a snapshot's checksum does not match")
    magic, version, metadata_bytes = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Corruption("not a snapshot of the key-value machine")
    if version != VERSION:
        raise VersionMismatch(f"a snapshot has format {version}, this version of multiraft reads {VERSION}")
    first = _HEADER.size + metadata_bytes
    if first > stop:
        raise Corruption("a snapshot's bounds are cut short")
    bounds = decode_metadata(data[_HEADER.size : first])
    return bounds, list(_checked(_pairs(data, first, stop), bounds))


def _pairs(data: bytes, offset: int, stop: int) -> Iterator[Pair]:
    while offset < stop:
        if offset + _PAIR.size > stop:
            raise Corruption("a snapshot's pair is cut short")
        key_bytes, value_bytes = _PAIR.unpack_from(data, offset)
        middle = offset + _PAIR.size + key_bytes
        offset = middle + value_bytes
        if offset > stop or key_bytes > MAX_KEY or value_bytes > MAX_VALUE:
            raise Corruption("a snapshot's pair exceeds its limits")
        yield data[middle - key_bytes : middle], data[middle:offset]


def _checked(pairs: Iterable[Pair], bounds: Bounds) -> Iterator[Pair]:
    """The pairs, which ascend and lie within the bounds."""
    before: bytes | None = None
    for key, value in pairs:
        if before is not None and key <= before:
            raise Corruption("a snapshot's keys do not ascend")
        if key < bounds.start or (bounds.end is not None and key >= bounds.end):
            raise Corruption("a snapshot holds a key outside its bounds")
        before = key
        yield key, value
