"""Scans over many ranges, page by page: linearizable range by range, not one snapshot of all of them."""

from collections.abc import Sequence
from typing import NamedTuple, cast

from ..engine.errors import RangeDeleted, RangeMoved
from .descriptor import RangeDescriptor
from .requests import Malformed, Op, Scalar
from .routing import Router

Pair = tuple[bytes, bytes]


class PageRequest(NamedTuple):
    """The first pairs of ``[start, stop)``, or in reverse the last, at most ``limit`` of them."""

    start: bytes
    stop: bytes | None
    reverse: bool
    limit: int
    stale: bool


class Page(NamedTuple):
    """Some pairs in order, and where to go on: the next start (or, in reverse, the next stop)."""

    pairs: list[Pair]
    resume: bytes | None
    """``None``: there is nothing more."""


async def scan_page(router: Router, request: PageRequest, deadline: float) -> Page:
    """The first pairs (in scan order) of ``[start, stop)``: from one range, so a page may be empty.

    Keys that no range covers are passed over, once the directory is known to be current.

    Raises:
        Unavailable: no answer in time.
    """
    start, stop, reverse, limit, stale = request
    op = Op.STALE_SCAN if stale else Op.READ_SCAN
    refreshed = False
    while True:
        found = router.directory.overlapping(start, stop, reverse=reverse, limit=1)
        descriptor = found[0] if found else None
        if not refreshed and not _begins_at_once(descriptor, start, stop, reverse=reverse):
            await router.refresh(deadline)
            refreshed = True
            continue
        if descriptor is None:
            return Page([], None)
        low = max(start, descriptor.start)
        high = _lower(stop, descriptor.end)
        try:
            fields = await router.read_range(descriptor, op, [low, high, reverse, limit], deadline)
        except RangeMoved as moved:
            await router.refresh(deadline)
            if isinstance(moved, RangeDeleted) and router.directory.by_group(descriptor.group) is not None:
                raise
            continue
        more, pairs = page_pairs(fields)
        return Page(pairs, _resume(pairs, descriptor, start, stop, more=more, reverse=reverse))


def page_pairs(fields: Sequence[Scalar]) -> tuple[Scalar, list[Pair]]:
    """The head field of a page and its pairs.

    Raises:
        Malformed: the fields are no page.
    """
    flat = cast("Sequence[bytes]", fields[1:])
    if len(fields) % 2 != 1 or any(type(one) is not bytes for one in flat):
        raise Malformed("a page consists of keys and values")
    return fields[0], list(zip(flat[::2], flat[1::2], strict=True))


def _begins_at_once(
    descriptor: RangeDescriptor | None, start: bytes, stop: bytes | None, *, reverse: bool
) -> bool:
    """Whether the range covers the very first key that the scan is about."""
    if descriptor is None:
        return False
    if not reverse:
        return descriptor.start <= start
    return descriptor.end is None or (stop is not None and stop <= descriptor.end)


def _resume(
    pairs: list[Pair],
    descriptor: RangeDescriptor,
    start: bytes,
    stop: bytes | None,
    *,
    more: Scalar,
    reverse: bool,
) -> bytes | None:
    if more:
        return pairs[-1][0] if reverse else pairs[-1][0] + b"\0"
    if reverse:
        return descriptor.start if descriptor.start > start else None
    end = descriptor.end
    return end if end is not None and (stop is None or end < stop) else None


def _lower(one: bytes | None, other: bytes | None) -> bytes | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
