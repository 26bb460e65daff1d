"""``bench idle``: what groups cost of which nobody wants anything."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple, cast

from ..load_check import settle, statuses, total, wait_resting
from .bench_nodes import MIB, PATIENCE, BenchNodes, Settings, create_ready, running_nodes
from .output import Fields
from .progress import Phases


class Moment(NamedTuple):
    """Everything that the nodes count, at one moment; sums over all nodes."""

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
        began, at_first = time.monotonic(), nodes.usage()
        await asyncio.sleep(seconds)
        passed, at_last = time.monotonic() - began, nodes.usage()  # asking the nodes is not idling
        last = await _moment(nodes)
    cpu = at_last.nodes_cpu - at_first.nodes_cpu
    pairs = settings.nodes * (settings.nodes - 1) // 2
    return {
        "groups": groups,
        "cpu_ms_per_tick": round(cpu * 1000 / max(last.ticks - first.ticks, 1), 4),
        "cpu_percent": round(cpu / passed * 100, 2),
        "per_group_messages": last.messages - first.messages,
        "bytes_per_second_per_pair": round((last.sent_bytes - first.sent_bytes) / passed / max(pairs, 1)),
        "bytes_per_replica": round((at_last.rss - before) / (groups * settings.copies)),
        "rss_mib": round(at_last.rss / MIB, 1),
        "ok": last.leaders == first.leaders and last.ticks > first.ticks and last.messages == first.messages,
    }


async def _moment(nodes: BenchNodes) -> Moment:
    found = await statuses(nodes.probes)
    turns = [cast("dict[str, object]", status["turns"]) for status in found]
    return Moment(
        total(turns, "ticks"),
        total(turns, "messages"),
        total(turns, "sent_bytes"),
        tuple((status["leaders"], status["max_term"]) for status in found),
    )
