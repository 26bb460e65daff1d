"""The batches of a log's file whose tree is damaged: each value says itself which one it is.

The file is searched for values as salvage does. The newest batch that is complete, and those that it and each
one before call the one before, are the log: batches of failed commits are none of them. What the tree leads
to and cannot be read is kept as it is, for recovery to judge. If less is found than the tree had, the newest
may be missing, which no batch would tell.
"""

import logging
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...native.pages import find_in_pages
from ..errors import Corruption
from ..offline.lmdbfile import LmdbFile
from .blob import previous_and_head
from .chunks import HEADER_SIZE, MAGIC, VALUE_MAX, chunk_key, found_chunk, split_key

logger = logging.getLogger(__name__)

LOST: Final = b"lost"
"""Stands behind the newest batch if values are missing: a batch that cannot be read, for it may be they."""

_PAGE_HEADER: Final = 16

_Places = dict[int, dict[int, int]]
"""By batch and chunk number where in the file its value begins."""


def remnants_of(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the log in a file. Raises `Corruption` if both meta pages are damaged."""
    with (
        LmdbFile(path) as file,
        path.open("rb") as raw,
        mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        places, counts = _search(mapped, file.page_size)
        batches = _chained(mapped, places, counts)
        if not batches:
            if file.entries:
                raise Corruption(f"{path} holds nothing more of the log")
            return
        found = 0
        for key, value in _known(file, places, batches[-1], batches[0]):
            found += 1
            yield key, value
        for seq in batches:
            for number, at in places[seq].items():
                chunk = found_chunk(mapped[at : at + VALUE_MAX])
                assert chunk is not None, "it was found there"
                least = file.page_size // 2 if number == counts[seq] - 1 else 0
                found += 1
                yield chunk_key(seq, number), chunk[1].ljust(least, b"\0")
        if found < file.entries:
            yield chunk_key(batches[0] + 1, 0), LOST.ljust(file.page_size // 2, b"\0")


def _search(mapped: mmap.mmap, page_size: int) -> tuple[_Places, dict[int, int]]:
    """Every whole value of a batch that the file has anywhere, and how many its batch has."""
    places: _Places = {}
    counts: dict[int, int] = {}
    with memoryview(mapped) as data:
        pages = list(find_in_pages(data, page_size, _PAGE_HEADER, MAGIC))
    for page in pages:
        at = page + _PAGE_HEADER
        chunk = found_chunk(mapped[at : at + VALUE_MAX])
        if chunk is not None:
            header, _ = chunk
            places.setdefault(header.seq, {})[header.number] = at
            counts[header.seq] = header.chunks
    return places, counts


def _chained(mapped: mmap.mmap, places: _Places, counts: dict[int, int]) -> list[int]:
    """The batches that are the log, newest first; behind one that is not whole, all that are old enough."""
    complete = [seq for seq in sorted(places, reverse=True) if len(places[seq]) == counts[seq]]
    batches: list[int] = []
    oldest = wanted = 0
    for seq in complete:
        if seq < oldest:
            break
        if seq > wanted and batches and wanted in counts and len(places[wanted]) == counts[wanted]:
            continue  # of a commit that failed
        start = places[seq][0] + HEADER_SIZE
        wanted, head = previous_and_head(mapped[start : start + VALUE_MAX])
        oldest = oldest or head
        batches.append(seq)
    return batches


def _known(file: LmdbFile, places: _Places, oldest: int, newest: int) -> Iterator[tuple[bytes, bytes]]:
    """What the tree leads to, is no whole value, and may belong to the log."""
    for key, value in file.items(on_damage=lambda what, _: logger.error("%s: %s", file.path, what)):
        try:
            seq, number = split_key(key)
        except Corruption:
            continue
        if oldest <= seq <= newest and number not in places.get(seq, {}) and len(value) <= VALUE_MAX:
            yield key, value
