"""Keys and values of the log's environment: a batch cut into chunks, each of which says what it is.

    key     u64 big-endian: sequence number << 20 | chunk number
    value   offset  bytes  little-endian
                 0      8  magic
                 8      8  sequence number of the batch
                16      4  run: which opening of the store wrote it
                20      4  chunk number, from 0
                24      4  count of chunks of the batch
                28      4  length of the body
                32      4  chain: what `link` made of all batches before
                36      4  CRC32C of the 36 bytes before and of the body
                40    ...  body: a part of the batch
                           zeros, if the last value would not take pages of its own without them

All bodies of a batch but the last are of one length: 65,480 bytes, as a value of 65,520 fills sixteen
overflow pages exactly, or what fills one page (see `valuesize`); any other is read as well. This header is
the same in all versions of the format, the version stands in the batch: what passes the checksum may be
judged by its version. A value can be told, and a batch put together, from the pages of a file alone (see
`salvage`).
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ...native.chunks import CHUNK_HEADER_SIZE, cut_batch
from ..errors import Corruption

VALUE_MAX: Final = 65_520
HEADER_SIZE: Final = CHUNK_HEADER_SIZE
MAGIC: Final = b"mr-log\r\n"
BODY_MAX: Final = VALUE_MAX - HEADER_SIZE

_CHUNK_BITS: Final = 20
_KEY: Final = struct.Struct(">Q")
_IDENTITY: Final = struct.Struct("<8sQIIIII")
_ORIGIN: Final = struct.Struct("<8sQI")
_CHECKSUM: Final = struct.Struct("<I")

Buffer = bytes | memoryview


class ChunkHeader(NamedTuple):
    """What a chunk says about itself."""

    seq: int
    run: int
    number: int
    chunks: int
    length: int
    """Bytes of its body."""
    chain: int


def chunk_key(seq: int, number: int) -> bytes:
    """The key of a batch's chunk. Keys ascend with the sequence number, then with the chunk number."""
    return _KEY.pack(seq << _CHUNK_BITS | number)


def split_key(key: Buffer) -> tuple[int, int]:
    """(sequence number, chunk number) of a key. Raises `Corruption` for what is not a key of the log."""
    if len(key) != _KEY.size:
        raise Corruption(f"the log's environment holds a key of {len(key)} bytes that is not its own")
    (number,) = _KEY.unpack(key)
    return number >> _CHUNK_BITS, number & ((1 << _CHUNK_BITS) - 1)


def chunk_count(size: int, value_max: int = VALUE_MAX) -> int:
    """How many chunks a batch of `size` bytes takes; at least one. `value_max`: the size of a full value."""
    return max(1, -(-size // (value_max - HEADER_SIZE)))


def stored_size(size: int, footprint: Callable[[int], int], value_max: int = VALUE_MAX) -> int:
    """Bytes that a batch of `size` bytes takes; `footprint` is that of the environment."""
    full = chunk_count(size, value_max) - 1
    return full * footprint(value_max) + footprint(HEADER_SIZE + size - full * (value_max - HEADER_SIZE))


def cut(
    blob: bytes | bytearray,
    seq: int,
    run: int,
    chain: int = 0,
    value_min: int = 0,
    value_max: int = VALUE_MAX,
) -> list[tuple[bytes, memoryview]]:
    """Keys and values of the batch `blob`, ascending. No value is shorter than `value_min`."""
    values = cut_batch(blob, seq, run, chain, value_max, value_min)
    return [(chunk_key(seq, number), value) for number, value in enumerate(values)]


def link(chain: int, values: Iterable[Buffer]) -> int:
    """The chain behind a batch: a checksum of the checksums of all batches up to it."""
    return crc32c(b"".join([value[_IDENTITY.size : HEADER_SIZE] for value in values]), chain)


def beginning(seq: int, run: int) -> bytes:
    """What every chunk of the batch begins with."""
    return _ORIGIN.pack(MAGIC, seq, run)


def read_header(value: Buffer, seq: int, number: int) -> ChunkHeader:
    """The header of the value stored for chunk `number` of batch `seq`; the checksum is not looked at.

    Raises `Corruption` if the value belongs elsewhere: even with right checksums it is not what was stored.
    """
    header = _read_header(value, seq, number)
    if number < header.chunks - 1 and header.length != len(value) - HEADER_SIZE:
        raise Corruption(f"{_place(seq, number)} is not as long as it says")  # see `body_size`
    return header


def _read_header(value: Buffer, seq: int, number: int) -> ChunkHeader:
    """As `read_header`, for a value of which the end is not known."""
    if len(value) < HEADER_SIZE:
        raise Corruption(f"{_place(seq, number)} is too short")
    if len(value) > VALUE_MAX:  # nothing of it may be read: it can reach beyond the end of the file
        raise Corruption(f"{_place(seq, number)} is too long")
    magic, *numbers = _IDENTITY.unpack_from(value)
    header = ChunkHeader(*numbers)
    if magic != MAGIC or header.seq != seq or header.number != number or not number < header.chunks:
        raise Corruption(f"{_place(seq, number)} does not say that it is this chunk")
    if header.length > min(BODY_MAX, len(value) - HEADER_SIZE):
        raise Corruption(f"{_place(seq, number)} is cut off")
    return header


def found_chunk(raw: Buffer) -> tuple[ChunkHeader, bytes] | None:
    """Header and value of the chunk that `raw` begins with; None unless it is whole and undamaged."""
    if len(raw) < HEADER_SIZE:
        return None
    _, seq, _, number, *_ = _IDENTITY.unpack_from(raw)
    try:
        header = _read_header(raw, seq, number)
    except Corruption:
        return None
    value = bytes(raw[: HEADER_SIZE + header.length])
    return (header, value) if checksum_holds(value) else None


def checksum_holds(value: Buffer) -> bool:
    """Whether header and body are those that were written. `read_header` has accepted the value."""
    return checksum_error(value) == 0


def checksum_error(value: Buffer) -> int:
    """By which bits the checksum of header and body differs from the one that is stored."""
    view = memoryview(value)
    (stored,) = _CHECKSUM.unpack_from(view, _IDENTITY.size)
    found: int = crc32c(_body(view), crc32c(view[: _IDENTITY.size])) ^ stored
    return found


def join(values: Sequence[Buffer]) -> bytes:
    """The batch again, from the values of all its chunks in order."""
    return b"".join([_body(memoryview(value)) for value in values])


def _body(value: memoryview) -> memoryview:
    (length,) = _CHECKSUM.unpack_from(value, _IDENTITY.size - 8)
    return value[HEADER_SIZE : HEADER_SIZE + length]


def body_size(first: Buffer | None) -> int:
    """The length of all bodies of a batch but the last, from the value of its first chunk as it was stored.

    The value is not read. If it is lost the batch is taken for one of long values.
    """
    size = 0 if first is None else len(first) - HEADER_SIZE
    return size if 0 < size <= BODY_MAX else BODY_MAX


def spans(offset: int, length: int, body: int) -> list[tuple[int, int, int]]:
    """Where bytes of a batch of that `body_size` are stored: (chunk, start, stop), bounds in the value."""
    pieces = []
    while length > 0:
        number, start = divmod(offset, body)
        taken = min(length, body - start)
        pieces.append((number, HEADER_SIZE + start, HEADER_SIZE + start + taken))
        offset += taken
        length -= taken
    return pieces


def _place(seq: int, number: int) -> str:
    return f"chunk {number} of log batch {seq}"
