"""The nodes of a run: which of them live, what becomes of their disks, and who may be missing at the end."""

import random
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import ClusterMismatch, Corruption, DiskFull, Error, StorageFailed
from multiraft.engine.node import Node
from multiraft.engine.transport.tcp import TcpOptions
from multiraft.shards.engine import Engine
from multiraft.shards.place import Place

from .checkers.base import Checker
from .disk import Contents, Disk
from .loop import World
from .network import Network
from .node import Process
from .tally import Tally
from .trace import Trace

FIRST_PORT = 7000
IMPOSTOR_PORT = 8000
MOST_LOST = 1
"""Nodes that may lose their disk: a minority of every group, however small."""


class Cluster:
    """Nodes 1 to n. Every way in which one of them comes and goes is a method here."""

    def __init__(
        self, world: World, nodes: int, config: EngineConfig, options: TcpOptions, watch: Checker
    ) -> None:
        self.world = world
        self.random = random.Random(world.random.getrandbits(64))
        self.network = Network(world)
        self.trace = Trace()
        self.tally = Tally()
        self.watch = watch
        self.config = config
        self.options = options
        self.ids = tuple(range(1, nodes + 1))
        self.disks = {node: Disk(world) for node in self.ids}
        self.processes: dict[int, Process] = {}
        """The live ones."""
        self.excused: set[int] = set()
        """Nodes that have lost something and need not come back, or not whole."""
        self.stateless: set[int] = set()
        """Nodes that have lost their state, or part of it, and nothing else: they must get it again."""
        self.gone: set[int] = set()
        """Those among them that do not run any more."""
        self.tear_share = 0.0
        self.pass_cost = 0.0002
        self.hushed = False
        self.leisure = 0.0
        """Whether words that a group does not rest are lost."""
        self.healed = False
        """Whether the faults are over: what goes comes back at once."""
        self.hot: tuple[int, int] | None = None
        """The node and the number of the range that many clients turn to at present."""
        self.on_gone: Callable[[Process], None] = lambda process: None
        """Told when a process has ended, in whatever way."""
        self._starts: dict[int, int] = {}
        self._impostors: list[Process] = []

    # -- what there is ---------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[int, Node]:
        """The nodes that run, by id; see :class:`.checkers.base.Cluster`."""
        return {id_: one.node for id_, one in self.processes.items() if one.node is not None}

    @property
    def engines(self) -> dict[int, Engine]:
        """The nodes that can be asked, by id."""
        return {id_: one.engine for id_, one in self.processes.items() if one.engine is not None}

    @property
    def expected(self) -> list[int]:
        """The nodes that must be there once the faults are over."""
        return [node for node in self.ids if node not in self.gone]

    def note(self, node: int, kind: str, text: str = "") -> None:
        """Write into the trace."""
        self.trace.note(self.world.now, node, kind, text)

    def starts(self, node: int) -> int:
        """How often the node has started."""
        return self._starts.get(node, 0)

    # -- coming and going ------------------------------------------------------------------------

    def start(self, node: int, rate: float = 1.0) -> None:
        """Start a node that does not run."""
        if node in self.processes or node in self.gone:
            return
        self.note(node, "starts")
        self._starts[node] = self.starts(node) + 1
        self.disks[node].failed = False
        port = FIRST_PORT + node
        self.processes[node] = self._process(node, self.disks[node], port, self.watch, rate, self._stopped)

    def _process(self, node: int, disk: Disk, port: int, watch: Checker, rate: float, on_stopped) -> Process:
        peers = {one: f"127.0.0.1:{FIRST_PORT + one}" for one in self.ids}
        listen = f"127.0.0.1:{port}"
        place = Place(Path(f"node-{node}"), node, "simulated", listen, peers, self.ids)
        process = Process(
            self.world,
            self.network,
            place,
            self.config,
            disk,
            watch,
            self.trace,
            self.tally,
            options=self.options,
            rate=rate,
            port=port,
            on_trap=self._trapped,
            on_stopped=on_stopped,
        )
        process.loop.pass_cost, process.hushed = self.pass_cost, self.hushed
        process.leisure = self.leisure
        process.mount.tear_share = self.tear_share if self.may_lose(node) else 0.0
        return process

    def crash(self, node: int, *, silently: bool = False) -> bool:
        """Kill a node; ``silently``: its machine loses power and tells nobody."""
        process = self.processes.pop(node, None)
        if process is None:
            return False
        torn = process.crash(silently=silently)
        self.note(node, "crashes", ("silently " if silently else "") + ("torn" if torn else ""))
        self.world.check(self.watch.stopped, node)
        if torn:
            self.excuse(node)
        self.on_gone(process)
        return True

    def restart(self, node: int, after: float) -> None:
        """Have it start again later."""
        self.world.after(after, self.start, node)

    def close(self, node: int) -> bool:
        """Stop a node in an orderly way."""
        process = self.processes.get(node)
        if process is None or process.engine is None:
            return False
        self.note(node, "closes")
        process.loop.call_soon(lambda: process.loop.create_task(self._close(process)))
        return True

    async def _close(self, process: Process) -> None:
        try:
            await process.close()
        except Error:  # its last flush; whoever closes a node on a broken disk is told
            if not process.disk.failed:
                raise
        self.world.after(0.001, self._exited, process)

    def _exited(self, process: Process) -> None:
        node = process.node_id
        if self.processes.get(node) is process:
            self.crash(node)
            if self.healed:
                self.restart(node, 0.1)

    # -- damage ----------------------------------------------------------------------------------

    def may_lose(self, node: int) -> bool:
        """Whether this node may lose its disk, or part of it."""
        return len((self.excused | self.stateless) - {node}) < MOST_LOST

    def excuse(self, node: int) -> None:
        """A node's disk is damaged."""
        self.excused.add(node)
        self.world.check(self.watch.damaged, node)

    def lose_state(self, node: int, left: dict[bytes, bytes] | None) -> None:
        """A node's state store holds something else now, or has rotted (None)."""
        self.stateless.add(node)
        if left is not None:
            self.disks[node].contents.state = left
        self.note(node, "loses its state" if not left else "has an old state")
        self.world.check(self.watch.state_lost, node)

    def wipe(self, node: int) -> None:
        """A node comes back with an empty disk: nobody may take it for the one it was."""
        self.crash(node)
        self.excused.add(node)
        self.disks[node].contents = Contents()
        self.note(node, "is wiped")
        self.world.check(self.watch.lost, node)

    def impostor(self, node: int, contents: Contents) -> None:
        """An old copy of a node's disk is started somewhere else, while the node runs."""
        self.note(node, "is copied")
        disk = Disk(self.world, contents)
        port = IMPOSTOR_PORT + len(self._impostors)
        self._impostors.append(self._process(node, disk, port, Checker(), 1.0, self._impostor_stopped))

    def _impostor_stopped(self, process: Process, error: BaseException) -> None:
        self.note(process.node_id, "impostor stops", type(error).__name__)
        if not isinstance(error, ClusterMismatch):
            self.world.fail(AssertionError(f"a copy of node {process.node_id} stopped with {error!r}"))
        self.world.after(0.0, process.crash_once)

    def end_impostors(self) -> None:
        """The copies are switched off; each must have been refused by everybody it met."""
        for process in self._impostors:
            process.crash_once()

    # -- what clients want -----------------------------------------------------------------------

    def heat(self, node: int, number: int, seconds: float) -> None:
        """For so long clients want most of all something of one range, and many of them on this node."""
        hot = self.hot = node, number
        self.world.after(seconds, self._cool, hot)

    def _cool(self, hot: tuple[int, int]) -> None:
        if self.hot is hot:
            self.hot = None

    # -- what nodes do by themselves -------------------------------------------------------------

    def _trapped(self, process: Process) -> None:
        if self.processes.get(process.node_id) is process:
            self.crash(process.node_id, silently=self.random.random() < 0.5)
            self.restart(process.node_id, self.random.uniform(0.05, 2.0))

    def _stopped(self, process: Process, error: BaseException) -> None:
        """A node has stopped by itself, or did not open."""
        node = process.node_id
        self.note(node, "stops", type(error).__name__)
        survives = isinstance(error, DiskFull) and process.engine is not None
        if isinstance(error, DiskFull | StorageFailed) and process.disk.failed and not survives:
            self.world.after(0.001, self._exited, process)
            self.restart(node, self.random.uniform(0.5, 3.0))
        elif node in self.excused and isinstance(error, Corruption | ClusterMismatch | StorageFailed):
            self.gone.add(node)
            self.world.after(0.001, self._exited, process)
        else:
            failure = AssertionError(f"node {node} has stopped: {error!r}")
            failure.__cause__ = error
            self.world.fail(failure)


def group_members(nodes: Mapping[int, Node], group: int) -> Collection[int]:
    """The nodes that hold a replica of a group, as far as any of them knows."""
    for node in nodes.values():
        replica = node.replicas.running.get(group)
        if replica is not None:
            return [member for _, member in replica.birth.peers]
    return ()
