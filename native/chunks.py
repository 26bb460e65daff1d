"""A batch of the log cut into values, each of which says what it is."""

from typing import Final

from ._native import ffi, lib
from .errors import refusal
from .scratch import new_uncleared

CHUNK_HEADER_SIZE: Final = lib.MR_CHUNK_HEADER
"""Bytes of a value before its body."""

_cut = lib.mr_chunks_cut
_cut_released = lib.mr_chunks_cut_released

_LONG: Final = 256 * 1024  # bytes that take some 50 us, from where on it pays to let other threads run


def cut_batch(
    batch: bytes | bytearray, seq: int, run: int, chain: int, full: int, least: int
) -> list[memoryview]:
    """The values of a batch, in memory of their own: `full` bytes each, but for the last.

    That one has at least `least`. Raises Malformed if a batch of this size cannot be cut so. The GIL is
    released while a large one is cut.
    """
    length = len(batch)
    how = ffi.new("struct mr_cut *")
    how.seq, how.run, how.chain, how.full, how.least = seq, run, chain, full, least
    count = lib.mr_chunks_count(length, how)
    size = lib.mr_chunks_bytes(length, count, how) if count else 0
    cells = new_uncleared("uint8_t[]", max(1, size))
    with ffi.from_buffer(batch) as data:
        status = (_cut if length < _LONG else _cut_released)(data, length, how, cells, size)
    if status:
        raise refusal(status, f"a batch of {length} bytes")
    values = memoryview(ffi.buffer(cells, size))
    return [values[at : at + full] for at in range(0, size, full)]
