"""A follower that was down: `python -m benchmarks.catch_up [--gib 1] [--groups 48] [--clients 64]`.

Three nodes, a process each, over TCP, everything flushed. Node 3 is down while so much is written to the
other two, in values of `--value` bytes under new keys, by batches of a few dozen puts (`write`). Then it is
started again, on a state and logs that are far behind. Before (`calm`), and while it catches up (`catch_up`),
the same light load runs: `--clients` puts outstanding, one a request. What is looked for: memory that stays
bounded in every phase, and a `p99_ratio` of the light loads below 5. A line of JSON: README.md says more.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import psutil

from multiraft.shards.cli.processes import NodeProcesses
from multiraft.shards.client import Client
from multiraft.shards.load import ClosedLoop, Puts, percentile_ms
from multiraft.shards.load_check import Comparison, compare, statuses, wait_ready
from multiraft.shards.load_targets import ClientProbe, Link, RemoteTarget

MIB = 1 << 20
NODES = 3
VICTIM = 3
PATIENCE = 120.0
LOOK_S = 0.1
BULK_PUTS = 64
BULK_CLIENTS = 4096
CALM_S = 8.0


class Memory:
    """The most that each node's process held, since it was last asked: all of it, and what is no file's."""

    def __init__(self, processes: NodeProcesses) -> None:
        self._processes = processes
        self._most: dict[int, tuple[int, int]] = {}

    def look(self) -> None:
        """Note what every living node holds now."""
        for node, one in self._processes.nodes.items():
            if one.alive:
                held = psutil.Process(one.pid).memory_info()
                most, anonymous = self._most.get(node, (0, 0))
                # What is shared is pages of mapped files; not every system tells it.
                own = held.rss - getattr(held, "shared", 0)
                self._most[node] = max(most, held.rss), max(anonymous, own)

    def take(self) -> dict[str, list[float]]:
        """MiB by node, and begin anew."""
        most, self._most = self._most, {}
        ordered = [most[node] for node in sorted(most)]
        return {
            "rss_mib": [round(rss / MIB, 1) for rss, _ in ordered],
            "anonymous_mib": [round(own / MIB, 1) for _, own in ordered],
        }


class Cluster:
    """The node processes, and connections to those that live."""

    def __init__(self, processes: NodeProcesses, stack: AsyncExitStack) -> None:
        self.memory = Memory(processes)
        self._processes = processes
        self._stack = stack
        self._clients: dict[int, Client] = {}

    @property
    def probes(self) -> list[ClientProbe]:
        """One for each node that lives."""
        return [ClientProbe(self._clients[node]) for node in sorted(self._clients)]

    async def connect(self, node: int) -> None:
        """Connect to a node that listens."""
        client = Client.connect(self._processes.addresses[node])
        self._clients[node] = await self._stack.enter_async_context(client)

    async def kill(self, node: int) -> None:
        """SIGKILL; returns when the node is gone."""
        del self._clients[node]
        self._processes.kill(node)
        await asyncio.to_thread(self._processes.wait, node)

    async def start(self, node: int) -> None:
        """Start a node on what its disk holds."""
        await asyncio.to_thread(self._processes.start_node, node)
        await self.connect(node)

    async def create(self, ranges: int) -> None:
        """Create ranges; returns when all replicas of them work."""
        await self._clients[1].create_ranges(ranges)
        await wait_ready(self.probes, ranges, ranges * NODES, PATIENCE)

    async def target(self, ranges: int, puts: Puts) -> RemoteTarget:
        """The leaders, once the living nodes lead all ranges."""
        while sum(map(len, await self._led())) < ranges:  # noqa: ASYNC110 # other processes set no event
            await asyncio.sleep(LOOK_S)  # sleep: they are asked again
        leaders: dict[bytes, Link] = {}
        for node, starts in zip(sorted(self._clients), await self._led(), strict=True):
            link = await Link.connect(self._processes.addresses[node])
            self._stack.push_async_callback(link.close)
            leaders |= dict.fromkeys(starts, link)
        return RemoteTarget(leaders, puts)

    async def _led(self) -> list[list[bytes]]:
        return list(
            await asyncio.gather(*(self._clients[node].led_ranges() for node in sorted(self._clients)))
        )

    async def is_behind(self, ranges: int) -> bool:
        """Whether the node that was started last misses more than what is just being written."""
        found = await statuses(self.probes)
        applied = [cast("int", status["applied"]) for status in found]
        return len(applied) < NODES or applied[VICTIM - 1] < max(applied) - ranges * 64


class Phase:
    """A load that runs as long as a ``with`` block, and what it saw."""

    def __init__(self, cluster: Cluster, target: RemoteTarget, clients: int, most: int) -> None:
        self._cluster = cluster
        self.load = ClosedLoop(target, clients, most)
        self.fields: dict[str, object] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ClosedLoop]:
        """Load, look at memory, and note the figures in the end."""
        self._cluster.memory.take()
        watch = asyncio.create_task(self._watch())
        began = time.perf_counter()
        self.load.recording = True
        self.load.start()
        try:
            yield self.load
            seconds = time.perf_counter() - began
            operations = self.load.operations
            await self.load.stop()
        finally:
            self.load.abandon()
            watch.cancel()
        self.fields = {
            "seconds": round(seconds, 2),
            "ops_per_second": round(operations / seconds),
            "p50_ms": percentile_ms(self.load.latencies, 0.5),
            "p99_ms": percentile_ms(self.load.latencies, 0.99),
            "longest_ms": percentile_ms(self.load.latencies, 1.0),
            "refused": self.load.refused,
            **self._cluster.memory.take(),
            "longest_turn_ms": await self._longest_turns(),
        }

    async def _watch(self) -> None:
        while True:
            self._cluster.memory.look()
            await asyncio.sleep(LOOK_S)  # sleep: looks at regular intervals

    async def _longest_turns(self) -> list[object]:
        return [status["longest_turn_ms"] for status in await statuses(self._cluster.probes)]


async def run(root: Path, options: argparse.Namespace) -> dict[str, object]:
    """All phases; returns the fields of the result."""
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(NodeProcesses(root, NODES))
        await asyncio.to_thread(processes.start)
        cluster = Cluster(processes, stack)
        for node in processes.addresses:
            await cluster.connect(node)
        await cluster.create(options.groups)
        await cluster.kill(VICTIM)
        target = await cluster.target(options.groups, Puts(options.value, 7))
        await cluster.start(VICTIM)
        await wait_ready(cluster.probes, options.groups, options.groups * NODES, PATIENCE)
        return await _phases(cluster, target, options)


async def _phases(cluster: Cluster, target: RemoteTarget, options: argparse.Namespace) -> dict[str, object]:
    calm = Phase(cluster, target, options.clients, 1)
    async with calm.running() as load:
        await load.run_for(CALM_S)
    await cluster.kill(VICTIM)
    bulk = Phase(cluster, target, BULK_CLIENTS, BULK_PUTS)
    async with bulk.running() as load:
        await load.run_until(int(options.gib * (1 << 30)) // options.value)
    catch_up = Phase(cluster, target, options.clients, 1)
    async with catch_up.running() as load:
        await cluster.start(VICTIM)
        while await cluster.is_behind(options.groups):
            await load.run_for(LOOK_S)
    found = await compare(cluster.probes, target.ranges, NODES, PATIENCE)
    return _result(calm, bulk, catch_up, found)


def _result(calm: Phase, bulk: Phase, catch_up: Phase, found: Comparison) -> dict[str, object]:
    phases = {"calm": calm.fields, "write": bulk.fields, "catch_up": catch_up.fields}
    most = max(max(cast("Sequence[float]", one["rss_mib"])) for one in phases.values())
    ratio = cast("float", catch_up.fields["p99_ms"]) / cast("float", calm.fields["p99_ms"])
    return {
        **phases,
        "most_rss_mib": most,
        "p99_ratio": round(ratio, 2),
        "by_snapshot": found.by_snapshot,
        "wrong": found.wrong,
        "ok": found.wrong is None,
    }


def main() -> int:
    """Run it once; exit status 1 if the replicas differ in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--groups", type=int, default=48)
    parser.add_argument("--value", type=int, default=1024)
    parser.add_argument("--clients", type=int, default=64)
    with tempfile.TemporaryDirectory(prefix="multiraft-catch-up-") as folder:
        found = asyncio.run(run(Path(folder), parser.parse_args()))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
