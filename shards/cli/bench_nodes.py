"""The clusters that ``bench`` measures: all nodes in this process, or each in one of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import psutil

from ...engine.config import EngineConfig
from ...engine.errors import Closed
from ..client import Client
from ..cluster import Cluster
from ..database import Database
from ..engine import DEFAULT_REPLICAS, Engine
from ..load import Puts, Target
from ..load_check import Status, wait_ready
from ..load_targets import ClientProbe, EngineProbe, Link, LocalTarget, Probe, RemoteTarget
from ..status import led_ranges
from .processes import NodeProcesses
from .progress import Phases

MIB: Final = 1 << 20
PATIENCE: Final = 120.0
"""Seconds for a thousand ranges to get ready, and for replicas to catch up in the end."""


class Settings(NamedTuple):
    """What the nodes of a measurement are."""

    nodes: int
    transport: str
    """``"memory"`` or ``"tcp"``."""
    durability: str
    state_machine: str
    election_timeout_ms: int

    @property
    def copies(self) -> int:
        """Replicas of each range."""
        return min(DEFAULT_REPLICAS, self.nodes)

    @property
    def times(self) -> dict[str, int]:
        """Election timeout, and a tick and a beat that fit it."""
        timeout = self.election_timeout_ms
        return {
            "election_timeout_ms": timeout,
            "beat_ms": max(1, min(500, timeout // 2)),
            "tick_ms": max(1, min(100, timeout // 5)),
        }


class Usage(NamedTuple):
    """What the nodes and the load generator have used so far."""

    nodes_cpu: float
    """Seconds, user and system."""
    client_cpu: float
    rss: int
    """Bytes that the processes of the nodes hold now."""


class BenchNodes(Protocol):
    """A running cluster, ready to be measured. Its nodes are 1, 2 and so on."""

    @property
    def probes(self) -> Sequence[Probe]:
        """One for each node."""
        ...

    def database(self, node: int = 1) -> Database:
        """The store, by way of one node."""
        ...

    async def target(self, puts: Puts) -> Target:
        """Where a load goes; the ranges must be ready."""
        ...

    async def led(self, node: int) -> list[bytes]:
        """The first keys of the ranges that a node leads."""
        ...

    async def kill(self, node: int) -> None:
        """End a node without warning; what it was doing is not finished. Returns when it is gone."""

    async def start(self, node: int) -> None:
        """Start it again on what its disk holds; returns when it can be asked."""

    def usage(self, generator_cpu: float = 0.0) -> Usage:
        """What was used; ``generator_cpu`` is what the load generator has timed of itself."""
        ...


class LocalNodes:
    """All nodes on this process's event loop, together with the load generator."""

    def __init__(self, cluster: Cluster, reopen: Callable[[int], Awaitable[Engine]]) -> None:
        self._cluster = cluster
        self._engines = dict(enumerate(cluster.nodes, 1))
        self._reopen = reopen
        self._process = psutil.Process()

    @property
    def probes(self) -> list[EngineProbe]:
        """Direct ones."""
        return [EngineProbe(engine) for engine in self._engines.values()]

    def database(self, node: int = 1) -> Engine:
        """The engine."""
        return self._engines[node]

    async def target(self, puts: Puts) -> LocalTarget:
        """The leaders' hosts."""
        return LocalTarget(list(self._engines.values()), puts)

    async def led(self, node: int) -> list[bytes]:
        """See :class:`BenchNodes`."""
        return led_ranges(self._engines[node].assembly.node)

    async def kill(self, node: int) -> None:
        """Stop its turns, then close what it has open: nothing is flushed that a clean stop would flush."""
        self._engines[node].assembly.host.stop(Closed("the node was killed"))
        await self._engines[node].close()

    async def start(self, node: int) -> None:
        """Open its directory anew, on the same network."""
        self._engines[node] = await self._reopen(node)

    def usage(self, generator_cpu: float = 0.0) -> Usage:
        """Everything that the load generator has not timed as its own counts as the nodes'."""
        nodes_cpu = time.process_time() - generator_cpu
        return Usage(nodes_cpu, generator_cpu, self._process.memory_info().rss)


