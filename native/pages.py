"""Finding values in the pages of a file whose tree does not lead to them."""

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
