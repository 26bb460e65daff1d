"""``bench idle``: what groups cost of which nobody wants anything."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple, cast

from ..load_check import settle, statuses, total, wait_resting
from .bench_nodes import MIB, PATIENCE, BenchNodes, Settings, Usage, create_ready, running_nodes
from .output import Fields
from .progress import Phases


class Moment(NamedTuple):
    """Everything that is counted, at one moment; sums over all nodes."""

    time: float
    usage: Usage
    ticks: int
    messages: int
    sent_bytes: int
    leaders: tuple[object, ...]
    """How many ranges each node leads, and the newest term that it knows: what an election changes."""


async def run_idle(root: Path, settings: Settings, groups: int, seconds: float, phases: Phases) -> Fields:
    """Start a cluster under ``root``, create groups, and measure once all of them rest.

    Raises:
        Unavailable: a group does not come to rest.
    """
    async with running_nodes(root, settings) as nodes:
        before = nodes.usage().rss
        await create_ready(nodes, settings, groups, phases)
        await settle(nodes.probes, PATIENCE)
        await wait_resting(nodes.probes, groups * settings.copies, PATIENCE)
        first = await _moment(nodes)
        await asyncio.sleep(seconds)
        last = await _moment(nodes)
    passed, cpu = last.time - first.time, last.usage.nodes_cpu - first.usage.nodes_cpu
    pairs = settings.nodes * (settings.nodes - 1) // 2
    return {
        "groups": groups,
        "cpu_ms_per_tick": round(cpu * 1000 / max(last.ticks - first.ticks, 1), 4),
        "cpu_percent": round(cpu / passed * 100, 2),
        "per_group_messages": last.messages - first.messages,
        "bytes_per_second_per_pair": round((last.sent_bytes - first.sent_bytes) / passed / max(pairs, 1)),
        "bytes_per_replica": round((last.usage.rss - before) / (groups * settings.copies)),
        "rss_mib": round(last.usage.rss / MIB, 1),
        "ok": last.leaders == first.leaders and last.ticks > first.ticks and last.messages == first.messages,
    }


async def _moment(nodes: BenchNodes) -> Moment:
    found = await statuses(nodes.probes)
    turns = [cast("dict[str, object]", status["turns"]) for status in found]
    return Moment(
        time.monotonic(),
        nodes.usage(),
        total(turns, "ticks"),
        total(turns, "messages"),
        total(turns, "sent_bytes"),
        tuple((status["leaders"], status["max_term"]) for status in found),
    )
