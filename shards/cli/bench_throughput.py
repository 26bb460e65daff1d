"""``bench throughput``: load a cluster for a while, then check that all replicas hold the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, cast

from ..load import ClosedLoop, Mark, Puts, percentile_ms, puts_in_a_batch
from ..load_check import compare, statuses, total
from .bench_nodes import MIB, PATIENCE, BenchNodes, Settings, Usage, create_ready, running_nodes
from .output import Fields, counted

SEED: Final = 20


class Load(NamedTuple):
    """What is put in."""

    groups: int
    payload: int
    """Bytes of each value."""
    keys: int | None
    """Over all groups; None: a new one for each put."""
    clients: int
    seconds: float
    batch: bool

    @property
    def most(self) -> int:
        """Puts in a request, at most."""
        return puts_in_a_batch(self.payload) if self.batch else 1

    @property
    def keys_of_a_group(self) -> int | None:
        """The same for one of them, at least one."""
        return None if self.keys is None else max(1, self.keys // self.groups)

    @property
    def warm_up(self) -> float:
        """Seconds of load before the measurement."""
        return min(1.0, self.seconds / 2)


class Moment(NamedTuple):
    """Everything that is counted, at one moment."""

    mark: Mark
    usage: Usage
    transactions: int
    """Of the log stores and the state stores of all nodes."""
    flushes: list[int]
    """Of each state store."""
    longest_turn_ms: float
    """Of any node, since it began."""


async def run_throughput(root: Path, settings: Settings, load: Load, say: Callable[[str], None]) -> Fields:
    """Start a cluster under ``root``, load it, check it, stop it; returns the fields of the result."""
    async with running_nodes(root, settings) as nodes:
        say(f"create {counted(load.groups, 'range')} on {counted(settings.nodes, 'node')}")
        await create_ready(nodes, settings, load.groups)
        target = await nodes.target(Puts(load.payload, SEED, load.keys_of_a_group))
        closed_loop = ClosedLoop(target, load.clients, load.most)
        say(f"load for {load.warm_up + load.seconds:g} s")
        first, last = await _measure(nodes, closed_loop, load)
        say(f"compare the replicas after {counted(closed_loop.operations, 'put')}")
        found = await compare(nodes.probes, target.ranges, settings.copies, PATIENCE)
        if found.wrong is not None:
            say(f"not verified: {found.wrong}")
        synced = settings.durability == "sync"
        verified = found.wrong is None
        fields = _result(closed_loop, first, last, synced=synced)
        loaded = bool(fields["ops"])
        if not loaded:
            say(f"nothing was measured: no put was acknowledged within {load.seconds:g} s")
        return {**fields, "by_snapshot": found.by_snapshot, "verified": verified, "ok": verified and loaded}


async def _measure(nodes: BenchNodes, load: ClosedLoop, plan: Load) -> tuple[Moment, Moment]:
    try:
        load.start()
        await load.run_for(plan.warm_up)
        first = await _moment(nodes, load)
        load.recording = True
        await load.run_for(plan.seconds)
        load.recording = False
        last = await _moment(nodes, load)
        await load.stop()
    finally:
        load.abandon()
    return first, last


async def _moment(nodes: BenchNodes, load: ClosedLoop) -> Moment:
    found = await statuses(nodes.probes)
    transactions = total(found, "log_batches") + total(found, "state_flushes")
    flushes = [cast("int", status["state_flushes"]) for status in found]
    longest = max(cast("float", status["longest_turn_ms"]) for status in found)
    mark = load.mark()
    return Moment(mark, nodes.usage(mark.generator_cpu), transactions, flushes, longest)


def _result(load: ClosedLoop, first: Moment, last: Moment, *, synced: bool) -> Fields:
    operations = last.mark.operations - first.mark.operations
    seconds = last.mark.time - first.mark.time
    syncs = last.transactions - first.transactions if synced else 0

    def per_operation(cpu: float) -> float | None:
        return round(cpu / operations * 1e6, 3) if operations else None

    return {
        "ops": operations,
        "ops_per_second": round(operations / seconds),
        "cpu_us_per_op": per_operation(last.usage.nodes_cpu - first.usage.nodes_cpu),
        "client_cpu_us_per_op": per_operation(last.usage.client_cpu - first.usage.client_cpu),
        "p50_ms": percentile_ms(load.latencies, 0.5),
        "p99_ms": percentile_ms(load.latencies, 0.99),
        "rss_mib": round(last.usage.rss / MIB, 1),
        "fsyncs_per_second": round(syncs / seconds, 1),
        "flushes": min(after - before for before, after in zip(first.flushes, last.flushes, strict=True)),
        "longest_turn_ms": last.longest_turn_ms,
        "refused": load.refused,
    }