class RemoteNodes:
    """A process for each node; the load generator is this one."""

    def __init__(self, processes: NodeProcesses, stack: AsyncExitStack) -> None:
        self._nodes = processes
        self._stack = stack
        self._clients: dict[int, Client] = {}
        self._links: dict[int, Link] = {}
        self._processes: dict[int, psutil.Process] = {}

    @property
    def probes(self) -> list[ClientProbe]:
        """Connections."""
        return [ClientProbe(client) for client in self._clients.values()]

    def database(self, node: int = 1) -> Client:
        """A connection."""
        return self._clients[node]

    async def connect(self, node: int) -> None:
        """Connect to a node that listens."""
        address = self._nodes.addresses[node]
        self._processes[node] = psutil.Process(self._nodes.nodes[node].pid)
        self._clients[node] = await self._stack.enter_async_context(Client.connect(address))
        self._links[node] = await Link.connect(address)
        self._stack.push_async_callback(self._links[node].close)

    async def target(self, puts: Puts) -> RemoteTarget:
        """A connection to each node, and which ranges it leads."""
        led = await asyncio.gather(*(self.led(node) for node in self._clients))
        leaders = {
            start: link for link, starts in zip(self._links.values(), led, strict=True) for start in starts
        }
        return RemoteTarget(leaders, puts)

    async def led(self, node: int) -> list[bytes]:
        """See :class:`BenchNodes`."""
        return await self._clients[node].led_ranges()

    async def kill(self, node: int) -> None:
        """SIGKILL."""
        self._nodes.kill(node)
        await asyncio.to_thread(self._nodes.wait, node)

    async def start(self, node: int) -> None:
        """Start a new process and connect to it."""
        await asyncio.to_thread(self._nodes.start_node, node)
        await self.connect(node)

    def usage(self, generator_cpu: float = 0.0) -> Usage:  # noqa: ARG002 # this whole process is the generator
        """The operating system tells the processes apart."""
        times = [process.cpu_times() for process in self._processes.values()]
        nodes_cpu = sum(one.user + one.system for one in times)
        rss = sum(process.memory_info().rss for process in self._processes.values())
        return Usage(nodes_cpu, time.process_time(), rss)


@asynccontextmanager
async def running_nodes(root: Path, settings: Settings) -> AsyncIterator[BenchNodes]:
    """Start the nodes, without ranges, and stop them in the end.

    Raises:
        CommandFailed, Error: one does not start.
    """
    async with AsyncExitStack() as stack:
        if settings.transport == "memory":
            yield await _local_nodes(root, settings, stack)
        else:
            yield await _remote_nodes(root, settings, stack)


async def create_ready(
    nodes: BenchNodes, settings: Settings, ranges: int, phases: Phases | None = None
) -> list[Status]:
    """Create ranges and wait until all replicas of them work; returns the nodes' statuses.

    Raises:
        Unavailable: it takes more than two minutes for every thousand ranges.
    """
    creating = None if phases is None else phases.phase("create ranges")
    leading = None if phases is None else phases.phase("elect leaders")
    await nodes.database().create_ranges(ranges, progress=creating)
    patience = PATIENCE * (1 + ranges / 1000)
    return await wait_ready(nodes.probes, ranges, ranges * settings.copies, patience, leading)


async def _local_nodes(root: Path, settings: Settings, stack: AsyncExitStack) -> BenchNodes:
    config = EngineConfig(
        durability="sync" if settings.durability == "sync" else "none",
        state_machine="lmdb" if settings.state_machine == "lmdb" else "memory",
        tune_process=True,
        **settings.times,
    )
    opening = Cluster.local(settings.nodes, path=root, config=config, ranges=0)
    cluster = await stack.enter_async_context(opening)

    async def reopen(node: int) -> Engine:
        place = cluster.nodes[node - 1].assembly.place
        engine = Engine.open(
            place.path,
            node_id=node,
            peers=place.peers,
            cluster=place.cluster,
            config=config,
            ranges=0,
            network=cluster.network,
        )
        return await stack.enter_async_context(engine)

    return LocalNodes(cluster, reopen)


async def _remote_nodes(root: Path, settings: Settings, stack: AsyncExitStack) -> BenchNodes:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.times.items()]
    options += [f"--durability={settings.durability}", f"--state-machine={settings.state_machine}"]
    options.append("--ranges=0")  # a node that is alone begins with a range of its own otherwise
    processes = stack.enter_context(NodeProcesses(root, settings.nodes, options))
    await asyncio.to_thread(processes.start)
    nodes = RemoteNodes(processes, stack)
    for node in processes.addresses:
        await nodes.connect(node)
    return nodes
