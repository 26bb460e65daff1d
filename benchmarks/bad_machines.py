"""Two state machines among a thousand that do not work: `python -m benchmarks.bad_machines [--rounds 3]`.

Three nodes in one process, everything flushed, a closed loop of puts on all ranges but two. On every other
cluster callers keep asking those two as well: the machine of one raises at each command, that of the other
never returns from its `async_apply`. `ratio` is the throughput of the rest with them over that without, the
median of so many pairs; the aim is 0.9. A line of JSON; progress goes to standard error.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Callable
from typing import Final

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Error, Quarantined
from multiraft.engine.logstore.port import Birth
from multiraft.engine.statemachine.commands import encode_put, envelope
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.protocol import StateMachine
from multiraft.shards.cluster import Cluster
from multiraft.shards.engine import Engine
from multiraft.shards.load import ClosedLoop, Puts
from multiraft.shards.load_check import wait_ready
from multiraft.shards.load_targets import EngineProbe, LocalTarget

STUCK, RAISING, BAD = 0, 1, 2
"""The numbers of the two ranges by their keys, and how many they are."""
ASKERS: Final = 32
"""Callers of each of them, one request each."""
PAUSE_S: Final = 0.02
PATIENCE: Final = 60.0
WARM_UP_S: Final = 1.0


class Stuck(KVMachine):
    """Never returns."""

    async def async_apply(self, commands: object) -> list[object]:
        """See :class:`~multiraft.engine.statemachine.protocol.AsyncMachine`."""
        del commands
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class Raising(KVMachine):
    """Raises at everything."""

    def apply(self, commands: object) -> list[object]:
        """See :class:`~multiraft.engine.statemachine.protocol.StateMachine`."""
        raise RuntimeError(f"{commands!r:.20}: it does not work")


def spoil(engine: Engine, bounds: tuple[bytes, bytes]) -> None:
    """Give the ranges that are going to begin at these keys machines that do not work."""
    stores, state = engine.assembly.node.replicas.stores, engine.assembly.node.state
    make: Callable[[Birth, bytes | None], StateMachine] = stores.machines

    def make_one(birth: Birth, metadata: bytes | None) -> StateMachine:
        if birth.machine == "kv" and birth.start in bounds:
            kind, group = (
                (Stuck, state.memory_group) if birth.start == bounds[STUCK] else (Raising, state.group)
            )
            store = group(birth.group)
            if metadata:
                return kind.from_metadata(store, metadata)
            return kind(store, birth.start, birth.end, birth.epoch)
        return make(birth, metadata)

    stores.machines = make_one


class Asker:
    """Callers who want something of the two ranges and ask again whatever they are told."""

    def __init__(self, engines: list[Engine], births: list[Birth]) -> None:
        self._engines = engines
        self._births = births
        self.refused = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.ensure_future(self._ask(birth)) for birth in births for _ in range(ASKERS)]

    async def _ask(self, birth: Birth) -> None:
        command = envelope(0, 1, birth.epoch, encode_put(birth.start or b"0", b"v" * 128))
        while not self._over.done():
            for engine in self._engines:
                try:
                    answer = await engine.assembly.host.propose(birth.group, [command])
                except Error as error:
                    answer = error
                self.refused += isinstance(answer, Error)
                if isinstance(answer, Quarantined):
                    break
            await asyncio.wait([self._over], timeout=PAUSE_S)

    async def stop(self) -> None:
        """Nobody asks any more."""
        self._over.set_result(None)
        for task in self._tasks:  # those that wait for the stuck one would wait for ever
            task.cancel()
        await asyncio.wait(self._tasks)


async def measure(groups: int, seconds: float, clients: int, *, bad: bool) -> float:
    """Puts a second of a fresh cluster, without those of the two ranges."""
    splits = [(1 << 64) * number // groups for number in range(1, groups)]
    keys = [split.to_bytes(8, "big") for split in splits]
    async with Cluster.local(nodes=3, ranges=0, config=EngineConfig(tune_process=True)) as cluster:
        for engine in cluster.nodes:
            spoil(engine, (b"", keys[0]))
        await cluster.nodes[0].create_ranges(splits=keys)
        probes = [EngineProbe(engine) for engine in cluster.nodes]
        await wait_ready(probes, groups, groups * len(probes), PATIENCE)
        target = LocalTarget(cluster.nodes, Puts(128, seed=1))
        target.ranges = target.ranges[BAD:]
        births = sorted(cluster.nodes[0].assembly.node.log.births().values(), key=lambda one: one.start)
        chosen = [one for one in births if one.machine == "kv"][:BAD]
        asker = Asker(cluster.nodes, chosen) if bad else None
        load = ClosedLoop(target, clients)
        load.start()
        try:
            await load.run_for(WARM_UP_S)
            first = load.mark()
            await load.run_for(seconds)
            last = load.mark()
            await load.stop()
        finally:
            load.abandon()
            if asker is not None:
                await asker.stop()
        if asker is not None and not asker.refused:
            raise RuntimeError("the two ranges have refused nothing: they were not in anybody's way")
        return (last.operations - first.operations) / (last.time - first.time)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--clients", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    pairs: list[tuple[float, float]] = []
    for number in range(chosen.rounds):
        found = {}
        for bad in (False, True) if number % 2 else (True, False):
            found[bad] = asyncio.run(measure(chosen.groups, chosen.seconds, chosen.clients, bad=bad))
            sys.stderr.write(f"{'with' if bad else 'without'} them: {found[bad]:,.0f} puts a second\n")
        pairs.append((found[True], found[False]))
    result = {
        "groups": chosen.groups,
        "ops_per_second": round(statistics.median(one for one, _ in pairs)),
        "ops_per_second_without": round(statistics.median(one for _, one in pairs)),
        "ratio": round(statistics.median(one / other for one, other in pairs), 3),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
