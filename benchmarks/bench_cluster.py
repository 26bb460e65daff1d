"""Puts on three nodes in one process, by the load generator of ``multiraft bench throughput``.

A round is a fixed number of puts, so that runs can be compared; ``cpu_us_per_op`` (all three nodes, without
the load generator) is the steadier figure. Durability is off: the disk has benchmarks of its own.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from multiraft.engine.config import EngineConfig
from multiraft.shards.cluster import Cluster
from multiraft.shards.load import ClosedLoop, Puts, puts_in_a_batch
from multiraft.shards.load_check import compare, wait_ready
from multiraft.shards.load_targets import EngineProbe, LocalTarget

NODES = 3
PAYLOAD = 128
CLIENTS = 4096
ROUNDS = 5
PATIENCE = 120.0
CONFIG = EngineConfig(durability="none", tune_process=True)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


async def start(path: Path, groups: int, most: int) -> tuple[Cluster, LocalTarget, ClosedLoop]:
    cluster = await Cluster.local(NODES, path=path, config=CONFIG, ranges=groups)
    await wait_ready(probes_of(cluster), groups, groups * NODES, PATIENCE)
    target = LocalTarget(cluster.nodes, Puts(PAYLOAD, seed=1))
    load = ClosedLoop(target, CLIENTS, most)
    load.start()
    await load.run_until(2 * CLIENTS)
    return cluster, target, load


async def finish(cluster: Cluster, target: LocalTarget, load: ClosedLoop) -> None:
    await load.stop()
    found = await compare(probes_of(cluster), target.ranges, NODES, PATIENCE)
    await cluster.close()
    assert found.wrong is None


def probes_of(cluster: Cluster) -> list[EngineProbe]:
    return [EngineProbe(node) for node in cluster.nodes]


@pytest.mark.parametrize("api", ["single", "batch"])
@pytest.mark.parametrize(("groups", "puts"), [(1, 40_000), (48, 40_000), (1000, 20_000)])
def test_puts(
    benchmark: BenchmarkFixture, runner: asyncio.Runner, tmp_path: Path, groups: int, puts: int, api: str
) -> None:
    most = puts_in_a_batch(PAYLOAD) if api == "batch" else 1
    cluster, target, load = runner.run(start(tmp_path, groups, most))
    first, cpu = load.mark(), time.process_time()

    async def more() -> None:
        await load.run_until(load.operations + puts)

    benchmark.pedantic(lambda: runner.run(more()), rounds=ROUNDS)
    last, cpu = load.mark(), time.process_time() - cpu
    operations = last.operations - first.operations
    generator = last.generator_cpu - first.generator_cpu
    benchmark.extra_info.update(
        groups=groups,
        puts_per_round=puts,
        cpu_us_per_op=round((cpu - generator) / operations * 1e6, 2),
        client_cpu_us_per_op=round(generator / operations * 1e6, 2),
    )
    runner.run(finish(cluster, target, load))
