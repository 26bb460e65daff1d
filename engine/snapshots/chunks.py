"""The data of a snapshot, cut into chunks that prove themselves and their order.

A chunk: CRC32C u32, number u32, pairs u32, flags u8 (1: the last one); then the lengths of all keys (u16
each), the lengths of all values (u32 each), all keys, all values. Little-endian. The checksum covers what
follows it and begins with that of the chunk before: none can be missing, come twice or come from another
snapshot.
"""

import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ..errors import Corruption
from ..statemachine.commands import MAX_VALUE
from ..statemachine.paging import Pair
from ..statemachine.records import STORED_KEY_MAX
from ..transport.kinds import CHUNK_LIMIT

MAX_PAIRS: Final = 1 << 19

_HEADER: Final = struct.Struct("<IIIB")
_CRC: Final = struct.Struct("<I")
_LENGTHS: Final = 2 + 4


class Chunk(NamedTuple):
    """Ascending pairs. ``crc`` is where the next chunk's checksum begins."""

    pairs: list[Pair]
    last: bool
    crc: int


def encode_chunk(number: int, pairs: list[Pair], previous_crc: int, *, last: bool) -> bytes:
    """A chunk behind one with this checksum (0 for the first)."""
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    lengths = struct.pack(f"<{len(keys)}H{len(keys)}I", *map(len, keys), *map(len, values))
    head = _HEADER.pack(0, number, len(pairs), last)[_CRC.size :]
    body = b"".join((head, lengths, *keys, *values))
    return _CRC.pack(crc32c(body, previous_crc)) + body


def crc_of(chunk: bytes) -> int:
    """The checksum of an encoded chunk: the next one begins with it."""
    crc: int = _CRC.unpack_from(chunk)[0]
    return crc


def decode_chunk(data: bytes, number: int, previous_crc: int, after: bytes | None) -> Chunk:
    """The chunk that must come now; its keys follow ``after``.

    Raises:
        Corruption: it is damaged, or another one.
    """
    if not _HEADER.size <= len(data) <= CHUNK_LIMIT:
        raise Corruption(f"a chunk of {len(data)} bytes")
    crc, found, count, flags = _HEADER.unpack_from(data)
    if crc32c(memoryview(data)[_CRC.size :], previous_crc) != crc:
        raise Corruption(f"chunk {number} of a snapshot is damaged, or another one came in its place")
    middle = _HEADER.size + count * _LENGTHS
    if found != number or flags > 1 or count > MAX_PAIRS or middle > len(data):
        raise Corruption(f"chunk {number} of a snapshot has another shape")
    if not count and not flags:
        raise Corruption(f"chunk {number} of a snapshot is empty, and not the last")
    lengths = struct.unpack_from(f"<{count}H{count}I", data, _HEADER.size)
    if middle + sum(lengths) != len(data):
        raise Corruption(f"chunk {number} of a snapshot is too short for its pairs, or too long")
    if max(lengths[:count], default=0) > STORED_KEY_MAX or max(lengths[count:], default=0) > MAX_VALUE:
        raise Corruption(f"chunk {number} of a snapshot has a key or a value over its limit")
    pieces = _cut(data, middle, lengths)
    pairs = list(zip(pieces[:count], pieces[count:], strict=True))
    _check_ascending(pieces[:count], after)
    return Chunk(pairs, flags == 1, crc)


def _cut(data: bytes, start: int, lengths: tuple[int, ...]) -> list[bytes]:
    offsets: Iterator[tuple[int, int]] = pairwise(accumulate(lengths, initial=start))
    return [data[low:high] for low, high in offsets]


def _check_ascending(keys: list[bytes], after: bytes | None) -> None:
    if after is not None and keys and keys[0] <= after:
        raise Corruption("a snapshot's keys do not ascend")
    if any(one >= other for one, other in pairwise(keys)):
        raise Corruption("a snapshot's keys do not ascend")
