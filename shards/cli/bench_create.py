"""``bench create``: how long it takes until new ranges have leaders, and what they weigh."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ..load_check import wait_ready
from .bench_nodes import Settings, running_nodes
from .output import Fields

Progress = Callable[[int, int], None]
PATIENCE = 120.0
"""Seconds for every thousand ranges."""


async def run_create(root: Path, settings: Settings, ranges: int, progress: Progress) -> Fields:
    """Start a cluster under ``root`` and create ranges; returns the fields of the result."""
    replicas = ranges * settings.copies
    async with running_nodes(root, settings) as nodes:
        before = nodes.usage().rss
        began = time.monotonic()
        await nodes.database.create_ranges(ranges, progress=progress)
        patience = PATIENCE * (1 + ranges / 1000)
        found = await wait_ready(nodes.probes, ranges, replicas, patience)
        seconds = time.monotonic() - began
        after = nodes.usage().rss
    return {
        "ranges": ranges,
        "seconds": round(seconds, 4),
        "per_second": round(ranges / seconds),
        "max_term": max(cast("int", status["max_term"]) for status in found),
        "bytes_per_replica": round((after - before) / replicas),
        "longest_turn_ms": max(cast("float", status["longest_turn_ms"]) for status in found),
    }
