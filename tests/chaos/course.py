"""One run from its start to its end: nodes up, clients and faults, everything healed, verdict."""

import asyncio
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from multiraft.engine.errors import Error
from multiraft.shards.cli.processes import free_addresses
from multiraft.shards.client import Client
from tests.simulation.checkers.base import Outcome

from . import network_faults
from .disks import make_disks
from .history import History, write_lines
from .keys import range_start
from .nodes import Node, NodeFailed
from .process_faults import ProcessFaults
from .proxy import Proxy
from .schedule import NETWORK, Fault, schedule
from .verdict import PATIENCE_S, Verdict, compare_replicas, insist, judge, lost_replicas, read_all
from .workload import Workload

TICK_MS: Final = 50
BEAT_MS: Final = 200
ELECTION_MS: Final = 600
COPIES: Final = 3
CALM_S: Final = 1.0
"""How long the clients go on when the faults are over."""

Fields = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to run."""

    seconds: float
    seed: int
    nodes: int = 3
    ranges: int = 4
    clients: int = 16

    @property
    def replay(self) -> str:
        """The command that makes this run again: the same faults at the same times."""
        options = " ".join(f"--{name} {value:g}" for name, value in asdict(self).items())
        return f"python -m tests.chaos {options}"


class Course:
    """One run below the directory ``root``."""

    def __init__(self, plan: Plan, root: Path, say: Say) -> None:
        self.problems: list[str] = []
        self._plan = plan
        self._root = root
        self._say = say
        self._history = History()
        self._ok = False
        self._addresses = free_addresses(plan.nodes)
        ports = {node: int(address.rpartition(":")[2]) for node, address in self._addresses.items()}
        self._proxy = Proxy(ports, plan.seed)
        self._nodes: dict[int, Node] = {}
        self._done: Counter[str] = Counter()
        self._workload = Workload(self._addresses, self._history, plan.ranges, plan.clients, plan.seed)

    async def run(self) -> Fields:
        """Do everything; what was promised and did not come is in ``problems``."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            stack.callback(self._keep_history)
            await self._prepare(stack)
            await self._start_all()
            seconds = await self._suffer()
            healed = time.monotonic()
            final = await self._examine()
            recovery = time.monotonic() - healed
            operations = self._history.operations
            self._say(f"all is read after {recovery:.1f} s; checking {len(operations)} operations")
            verdict = judge(operations, final)
            self.problems += verdict.problems
            self._ok = not self.problems
        return {
            **self._figures(verdict),
            "seconds": round(time.monotonic() - began, 1),
            "ok": self._ok,
            "fault_seconds": round(seconds, 1),
            "recovery_seconds": round(recovery, 1),
            "problems": self.problems,
            "replay": self._plan.replay,
        }

    def _figures(self, verdict: Verdict) -> Fields:
        counts = self._history.counts()
        return {
            "operations": len(self._history.operations),
            "acknowledged": counts[Outcome.OK],
            "unknown": counts[Outcome.UNKNOWN],
            "faults": self._done.total(),
            "lost": verdict.lost,
            "linearizable": verdict.linearizable,
            "faults_by_kind": dict(sorted(self._done.items())),
            "frames": {**asdict(self._proxy.tally()), "resets": self._proxy.resets},
            "refused": counts[Outcome.REFUSED],
            "failed_reads": counts[Outcome.FAILED],
            "keys": len(self._workload.readers),
            "ranges": len(self._workload.ranges),
            "starts": sum(node.starts for node in self._nodes.values()),
        }

    # -- the beginning -----------------------------------------------------------------------------

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Make disks, network and nodes, each with what takes it away again."""
        roots = {number: self._root / f"node-{number}" for number in self._addresses}
        options = [f"--tick-ms={TICK_MS}", f"--beat-ms={BEAT_MS}", f"--election-timeout-ms={ELECTION_MS}"]
        disks = await make_disks(list(roots.values()), self._say)
        for disk, (number, root) in zip(disks, roots.items(), strict=True):
            stack.push_async_callback(disk.close)
            stack.callback(self._keep_data, disk.directory, self._root / f"kept-{number}")
            node = Node(
                number, self._addresses[number], disk, root.with_suffix(".log"), options, self._complain
            )
            self._nodes[number] = node
            stack.push_async_callback(node.close)
        await self._proxy.start()
        stack.push_async_callback(self._proxy.close)
        self._faults = ProcessFaults(self._proxy, self._nodes, self._start, self._complain)

    async def _start_all(self) -> None:
        await asyncio.gather(*map(self._start, self._nodes.values()))
        deadline = time.monotonic() + PATIENCE_S
        starts = [range_start(number) for number in range(self._plan.ranges + 1)]

        async def create() -> None:
            async with Client.connect(self._addresses[1]) as client:
                await client.create_ranges(splits=starts[1:-1], between=(starts[0], starts[-1]))

        await insist(create, deadline)

    async def _start(self, node: Node, *, excused: bool = False) -> None:
        peers = {peer: self._proxy.address(node.number, peer) for peer in self._nodes if peer != node.number}
        await node.start(peers, excused=excused)

    # -- the middle --------------------------------------------------------------------------------

    async def _suffer(self) -> float:
        """Clients ask and faults happen; returns for how many seconds."""
        over = asyncio.Event()
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._workload.run(over))
            try:
                await self._faults_in_time()
                seconds = time.monotonic() - began
                self._say(f"the faults are over after {seconds:.1f} s")
                await self._heal()
                await asyncio.sleep(CALM_S)  # sleep: the clients go on in calm weather
            finally:
                over.set()
        return seconds

    async def _faults_in_time(self) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for fault in schedule(self._plan.seed, self._plan.nodes, self._plan.seconds, ELECTION_MS / 1000):
                await asyncio.sleep(began + fault.at - time.monotonic())  # sleep: until its time comes
                tasks.create_task(self._carry_out(fault))
            await asyncio.sleep(began + self._plan.seconds - time.monotonic())  # sleep: until the end

    async def _carry_out(self, fault: Fault) -> None:
        self._say(str(fault))
        try:
            if fault.kind == "reset":
                await network_faults.reset(self._proxy, fault)
            elif fault.kind in NETWORK:
                await network_faults.impose(self._proxy, fault)
            else:
                await self._faults.carry_out(fault)
        except NodeFailed as error:
            self._complain(str(error))
        self._done[fault.kind] += 1

    async def _heal(self) -> None:
        for node in self._nodes.values():
            if node.pid is None:
                try:
                    await self._start(node)
                except NodeFailed as error:
                    self._complain(str(error))

    # -- the end -----------------------------------------------------------------------------------

    async def _examine(self) -> dict[bytes, bytes | None]:
        """Ask everything, compare everything: what the keys hold; what is wrong becomes a problem."""
        addresses = list(self._addresses.values())
        problems = self.problems
        final: dict[bytes, bytes | None] = {}
        try:
            final = await read_all(addresses, self._workload.readers, self._history)
            ranges = [range_start(number) for number in self._workload.ranges]
            problems += await compare_replicas(addresses, ranges, min(COPIES, self._plan.nodes))
            problems += await lost_replicas(addresses)
        except* Error as errors:
            problems += [
                f"no answer although nothing is faulty any more: {one!r}" for one in errors.exceptions
            ]
        problems += self._proxy.accepted_damage()
        problems += [text for node in self._nodes.values() for text in node.tracebacks()]
        return final

    def _complain(self, text: str) -> None:
        self._say(f"PROBLEM: {text}")
        self.problems.append(text)

    def _keep_history(self) -> None:
        if not self._ok:
            write_lines(self._root / "history.jsonl", self._history.operations)

    def _keep_data(self, directory: Path, kept: Path) -> None:
        """Copy a data directory out of a file system that is about to go, unless all was well."""
        if not self._ok and directory.exists():
            shutil.copytree(directory, kept)


async def run(plan: Plan, root: Path, say: Say) -> Fields:
    """Run it; SIGTERM ends it as Ctrl-C does."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    return await Course(plan, root, say).run()
