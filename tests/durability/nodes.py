"""The nodes whose files are recorded or looked at: real ones, with everything small so that much happens."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multiraft.engine.config import EngineConfig
from multiraft.engine.datadir import DataDir
from multiraft.engine.logstore import checkpointer
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.port import Batch, GroupWrite, LogStore
from multiraft.engine.logstore.store import LogStore as DiskLogStore
from multiraft.engine.logstore.store import StagedBatch
from multiraft.engine.logstore.writer import LogWriter
from multiraft.engine.node import Node
from multiraft.engine.replica import SYSTEM_GROUP, Replica
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.transport.kinds import FrameKind
from multiraft.engine.transport.memory import MemoryNetwork
from multiraft.engine.turn import Effects, Inputs
from multiraft.native import logdump
from multiraft.native.frames import open_header
from multiraft.native.nursery import WriteColumns
from multiraft.raft.entry import EntryType
from multiraft.shards.assembly import Assembly, Machines
from multiraft.shards.bootstrap import bootstrap_digest, ensure_system_group
from multiraft.shards.engine import Engine
from multiraft.shards.place import Place, make_place
from multiraft.shards.ports import Durability, MachinePorts
from tests.engine.harness import messages
from tests.engine.logstore.builders import Alternating

from .facts import Teller

NODES = (1, 2, 3)
CONFIG = EngineConfig(
    tick_ms=10,
    beat_ms=30,
    election_timeout_ms=120,
    log_keep_entries=6,
    log_keep_bytes=100_000,
    flush_ms=15,
    snapshot_ms=500,
    snapshot_chunk_bytes=300,
)
IN_MEMORY = replace(CONFIG, state_machine="memory")
"""Machines that are kept in memory, and as checkpoints."""
POLICY = CollectionPolicy(factor=1.5, slack=30_000, batches=3, live_bytes=10_000)
BALLAST = 8_192


def make_small() -> None:
    """Have checkpoints of the log's index renewed often, in many slices."""
    checkpointer.RENEW_ENTRIES, logdump._ROOM = 40, 2_000


def place_of(path: Path, node: int, network: MemoryNetwork | None = None) -> Place:
    """Where a node of the cluster in a directory stands."""
    peers = {one: f"127.0.0.1:{one}" for one in NODES}
    return make_place(
        path / f"node-{node}",
        node,
        "crashed",
        None,
        peers,
        insecure=False,
        network=network or MemoryNetwork(),
    )


class EagerWriter(LogWriter[Any]):
    """Says that batches are durable when it is handed them: what must never be done."""

    def __init__(self, log: LogStore[Any], notify: Callable[[Batch, Exception | None], None]) -> None:
        super().__init__(log, lambda batch, error: None)
        self._say = notify

    def submit(self, batch: Any) -> None:
        super().submit(batch)
        self._say(batch, None)


class SmallPorts(MachinePorts):
    """A real machine's, but for sizes."""

    eager = False

    def open_identity(self, digest: bytes) -> DataDir:
        place = self._place
        return DataDir.open(place.path, place.node_id, place.cluster, digest, ballast_bytes=BALLAST)

    def open_log(self, durability: Durability) -> DiskLogStore:
        checkpoint = self._folder("index")
        log, sizes = self._folder("log"), Alternating()
        return DiskLogStore.open(log, durability, collection=POLICY, checkpoint=checkpoint, sizes=sizes)

    def make_log_writer(self, log: LogStore[Any], notify: Callable[[Batch, Exception | None], None]) -> Any:
        return EagerWriter(log, notify) if self.eager else super().make_log_writer(log, notify)


class WatchedAssembly(Assembly):
    """Tells what its node sends and applies."""

    teller: Teller | None = None

    def _check_directory(self) -> None:
        super()._check_directory()
        if self.teller is not None:
            watch(self.node, self.teller)


