"""The file that saves a start the scan of the whole log: the index as it was, and what to read behind it.

    file   magic 8 | version u32 | byte order u32 ; blocks ; the end
    block  kind u32 | CRC32C u32 of the bytes | length u64 | bytes
    end    kind 255 | CRC32C | length | first, chain, last, chain, blocks: u64 each

It is only a hint: whatever is wrong with it, the log is scanned. A dump begins behind batch `first`, which
is durable, and goes on while batches are staged; when `last`, the newest at its end, is durable too, the file
is finished. What stands in it of a log may be newer than `first`, and says as of which batch it is (see
`native/csrc/mr_logdump.h`). The chains tell the log that it belongs to from any other.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ...native.errors import Refused
from ...native.logdump import BATCHES, load_slice
from ...native.logindex import LogIndex

VERSION: Final = 1

_MAGIC: Final = b"mr-idx\r\n"
_HEADER: Final = struct.Struct("=8sII")
_ORDER: Final = 0x01020304
_BLOCK: Final = struct.Struct("=IIQ")
_END: Final = 255
_MARKS: Final = struct.Struct("=QQQQQ")


class Mark(NamedTuple):
    """A batch, and the chain behind it."""

    seq: int
    chain: int


class Marks(NamedTuple):
    """Between which batches a dump was made."""

    first: Mark
    last: Mark


class Unfit(Exception):
    """A checkpoint is not to be used; the text says why."""


def encode_header() -> bytes:
    """The beginning of a file."""
    return _HEADER.pack(_MAGIC, VERSION, _ORDER)


def encode_block(kind: int, data: bytes) -> bytes:
    """A block."""
    return _BLOCK.pack(kind, crc32c(data), len(data)) + data


def encode_end(marks: Marks, blocks: int) -> bytes:
    """The end behind so many blocks."""
    return encode_block(_END, _MARKS.pack(*marks.first, *marks.last, blocks))


def load_checkpoint(path: Path, index: LogIndex, oldest: int, newest: int) -> Marks:
    """Fill an empty index; the log holds batches `oldest` to `newest`. Raises `Unfit`, OSError."""
    data = _mapped(path)
    marks = _find_marks(data)
    if marks.last.seq > newest:
        raise Unfit(f"it knows batch {marks.last.seq}, the log ends with {newest}")
    if marks.first.seq < oldest:
        raise Unfit(f"it ends with batch {marks.first.seq}, the log begins with {oldest}")
    try:
        for kind, block in _blocks(data):
            if kind == _END:
                break
            load_slice(index, kind, block, oldest, marks.last.seq)
    except Refused as error:
        raise Unfit(f"it contradicts itself: {error}") from error
    return marks


def check_checkpoint(path: Path) -> None:
    """Check all that can be checked without the log. Raises `Unfit`, OSError."""
    _find_marks(_mapped(path))


def _mapped(path: Path) -> memoryview:
    """A file with a header as it must be; unmapped when nothing refers to it any more."""
    with path.open("rb") as file:
        if file.seek(0, 2) < _HEADER.size:
            raise Unfit("it is cut off")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    magic, version, order = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise Unfit("it is none")
    if (version, order) != (VERSION, _ORDER):
        raise Unfit(f"it has format {version}, or was written on another kind of machine")
    return data


def _find_marks(data: memoryview) -> Marks:
    """Those at the end of a file of which every length and checksum is right."""
    for count, (kind, block) in enumerate(_blocks(data)):
        if kind == _END:
            if len(block) != _MARKS.size:
                raise Unfit("its end is none")
            first, first_chain, last, last_chain, blocks = _MARKS.unpack(block)
            if blocks != count or first > last:
                raise Unfit("its end belongs to another one")
            return Marks(Mark(first, first_chain), Mark(last, last_chain))
    raise Unfit("it has no end")


def _blocks(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = _HEADER.size
    while at < len(data):
        if len(data) - at < _BLOCK.size:
            raise Unfit("it is cut off")
        kind, checksum, length = _BLOCK.unpack_from(data, at)
        at += _BLOCK.size
        if length > len(data) - at:
            raise Unfit("it is cut off")
        block = data[at : at + length]
        if crc32c(block) != checksum:
            raise Unfit("it is damaged")
        if kind != _END and not 0 < kind <= BATCHES:
            raise Unfit(f"it has a block of kind {kind}")
        yield kind, block
        at += length
