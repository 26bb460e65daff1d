"""The demo's judgement: every row is read back, linearizably, through every node, and compared."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from ...engine.errors import Retryable
from ..database import Database
from .output import Fields, counted, line_of

PATIENCE: Final = 60.0
"""Seconds without any page after which a node counts as unable to read."""
PAUSE: Final = 0.1
SHOWN_KEYS: Final = 5


@dataclass(frozen=True)
class Outage:
    """What was measured around the kill."""

    node: int
    led_ranges: int
    unfinished: int
    """Writes without an answer, in ranges that the node led, at the moment of the kill."""
    failover_seconds: float
    """From the kill to the first acknowledged write in every range that it led."""
    writes: int
    """Acknowledged from the kill until the node listened again."""


@dataclass(frozen=True)
class Found:
    """What one node returned."""

    right: frozenset[bytes]
    """Keys of rows that came back as they were written."""
    changed: int
    """Rows that came back with another value."""
    unknown: int
    """Rows that nobody wrote."""


async def read_back(
    database: Database, rows: Mapping[bytes, bytes], progress: Callable[[int], None]
) -> Found:
    """Scan everything through one node. Raises Retryable: it cannot read for too long."""
    right: set[bytes] = set()
    changed = unknown = 0
    start = b""
    loop = asyncio.get_running_loop()
    last_page = loop.time()
    while True:
        try:
            async for page in database.scan_pages(start):
                for key, value in page:
                    expected = rows.get(key)
                    if expected == value:
                        right.add(key)
                    elif expected is None:
                        unknown += 1
                    else:
                        changed += 1
                start = page[-1][0] + b"\0"
                last_page = loop.time()
                progress(len(right))
        except Retryable:
            if loop.time() - last_page > PATIENCE:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return Found(frozenset(right), changed, unknown)


def judge(
    rows: Mapping[bytes, bytes],
    acknowledged: Set[bytes],
    outage: Outage,
    found: Mapping[int, Found],
    ranges: int,
    seconds: float,
) -> Fields:
    """The fields of the demo's result. ``ok``: everything was acknowledged, and nothing of it lost."""
    verified = frozenset.intersection(*(one.right for one in found.values()))
    lost = len(acknowledged - verified)
    return {
        "rows": len(rows),
        "acknowledged": len(acknowledged),
        "verified": len(verified),
        "lost": lost,
        "ranges": ranges,
        "killed_node": outage.node,
        "killed_led_ranges": outage.led_ranges,
        "writes_during_outage": outage.writes,
        "failover_seconds": round(outage.failover_seconds, 3),
        "seconds": round(seconds, 3),
        "rows_per_second": round(len(rows) / seconds),
        "ok": len(rows) == len(acknowledged) == len(verified) and not lost and outage.unfinished > 0,
    }


def problems(
    rows: Mapping[bytes, bytes], acknowledged: Set[bytes], found: Mapping[int, Found]
) -> Iterator[str]:
    """What is wrong with what the nodes returned, in words."""
    if len(acknowledged) < len(rows):
        yield f"not acknowledged: {counted(len(rows) - len(acknowledged), 'row')}"
    for node, one in found.items():
        missing = sorted(acknowledged - one.right)
        if missing:
            some = ", ".join(map(line_of, missing[:SHOWN_KEYS]))
            rows_missing = counted(len(missing), "acknowledged row")
            yield f"node {node} does not return {rows_missing} as written: {some} …"
        if one.changed:
            yield f"node {node} returns {counted(one.changed, 'row')} with another value"
        if one.unknown:
            yield f"node {node} returns {counted(one.unknown, 'row')} that nobody wrote"
