"""Deletion of ranges in bulk: each serves nothing any more before the directory forgets it."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ..engine.errors import InvalidRanges, RangeDeleted
from .descriptor import RangeDescriptor
from .directory import Directory
from .directory_commands import MAX_RANGES, Doomed, delete_body
from .keyrange import KeyRange
from .planning import Deleted
from .routing import Router

RETIREMENTS: Final = 250
"""Ranges that are asked at once to serve nothing any more: their groups have to wake and to agree."""


async def delete_chunk(router: Router, start: bytes, end: bytes | None, deadline: float) -> Deleted:
    """Delete the first ranges that lie in an interval. Raises as ``Database.delete_ranges``."""
    await router.refresh(deadline)
    doomed = ranges_inside(router.directory, KeyRange(start, end))
    chunk, left = doomed[:MAX_RANGES], len(doomed) - MAX_RANGES
    if not chunk:
        return Deleted(0, 0, None)
    await _retire(router, chunk, deadline)
    body = delete_body(Doomed(one.group, one.epoch) for one in chunk)
    result = await router.propose_to_system(body, deadline)
    match result:
        case (int(deleted), int()):
            pass
        case _:
            raise AssertionError(f"the directory answers a deletion with {result!r}")
    await router.refresh(deadline)
    return Deleted(deleted, max(left, 0), chunk[-1].end if left > 0 else None)


def ranges_inside(directory: Directory, interval: KeyRange) -> list[RangeDescriptor]:
    """The ranges that lie in an interval, in order.

    Raises:
        InvalidRanges: one lies in it with a part only.
    """
    found = directory.overlapping(*interval)
    for one in (*found[:1], *found[-1:]):
        beyond = interval.end is not None and (one.end is None or one.end > interval.end)
        if one.start < interval.start or beyond:
            raise InvalidRanges(f"the range {one.bounds} does not lie inside {interval}, but overlaps it")
    return found


async def _retire(router: Router, ranges: Sequence[RangeDescriptor], deadline: float) -> None:
    """Have every one of them serve nothing any more; the first that refuses ends it."""
    waiting = iter(ranges)

    async def work() -> None:
        for one in waiting:
            try:
                await router.retire(one, deadline)
            except RangeDeleted:
                continue  # a call before this one had come so far

    workers = [asyncio.create_task(work()) for _ in range(min(RETIREMENTS, len(ranges)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
