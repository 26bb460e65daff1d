"""Scans in bounded pages: each page is read at one moment, and nothing is held open between two pages.

A scan therefore survives any write made while it is under way. What it promises: keys come in order and each
at most once; every page shows the store as it was when that page was read; a key that is neither written nor
deleted during the scan comes out exactly once. It is not a snapshot: a write behind the place reached is not
seen, a write ahead of it is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .keys import successor

#: Pages grow from the first size to the last, so that a scan for one key reads little.
FIRST_PAGE = 32
LAST_PAGE = 512

#: A page read from the disk ends early when its values reach this many bytes.
PAGE_BYTES = 1 << 20

Pair = tuple[bytes, bytes]


class Page(NamedTuple):
    """Pairs in the direction of the scan. ``bound`` is the last key covered, None when the range is done.

    A page may be empty and still have a bound: everything up to there was deleted.
    """

    pairs: list[Pair]
    bound: bytes | None


class Layer(NamedTuple):
    """What one layer of a store knows of a page: a value of None is a deletion that hides older layers.

    ``bound`` as in :class:`Page`: beyond it this layer may hold keys that are not listed here.
    """

    pairs: Sequence[tuple[bytes, bytes | None]]
    bound: bytes | None


#: (start, stop, limit, reverse) -> page of the range [start, stop)
ReadPage = Callable[[bytes, bytes | None, int, bool], Page]


def scan_pages(read: ReadPage, start: bytes, stop: bytes | None, *, reverse: bool) -> Iterator[Pair]:
    """Every pair of ``[start, stop)``, page by page."""
    size = FIRST_PAGE
    while stop is None or start < stop:
        page = read(start, stop, size, reverse)
        yield from page.pairs
        if page.bound is None:
            return
        if reverse:
            stop = page.bound
        else:
            start = successor(page.bound)
        size = min(size * 4, LAST_PAGE)


def merge(layers: list[Layer], limit: int, *, reverse: bool) -> Page:
    """One page out of several layers, newest first: the newest layer that knows a key decides."""
    bounds = [layer.bound for layer in layers if layer.bound is not None]
    bound = (max(bounds) if reverse else min(bounds)) if bounds else None
    known: dict[bytes, bytes | None] = {}
    for layer in reversed(layers):
        known.update(layer.pairs)
    keys = sorted(known, reverse=reverse)
    if bound is not None:
        keys = [key for key in keys if (key >= bound if reverse else key <= bound)]
    if len(keys) > limit:
        keys = keys[:limit]
        bound = keys[-1]
    pairs = [(key, value) for key in keys if (value := known[key]) is not None]
    return Page(pairs, bound)
