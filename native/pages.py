"""Pages of a mapped file: finding values that no tree leads to, asking for pages, and letting go of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATM: Final = Path("/proc/self/statm")
_MAPS: Final = Path("/proc/self/maps")
_PAGE: Final = os.sysconf("SC_PAGESIZE")
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


def resident_of_files() -> int:
    """Bytes of mapped files in this process's memory; 0 where the system does not tell."""
    try:
        statm = os.open(_STATM, os.O_RDONLY)  # a third of what a file object costs: this is asked often
    except OSError:
        return 0
    try:
        return int(os.read(statm, _PAGE).split()[2]) * _PAGE
    finally:
        os.close(statm)


def let_go(file: Path) -> None:
    """Take a mapped file out of this process's memory; what is touched again comes back from it.

    The caller sees to it that nobody unmaps the file meanwhile. Cannot fail, and does nothing where the
    system does not tell what is mapped where.
    """
    try:
        found, maps = file.stat(), _MAPS.read_text()
    except OSError:
        return
    for line in maps.splitlines():
        bounds, mode, _, device, inode, *_ = line.split(maxsplit=5)
        major, minor = (int(part, 16) for part in device.split(":"))
        if int(inode) == found.st_ino and os.makedev(major, minor) == found.st_dev and mode[3] == "s":
            start, stop = (int(part, 16) for part in bounds.split("-"))
            lib.mr_pages_let_go(start, min(stop - start, found.st_size))
