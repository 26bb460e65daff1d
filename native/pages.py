"""Pages of a mapped file: finding values that no tree leads to, and asking for pages before they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRETCH: Final = 32 << 20  # bytes that are searched at once; other threads run in between


def find_in_pages(data: memoryview, size: int, at: int, wanted: bytes) -> Iterator[int]:
    """Offsets of all pages of `size` bytes that have `wanted` at offset `at`, ascending."""
    stretch = max(size, _STRETCH - _STRETCH % size)
    with ffi.from_buffer(data) as whole:
        for start in range(0, len(whole), stretch):
            length = min(stretch, len(whole) - start)
            page = 0
            while True:
                page = lib.mr_pages_find(whole + start, length, size, at, wanted, len(wanted), page)
                if page >= length // size:
                    break
                yield start + page * size
                page += 1


def will_need(mapped: memoryview, start: int, stop: int) -> None:
    """Ask the system for bytes of a mapped file that are going to be read. Does not wait, and cannot fail."""
    assert 0 <= start <= stop <= len(mapped), "the bytes are in the map"
    lib.mr_pages_will_need(ffi.from_buffer(mapped) + start, stop - start)
