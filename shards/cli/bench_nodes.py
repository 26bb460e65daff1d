"""The clusters that ``bench`` measures: all nodes in this process, or each in one of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import psutil

from ...engine.config import EngineConfig
from ..client import Client
from ..cluster import Cluster
from ..database import Database
from ..engine import DEFAULT_REPLICAS
from ..load import Puts, Target
from ..load_targets import ClientProbe, EngineProbe, Link, LocalTarget, Probe, RemoteTarget
from .processes import NodeProcesses

MIB: Final = 1 << 20


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
    """A running cluster, ready to be measured."""

    @property
    def database(self) -> Database:
        """Any node, to create ranges with."""
        ...

    @property
    def probes(self) -> Sequence[Probe]:
        """One for each node."""
        ...

    async def target(self, puts: Puts) -> Target:
        """Where a load goes; the ranges must be ready."""
        ...

    def usage(self, generator_cpu: float = 0.0) -> Usage:
        """What was used; ``generator_cpu`` is what the load generator has timed of itself."""
        ...


class LocalNodes:
    """All nodes on this process's event loop, together with the load generator."""

    def __init__(self, cluster: Cluster) -> None:
        self.database = cluster
        self.probes = [EngineProbe(engine) for engine in cluster.nodes]
        self._engines = cluster.nodes
        self._process = psutil.Process()

    async def target(self, puts: Puts) -> LocalTarget:
        """The leaders' hosts."""
        return LocalTarget(self._engines, puts)

    def usage(self, generator_cpu: float = 0.0) -> Usage:
        """Everything that the load generator has not timed as its own counts as the nodes'."""
        nodes_cpu = time.process_time() - generator_cpu
        return Usage(nodes_cpu, generator_cpu, self._process.memory_info().rss)


class RemoteNodes:
    """A process for each node; the load generator is this one."""

    def __init__(self, processes: NodeProcesses, clients: Sequence[Client], links: Sequence[Link]) -> None:
        self.database = clients[0]
        self.probes = [ClientProbe(client) for client in clients]
        self._clients = clients
        self._links = links
        self._processes = [psutil.Process(process.pid) for process in processes.nodes.values()]

    async def target(self, puts: Puts) -> RemoteTarget:
        """A connection to each node, and which ranges it leads."""
        led = await asyncio.gather(*(client.led_ranges() for client in self._clients))
        leaders = {start: link for link, starts in zip(self._links, led, strict=True) for start in starts}
        return RemoteTarget(leaders, puts)

    def usage(self, generator_cpu: float = 0.0) -> Usage:  # noqa: ARG002 # this whole process is the generator
        """The operating system tells the processes apart."""
        times = [process.cpu_times() for process in self._processes]
        nodes_cpu = sum(one.user + one.system for one in times)
        rss = sum(process.memory_info().rss for process in self._processes)
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


async def _local_nodes(root: Path, settings: Settings, stack: AsyncExitStack) -> BenchNodes:
    config = EngineConfig(
        durability="sync" if settings.durability == "sync" else "none",
        state_machine="lmdb" if settings.state_machine == "lmdb" else "memory",
        tune_process=True,
        **settings.times,
    )
    opening = Cluster.local(settings.nodes, path=root, config=config, ranges=0)
    return LocalNodes(await stack.enter_async_context(opening))


async def _remote_nodes(root: Path, settings: Settings, stack: AsyncExitStack) -> BenchNodes:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.times.items()]
    options += [f"--durability={settings.durability}", f"--state-machine={settings.state_machine}"]
    options.append("--ranges=0")  # a node that is alone begins with a range of its own otherwise
    processes = stack.enter_context(NodeProcesses(root, settings.nodes, options))
    await asyncio.to_thread(processes.start)
    clients, links = [], []
    for address in processes.addresses.values():
        clients.append(await stack.enter_async_context(Client.connect(address)))
        links.append(await Link.connect(address))
        stack.push_async_callback(links[-1].close)
    return RemoteNodes(processes, clients, links)
