"""The course of a demo: start, create, load, kill, go on, start again, read back."""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...engine.errors import Retryable, Unknown
from .dataset import cuts_of
from .demo_check import Found, Outage, judge, problems, read_back
from .demo_load import Connections, Load
from .output import CommandFailed, Fields, counted
from .processes import NodeProcesses
from .progress import Phases
from .running import together

KILL_BETWEEN: Final = (0.2, 0.7)
"""The node is killed when a part of the rows between these is acknowledged."""
PATIENCE: Final = 60.0
"""Seconds until something that should happen by itself counts as failed."""
POLL: Final = 0.05


@dataclass(frozen=True)
class Plan:
    """What to do."""

    rows: Mapping[bytes, bytes]
    nodes: int
    ranges: int
    choice: random.Random
    """Decides the order of the rows, the moment of the kill, and the node if several qualify."""

    @property
    def least_led(self) -> int:
        """Ranges that the killed node must lead: a quarter, or a fifth if there are five nodes."""
        return math.ceil(self.ranges / max(4, self.nodes))


async def run_demo(root: Path, plan: Plan) -> Fields:
    """Run the whole demo on node processes below ``root``; returns the fields of its result.

    Raises:
        CommandFailed: the cluster does not do its part in time.
        Error: likewise.
    """
    with Phases() as phases, NodeProcesses(root, plan.nodes) as nodes:
        course = Course(plan, nodes, phases)
        try:
            return await course.run()
        finally:
            await course.connections.close()


class Course:
    """One run; see :func:`run_demo`."""

    def __init__(self, plan: Plan, nodes: NodeProcesses, phases: Phases) -> None:
        self.connections = Connections()
        self._plan = plan
        self._nodes = nodes
        self._phases = phases
        self._loop = asyncio.get_running_loop()
        self._cuts = cuts_of(sorted(plan.rows), plan.ranges)

    async def run(self) -> Fields:
        """Do everything in its order."""
        rows = self._plan.rows
        await self._start()
        await self._create_ranges()
        progress = self._phases.phase("load rows")
        load = Load(
            rows, self._cuts, self.connections, self._plan.choice, lambda done: progress(done, len(rows))
        )
        seconds, outage = await together(self._load(load), self._outage(load))
        found = await self._read_back()
        wrong = [
            *problems(rows, load.acknowledged, found),
            *(f"node {node} ended by itself: {words}" for node, words in self._nodes.ended()),
        ]
        for problem in wrong:
            self._phases.say(problem)
        fields = judge(rows, load.acknowledged, outage, found, self._plan.ranges, seconds)
        return {**fields, "ok": bool(fields["ok"]) and not wrong}

    async def _start(self) -> None:
        progress = self._phases.phase("start nodes")
        progress(0, self._plan.nodes)
        await asyncio.to_thread(self._nodes.start)
        for done, (node, address) in enumerate(self._nodes.addresses.items(), 1):
            await self.connections.connect(node, address)
            progress(done, self._plan.nodes)

    async def _create_ranges(self) -> None:
        """Create the ranges and wait until each has a leader."""
        progress = self._phases.phase("create ranges")
        progress(0, self._plan.ranges)
        give_up = self._loop.time() + PATIENCE
        while True:
            try:
                await self.connections.pick()[1].create_ranges(splits=self._cuts)
            except (Retryable, Unknown):
                if self._loop.time() > give_up:
                    raise
            else:
                break
        while (led := sum(map(len, (await self._led_ranges()).values()))) < self._plan.ranges:
            progress(led, self._plan.ranges)
            await self._pause(give_up, f"only {led} of {counted(self._plan.ranges, 'range')} have a leader")
        progress(self._plan.ranges, self._plan.ranges)

    async def _load(self, load: Load) -> float:
        """Write every row; returns the seconds that this took."""
        began = self._loop.time()
        await load.run()
        return self._loop.time() - began

    async def _outage(self, load: Load) -> Outage:
        """Kill a node in the middle of the load, measure until others lead, and start it again."""
        part = self._plan.choice.uniform(*KILL_BETWEEN)
        await load.reached(int(part * load.free_rows))
        node, led = await self._victim(load)
        await load.release(led)
        unfinished, before = load.unfinished(led), load.writes
        killed = self._loop.time()
        self._nodes.kill(node)
        self._phases.say(
            f"killed node {node}: it led {counted(len(led), 'range')}; "
            f"{counted(unfinished, 'write')} to them had no answer and will be repeated until acknowledged"
        )

        async def first_write(place: int) -> float:
            await load.write(*load.first_rows[place])
            return self._loop.time() - killed

        failover = max(await together(*map(first_write, led)))
        self._phases.say(f"after {failover:.2f} s every one of these ranges takes writes again")
        await asyncio.to_thread(self._nodes.wait, node)
        await asyncio.to_thread(self._nodes.start_node, node)
        writes = load.writes - before
        await self.connections.connect(node, self._nodes.addresses[node])
        self._phases.say(f"node {node} is back; {counted(writes, 'write')} acknowledged without it")
        return Outage(node, len(led), unfinished, failover, writes)

    async def _victim(self, load: Load) -> tuple[int, list[int]]:
        """A node that leads many ranges, and the numbers of these."""
        give_up = self._loop.time() + PATIENCE
        while True:
            led = await self._led_ranges()
            fit = [node for node, starts in led.items() if len(starts) >= self._plan.least_led]
            if fit:
                node = self._plan.choice.choice(fit)
                return node, [load.range_of(start) for start in led[node]]
            await self._pause(give_up, f"no node leads {counted(self._plan.least_led, 'range')}")

    async def _led_ranges(self) -> dict[int, list[bytes]]:
        nodes = self._nodes.addresses
        led = await asyncio.gather(*(self.connections[node].led_ranges() for node in nodes))
        return dict(zip(nodes, led, strict=True))

    async def _read_back(self) -> dict[int, Found]:
        rows = self._plan.rows

        async def read(node: int) -> Found:
            progress = self._phases.phase(f"read through node {node}")
            return await read_back(self.connections[node], rows, lambda done: progress(done, len(rows)))

        nodes = list(self._nodes.addresses)
        return dict(zip(nodes, await together(*map(read, nodes)), strict=True))

    async def _pause(self, give_up: float, problem: str) -> None:
        if self._loop.time() > give_up:
            raise CommandFailed(f"{problem} after {PATIENCE:g} s")
        await asyncio.sleep(POLL)
