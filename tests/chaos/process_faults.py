"""What the faults of processes and disks do. Each leaves its nodes running, as it found them."""

import asyncio
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final, Protocol

from .network_faults import imposed
from .nodes import Node, NodeFailed
from .proxy import Proxy
from .schedule import Fault
from .weather import Cut, Weather

REFUSED_S: Final = 60.0
"""Within it a wiped node must be refused; partitions may come in its way."""
DEAF_S: Final = 0.6
FULL: Final = frozenset({"DiskFull", "StorageFailed"})
"""Errors with which a node may end that was started on a full disk."""


class Start(Protocol):
    """Starts a node and returns when it listens. Raises NodeFailed."""

    async def __call__(self, node: Node, *, excused: bool = False) -> None:
        """``excused``: the node may end by itself."""


class ProcessFaults:
    """Carries faults out on the nodes."""

    def __init__(
        self, proxy: Proxy, nodes: Mapping[int, Node], start: Start, complain: Callable[[str], None]
    ) -> None:
        """``complain`` hears of broken promises."""
        self._proxy = proxy
        self._nodes = nodes
        self._start = start
        self._complain = complain
        self._wiping = asyncio.Lock()

    async def carry_out(self, fault: Fault) -> None:
        """Do to the fault's nodes what it says, one fault at a time for each node. Raises NodeFailed."""
        async with AsyncExitStack() as stack:
            for number in sorted(fault.nodes):
                await stack.enter_async_context(self._nodes[number].lock)
            if fault.kind == "kill-all":
                await self._kill_all(fault)
                return
            node = self._nodes[fault.nodes[0]]
            if node.pid is None:  # it ended by itself, which is noted
                await self._start(node)
            work = getattr(self, "_" + fault.kind.replace("-", "_"))
            await work(node, fault)

    async def _kill(self, node: Node, fault: Fault) -> None:
        await node.kill()
        await asyncio.sleep(fault.seconds)  # sleep: the node is down for so long
        await self._start(node)

    _kill_long = _kill

    async def _kill_twice(self, node: Node, fault: Fault) -> None:
        """The second time in the middle of its recovery, or soon after."""
        await node.kill()
        starting = asyncio.create_task(self._start(node))
        await asyncio.wait([starting], timeout=fault.seconds)
        node.excuse()
        node.signal(signal.SIGKILL)
        with suppress(NodeFailed):  # it was killed before it listened
            await starting
        await node.kill()
        await self._start(node)

    async def _kill_all(self, fault: Fault) -> None:
        nodes = [self._nodes[number] for number in fault.nodes]
        for node in nodes:
            node.excuse()
            node.signal(signal.SIGKILL)
        await asyncio.gather(*(node.wait() for node in nodes))
        await asyncio.sleep(fault.seconds)  # sleep: all are down for so long
        await asyncio.gather(*(self._start(node) for node in nodes))

    async def _restart(self, node: Node, fault: Fault) -> None:
        await node.terminate()
        await asyncio.sleep(fault.seconds)  # sleep: the node is down for so long
        await self._start(node)

    async def _pause_short(self, node: Node, fault: Fault) -> None:
        node.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)  # sleep: the node stands still for so long
        finally:
            node.signal(signal.SIGCONT)

    _pause_long = _pause_short

    async def _pause_cut(self, node: Node, fault: Fault) -> None:
        """When the node wakes, it hears of clients long before it hears that another one leads."""
        around = [direction for direction in self._proxy.links if node.number in direction]
        with imposed(self._proxy, around, Weather(cut=Cut.STALL)):
            await self._pause_short(node, fault)
            await asyncio.sleep(DEAF_S)  # sleep: long enough to be asked, too short to notice

    async def _wipe(self, node: Node, fault: Fault) -> None:
        """A node that comes back with an empty directory must be refused, and stop."""
        async with self._wiping:  # two empty nodes of three would begin a cluster of their own
            await node.kill()
            directory = node.disk.directory
            aside = directory.with_name("aside")
            await asyncio.to_thread(directory.rename, aside)
            await self._refused(node)
            await node.kill()
            await asyncio.to_thread(shutil.rmtree, directory)
            await asyncio.to_thread(aside.rename, directory)
            await self._start(node)

    async def _refused(self, node: Node) -> None:
        with suppress(NodeFailed):  # refused before it had said that it listens
            await self._start(node, excused=True)
        status = await node.wait(REFUSED_S)
        words = node.last_words()
        if status is None:
            self._complain(f"node {node.number} runs on an empty directory and nobody refuses it")
        elif node.error() != "ClusterMismatch":
            self._complain(f"the wiped node {node.number} ended with status {status}: {words}")

    async def _disk_full(self, node: Node, fault: Fault) -> None:
        """A node whose disk is full goes on, and recovers by itself when there is space.

        In the variant it is killed meanwhile, and started on the full disk.
        """
        assert node.pid is not None
        await node.disk.fill(node.pid)
        try:
            if fault.variant:
                await node.kill()
                await self._start_on_full(node)
            await node.wait(fault.seconds)
        finally:
            await node.disk.free(node.pid)
        if node.pid is None:  # it could not start
            await self._start(node)

    async def _start_on_full(self, node: Node) -> None:
        """To start on a full disk is worth a try, and nothing worse than a typed error may come of it."""
        try:
            await self._start(node, excused=True)
        except NodeFailed:
            status = await node.wait()
            assert status is not None
            self._check_full(node, status)

    def _check_full(self, node: Node, status: int) -> None:
        if node.error() not in FULL:
            words = node.last_words()
            self._complain(f"node {node.number} on a full disk ended with status {status}: {words}")
