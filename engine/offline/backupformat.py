"""The bytes of a backup: ranges with their keys and values, in blocks that prove themselves.

    file     magic, 8 bytes ; a head ; for each range a range block and blocks of pairs ; the end
    block    kind u8 | 0 u8 | 0 u16 | length u32 | number u64 | crc32c u32 of these 16 and the body ; body
    head     format version u16 | length of name u16 | made at (Unix time) u64 | name of the cluster
    range    has end u8 | 0 u8 | length of start u16 | length of end u16 | 0 u16 ; start ; end
    pairs    key length u16 | value length u32 ; key ; value ; and so on
    end      ranges u64 | keys u64 | bytes of keys and values u64

Little-endian. Blocks count from 0, so that none can be lost, doubled or moved; nothing follows the end.
Ranges ascend and do not overlap, keys ascend within their range. Frame and head stay alike in later versions.
"""

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ..errors import Corruption
from ..statemachine.commands import MAX_KEY, MAX_VALUE
from ..statemachine.paging import Pair

MAGIC: Final = b"mr-bkup\n"
FORMAT_VERSION: Final = 1
PAIRS_BYTES: Final = 256 * 1024
"""A block of pairs is full when it reaches this size; the last pair may go beyond."""
NAME_MAX: Final = 4096

FRAME: Final = struct.Struct("<BBHIQ")
CHECKSUM: Final = struct.Struct("<I")
FRAME_BYTES: Final = FRAME.size + CHECKSUM.size
_HEAD: Final = struct.Struct("<HHQ")
_RANGE: Final = struct.Struct("<BBHHH")
_PAIR: Final = struct.Struct("<HI")
_END: Final = struct.Struct("<QQQ")
BODY_MAX: Final = PAIRS_BYTES + _PAIR.size + MAX_KEY + MAX_VALUE


class BlockKind(IntEnum):
    """What a block holds."""

    HEAD = 1
    RANGE = 2
    PAIRS = 3
    END = 4


class Head(NamedTuple):
    """Where a backup comes from."""

    cluster: str
    made_at: int
    """Unix time in seconds."""
    version: int = FORMAT_VERSION


class Totals(NamedTuple):
    """What a backup holds."""

    groups: int = 0
    """Ranges."""
    keys: int = 0
    bytes: int = 0
    """Of keys and values."""


def encode_block(kind: BlockKind, number: int, body: bytes) -> bytes:
    """A block, ready to be written."""
    assert len(body) <= BODY_MAX, len(body)
    frame = FRAME.pack(kind, 0, 0, len(body), number)
    return frame + CHECKSUM.pack(crc32c(body, crc32c(frame))) + body


def open_frame(frame: bytes, number: int) -> tuple[int, int, int]:
    """Kind, length and checksum of block `number` from its first bytes. Raises `Corruption`."""
    kind, zero, zeros, length, stored = FRAME.unpack_from(frame)
    if zero or zeros or stored != number or length > BODY_MAX:
        raise Corruption(f"block {number} of the backup is damaged: its frame is wrong")
    return kind, length, CHECKSUM.unpack_from(frame, FRAME.size)[0]


def encode_head(head: Head) -> bytes:
    """The body of the head."""
    name = head.cluster.encode()
    return _HEAD.pack(head.version, len(name), head.made_at) + name


def decode_head(body: bytes) -> Head:
    """The head, of this version or of a later one. Raises ValueError."""
    _need(body, 0, _HEAD.size)
    version, length, made_at = _HEAD.unpack_from(body)
    if version == FORMAT_VERSION and (length > NAME_MAX or len(body) != _HEAD.size + length):
        raise ValueError("the head has the wrong length")
    return Head(body[_HEAD.size : _HEAD.size + length].decode(), made_at, version)


def encode_range(start: bytes, end: bytes | None) -> bytes:
    """The body of a range block."""
    stop = end or b""
    return _RANGE.pack(end is not None, 0, len(start), len(stop), 0) + start + stop


def decode_range(body: bytes) -> tuple[bytes, bytes | None]:
    """Start and end (None: no upper bound) of a range. Raises ValueError."""
    _need(body, 0, _RANGE.size)
    has_end, _, start_bytes, end_bytes, _ = _RANGE.unpack_from(body)
    middle = _RANGE.size + start_bytes
    if has_end > 1 or max(start_bytes, end_bytes) > MAX_KEY or len(body) != middle + end_bytes:
        raise ValueError("a range has the wrong length")
    start, end = body[_RANGE.size : middle], body[middle:] if has_end else None
    if (end is None and end_bytes) or (end is not None and end <= start):
        raise ValueError("a range is empty")
    return start, end


def encode_pairs(pairs: Iterable[Pair]) -> bytes:
    """The body of a block of pairs."""
    return b"".join([part for key, value in pairs for part in (_PAIR.pack(len(key), len(value)), key, value)])


def decode_pairs(body: bytes) -> Iterator[Pair]:
    """The pairs of a block, one after the other. Raises ValueError."""
    at = 0
    while at < len(body):
        _need(body, at, _PAIR.size)
        key_bytes, value_bytes = _PAIR.unpack_from(body, at)
        middle = at + _PAIR.size + key_bytes
        if key_bytes > MAX_KEY or value_bytes > MAX_VALUE:
            raise ValueError("a pair exceeds its limits")
        _need(body, middle, value_bytes)
        yield body[middle - key_bytes : middle], body[middle : middle + value_bytes]
        at = middle + value_bytes


def pair_bytes(key: bytes, value: bytes) -> int:
    """What a pair takes in a block."""
    return _PAIR.size + len(key) + len(value)


def encode_end(totals: Totals) -> bytes:
    """The body of the end."""
    return _END.pack(*totals)


def decode_end(body: bytes) -> Totals:
    """The totals. Raises ValueError."""
    if len(body) != _END.size:
        raise ValueError("the end has the wrong length")
    return Totals(*_END.unpack(body))


def _need(body: bytes, at: int, size: int) -> None:
    if at + size > len(body):
        raise ValueError("a block is cut short")