def watch(node: Node, teller: Teller) -> None:
    """Have told what a node does, before anybody else can know of it."""
    turn, stage, applied = node.turn, node.log.stage, dict[int, int]()

    def watched_stage(writes: Sequence[GroupWrite], columns: Sequence[WriteColumns] = ()) -> StagedBatch:
        in_flight = node.batches_in_flight
        batch: StagedBatch = stage(writes, columns)
        teller.staged(writes, batch, in_flight)
        return batch

    def watched(now: float, inputs: Inputs) -> Effects:
        effects = turn(now, inputs)
        for frame in effects.frames:
            for received in messages(frame):
                teller.sent_message(node.node_id, received)
        if any(open_header(frame)[0] == FrameKind.HEAD for _, frame in effects.streams.frames):
            teller.saw("snapshot")
        for group, replica in node.replicas.running.items():
            index = replica.applied.index
            if isinstance(replica.machine, KVMachine) and applied.get(group) != index:
                applied[group] = index
                teller.state(group, index, replica.machine.digest())
        return effects

    node.turn, node.log.stage = watched, watched_stage  # type: ignore[method-assign] # they are watched


async def start_engine(
    place: Place, teller: Teller | None = None, *, eager: bool = False, config: EngineConfig = CONFIG
) -> Engine:
    """A node as users open it."""
    ports = SmallPorts(place)
    ports.eager = eager
    engine: Engine
    assembly = WatchedAssembly(place, config, ports, lambda error: engine.node_stopped(error))  # noqa: PLW0108 # it does not exist yet
    assembly.teller = teller
    engine = Engine(assembly)
    await engine.start(0, None)
    if teller is not None:
        teller.tell("start", place.node_id, assembly.identity.incarnation)
    return engine


@dataclass
class OpenNode:
    """A node that has started from its files and taken no turn."""

    node_id: int
    identity: DataDir
    log: DiskLogStore
    state: LmdbStateStore
    node: Node

    def replicas(self) -> Iterator[Replica]:
        """Those of ranges."""
        return (one for group, one in self.node.replicas.running.items() if group != SYSTEM_GROUP)


@contextmanager
def open_node(place: Place, config: EngineConfig = CONFIG) -> Iterator[OpenNode]:
    """Open a node's files as :class:`Assembly` does, and start its replicas.

    That is all that a node ever reads of its disk before its first turn, and no turn is needed for what is
    looked at. What it misses against a whole cluster: elections, and what replicas then tell one another.
    """
    node_id, ports = place.node_id, SmallPorts(place)
    identity = ports.open_identity(bootstrap_digest(place.cluster, place.members))
    log = state = None
    try:
        log, state = ports.open_log("none"), ports.open_state("none")
        ensure_system_group(log, node_id, place.members, founded=identity.cluster_uuid is not None)
        machines = Machines(place, state, config, _ignore, _ignore, lambda: None, lambda: None)
        node = Node(node_id, config, log, state, machines.make, ports.random, 0.0)
        node.start()
        assembly = Assembly(place, config, ports, lambda error: None)
        assembly.node, assembly._machines = node, machines
        assembly._check_directory()
        yield OpenNode(node_id, identity, log, state, node)
    finally:
        for opened in (state, log, identity):
            if opened is not None:
                opened.close()


def _ignore(_replicas: object) -> None:
    """Nothing is born and nothing removed: the node takes no turn."""


def apply_all(open_: OpenNode, replica: Replica) -> None:
    """Apply the rest of a replica's log, as it would if it led and its group went along."""
    log = open_.log.group(replica.group)
    first = replica.applied.index + 1
    entries = log.entries(first, log.last_index() + 1, None) if first <= log.last_index() else ()
    replica.machine.apply([one.data for one in entries if one.data and one.type is EntryType.NORMAL])


async def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Let the nodes of this loop work until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 # no event says that replicas are level
            await asyncio.sleep(0.005)  # sleep: nodes of the same loop elect and send by the clock
