"""``bench restart``: how long a node that was killed takes to open its directory and to serve again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, cast

from ...engine.errors import Retryable
from ..database import Database
from ..planning import even_cuts
from .bench_nodes import PATIENCE, Settings, create_ready, running_nodes
from .output import Fields
from .progress import Phases

WORKERS: Final = 256
"""Requests outstanding."""


async def run_restart(root: Path, settings: Settings, groups: int, phases: Phases) -> Fields:
    """Start a cluster under ``root``, kill its last node and start it again; returns the result's fields."""
    keys = [b"", *even_cuts(groups, b"", None)]
    victim = settings.nodes
    async with running_nodes(root, settings) as nodes:
        await create_ready(nodes, settings, groups, phases)
        await _each(keys, lambda key: nodes.database().put(key, key, timeout=PATIENCE))
        phases.say(f"kill node {victim} and start it again")
        await nodes.kill(victim)
        began = time.monotonic()
        await nodes.start(victim)
        opened = time.monotonic() - began
        database = nodes.database(victim)
        right: list[object] = [await _holds_itself(database, keys[-1])]
        first = time.monotonic() - began
        right += await _each(keys, lambda key: _holds_itself(database, key))
        served = time.monotonic() - began
        status = await nodes.probes[victim - 1].status()
    return {
        "groups": groups,
        "seconds_open": round(opened, 4),
        "seconds_first_read": round(first, 4),
        "seconds_all_served": round(served, 4),
        "longest_turn_ms": cast("float", status["longest_turn_ms"]),
        "ok": all(right) and status["replicas"] == groups,
    }


async def _holds_itself(database: Database, key: bytes) -> bool:
    """Read a key, linearizably, until there is an answer; whether it is the right one."""
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        try:
            return await database.get(key, timeout=left) == key
        except Retryable:  # its ranges may have no leader yet
            await asyncio.sleep(0)
    return False


async def _each(keys: Sequence[bytes], ask: Callable[[bytes], Awaitable[object]]) -> list[object]:
    """Ask for every key, so many at a time; the answers in no particular order."""
    rest = iter(keys)

    async def work() -> list[object]:
        return [await ask(key) for key in rest]

    return [answer for some in await asyncio.gather(*(work() for _ in range(WORKERS))) for answer in some]
