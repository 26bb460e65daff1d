"""``bench create``: how long it takes until new ranges have leaders, and what they weigh."""

import time
from pathlib import Path
from typing import cast

from .bench_nodes import Settings, create_ready, running_nodes
from .output import Fields
from .progress import Phases


async def run_create(root: Path, settings: Settings, ranges: int, phases: Phases) -> Fields:
    """Start a cluster under ``root`` and create ranges; returns the fields of the result."""
    async with running_nodes(root, settings) as nodes:
        before = nodes.usage().rss
        began = time.monotonic()
        found = await create_ready(nodes, settings, ranges, phases)
        seconds = time.monotonic() - began
        after = nodes.usage().rss
    return {
        "ranges": ranges,
        "seconds": round(seconds, 4),
        "per_second": round(ranges / seconds),
        "max_term": max(cast("int", status["max_term"]) for status in found),
        "bytes_per_replica": round((after - before) / (ranges * settings.copies)),
        "longest_turn_ms": max(cast("float", status["longest_turn_ms"]) for status in found),
    }
