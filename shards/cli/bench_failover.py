"""``bench failover``: how long the ranges of a node that dies take no writes."""

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...engine.errors import Retryable, Unknown
from ..database import Database
from .bench_nodes import Settings, create_ready, running_nodes
from .output import Fields, counted
from .progress import Phases

PATIENCE: Final = 60.0
"""Seconds in which every range must take writes again, beside ten election timeouts."""
VALUE: Final = b"written after the node was killed"


async def run_failover(root: Path, settings: Settings, groups: int, phases: Phases) -> Fields:
    """Start a cluster under ``root``, kill its last node, write; returns the fields of the result."""
    async with running_nodes(root, settings) as nodes:
        await create_ready(nodes, settings, groups, phases)
        keys = await nodes.led(settings.nodes)
        phases.say(f"kill node {settings.nodes}, which leads {counted(len(keys), 'range')}")
        databases = [nodes.database(node) for node in range(1, settings.nodes)]
        patience = PATIENCE + settings.election_timeout_ms / 100
        killing = asyncio.ensure_future(nodes.kill(settings.nodes))
        seconds = await _write_all(databases, keys, patience)
        await killing
        back = sorted(one for one in seconds if one is not None)
        right = await _count_right(databases, keys)
    if not keys:
        phases.say("nothing was measured: the node led nothing")
    elif right < len(keys):
        phases.say(f"{right} of {len(keys)} ranges hold what was written within {patience:g} s")
    return {
        "groups": groups,
        "p50_ms": _percentile_ms(back, len(keys), 0.5),
        "p99_ms": _percentile_ms(back, len(keys), 0.99),
        "all_ms": _percentile_ms(back, len(keys), 1.0),
        "election_timeout_ms": settings.election_timeout_ms,
        "ok": 0 < len(keys) == len(back) == right,
    }


async def _write_all(
    databases: Sequence[Database], keys: Sequence[bytes], patience: float
) -> list[float | None]:
    """Write all keys at once, through all nodes in turn: seconds until each write was acknowledged."""
    began = time.monotonic()

    async def write(at: int, key: bytes) -> float | None:
        while (left := began + patience - time.monotonic()) > 0:
            try:
                await databases[at % len(databases)].put(key, VALUE, timeout=left)
            except (Retryable, Unknown):
                await asyncio.sleep(0)
            else:
                return time.monotonic() - began
        return None

    return await asyncio.gather(*(write(at, key) for at, key in enumerate(keys)))


def _percentile_ms(ascending: Sequence[float], wanted: int, share: float) -> float | None:
    """The milliseconds until this share of the wanted writes was acknowledged, None if it never was."""
    rank = math.ceil(share * wanted)
    return round(ascending[rank - 1] * 1000, 2) if 0 < rank <= len(ascending) else None


async def _count_right(databases: Sequence[Database], keys: Sequence[bytes]) -> int:
    """How many of the keys hold what was written, as another node reads them."""
    reads = (databases[(at + 1) % len(databases)].get(key) for at, key in enumerate(keys))
    found = await asyncio.gather(*reads, return_exceptions=True)
    return sum(value == VALUE for value in found)
