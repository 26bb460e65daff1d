"""Puts a node together: data directory, stores, node, transport, host, router, service; closed in reverse."""

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ..engine.config import EngineConfig
from ..engine.datadir import DataDir
from ..engine.errors import Corruption, Error, InvalidArgument
from ..engine.host import Host
from ..engine.logstore.port import Birth
from ..engine.logstore.store import LogStore
from ..engine.logstore.writer import LogWriter
from ..engine.node import Node
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.kv import KVMachine
from ..engine.statemachine.lmdb_store import LmdbStateStore
from ..engine.statemachine.protocol import StateMachine
from ..engine.statemachine.store import StateStore
from ..engine.transport.hello import Hello, HelloKind
from ..engine.transport.memory import MemoryNetwork
from ..engine.transport.port import Transport
from ..engine.transport.tcp import TcpTransport
from .bootstrap import bootstrap_digest, ensure_system_group, members_of
from .directory_machine import DirectoryMachine
from .routing import Router
from .service import Operations, Service


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: its identity, its address and its peers'."""

    path: Path
    node_id: int
    cluster: str
    listen: str | None
    peers: Mapping[int, str]
    """Node id → "host:port"; this node may be among them."""
    insecure: bool = False
    network: MemoryNetwork | None = None
    """Set for nodes of one process; the others speak TCP."""


def make_place(
    path: str | os.PathLike[str],
    node_id: int,
    cluster: str,
    listen: str | None,
    peers: Mapping[int, str] | None,
    *,
    insecure: bool,
    network: MemoryNetwork | None,
) -> Place:
    """Check what a user says about a node; by default it listens at its own entry in ``peers``.

    Raises:
        InvalidArgument: something is missing or cannot be meant.
    """
    if not os.fspath(path):
        raise InvalidArgument("the path of the data directory is empty")
    if not cluster:
        raise InvalidArgument("the cluster's name is empty")
    if not isinstance(peers or {}, Mapping):
        raise InvalidArgument('peers maps node ids to "host:port"')
    peers = dict(peers or {})
    listen = listen or peers.get(node_id)
    others = sorted(set(peers) - {node_id})
    if others and listen is None and network is None:
        raise InvalidArgument(f"node {node_id} has peers {others} but no address to listen on")
    return Place(Path(path), node_id, cluster, listen, peers, insecure, network)


class Machines:
    """Makes the state machines of a node and keeps hold of the directory's."""

    def __init__(
        self,
        place: Place,
        members: tuple[int, ...],
        state: StateStore,
        config: EngineConfig,
        on_births: Callable[[list[Birth]], None],
        on_change: Callable[[], None],
    ) -> None:
        self.directory: DirectoryMachine | None = None
        self._node_id = place.node_id
        self._members = members
        self._state = state
        self._in_memory = config.state_machine == "memory"
        self._on_births = on_births
        self._on_change = on_change

    def make(self, birth: Birth, metadata: bytes | None) -> StateMachine:
        """The machine of a replica; ``metadata`` is there after a restart."""
        if birth.machine == "directory":
            self.directory = DirectoryMachine(
                self._state.group(birth.group),
                self._node_id,
                members=self._members,
                on_births=self._on_births,
                on_change=self._on_change,
            )
            return self.directory
        if birth.machine != "kv":
            raise Corruption(f"no state machine is called {birth.machine!r}", birth.group)
        groups = self._state.memory_group if self._in_memory else self._state.group
        store = groups(birth.group)
        if metadata:
            return KVMachine.from_metadata(store, metadata)
        return KVMachine(store, birth.start, birth.end, birth.epoch)


class Assembly:
    """The running parts of one node."""

    def __init__(self, place: Place, config: EngineConfig, on_stopped: Callable[[Error], None]) -> None:
        self.place = place
        self.config = config
        self.members = members_of(place.node_id, place.peers)
        self.datadir: DataDir
        self.node: Node
        self.host: Host
        self.router: Router
        self.service: Service
        self.transport: Transport
        self._machines: Machines
        self._on_stopped = on_stopped
        self._stack = AsyncExitStack()
        self._nonce = secrets.randbits(64)

    @property
    def machine(self) -> DirectoryMachine:
        """The directory's machine."""
        directory = self._machines.directory
        if directory is None:
            raise self.node.replicas.refusal(SYSTEM_GROUP)
        return directory

    async def open(self, operations: Operations) -> None:
        """Open everything and take part in the cluster; whatever was opened is closed again on an error."""
        self.transport = self._make_transport()
        if isinstance(self.transport, TcpTransport):
            self.transport.check_listen()  # before the directory is given an identity
        try:
            log, state = await asyncio.to_thread(self._open_stores)
            self._build(log, state, operations)
            await self.host.start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def close(self) -> None:
        """Stop and release everything; idempotent."""
        await self._stack.aclose()

    def _open_stores(self) -> tuple[LogStore, LmdbStateStore]:
        place, durability = self.place, self.config.durability
        digest = bootstrap_digest(place.cluster, self.members)
        self.datadir = DataDir.open(place.path, place.node_id, place.cluster, digest)
        self._stack.callback(self.datadir.close)
        log = LogStore.open(self.datadir.log_path, durability)
        self._stack.callback(log.close)
        state = LmdbStateStore.open(self.datadir.state_path, durability)
        self._stack.callback(state.close)
        founded = self.datadir.cluster_uuid is not None
        self.newborn = ensure_system_group(log, place.node_id, self.members, founded=founded)
        return log, state

    def _build(self, log: LogStore, state: LmdbStateStore, operations: Operations) -> None:
        place, loop = self.place, asyncio.get_running_loop()
        seed = random.Random()  # elections of different processes must not fall together
        self._machines = Machines(
            place, self.members, state, self.config, self._births_ordered, self._directory_changed
        )
        self.node = Node(place.node_id, self.config, log, state, self._machines.make, seed, loop.time())
        self.service = Service(self._known_store, self._addresses, self._on_stopped)
        writer = LogWriter(log, lambda batch, error: self.host.batch_written(batch, error))  # noqa: PLW0108 # it does not exist yet
        self.host = Host(self.node, writer, self.transport, self.service)
        session = place.node_id << 32 | self.datadir.incarnation
        self.router = Router(
            place.node_id, session, self.host, lambda: self.machine, self.service.channels, seed
        )
        self.service.serve(self.host, operations)
        self._stack.push_async_callback(self.host.close)
        self._stack.push_async_callback(self.service.close)
        self.node.start(newborn_system=self.newborn)
        self._check_directory()

    def _make_transport(self) -> Transport:
        place = self.place
        if place.network is not None:
            return place.network.join(place.node_id, self._hello)
        return TcpTransport(place.node_id, place.listen, place.peers, self._hello, insecure=place.insecure)

    def _hello(self) -> Hello:
        datadir = self.datadir
        return Hello(
            kind=HelloKind.PEER,
            cluster_uuid=datadir.cluster_uuid,
            bootstrap_digest=datadir.bootstrap_digest,
            node_id=datadir.node_id,
            store_uuid=datadir.store_uuid,
            incarnation=datadir.incarnation,
            nonce=self._nonce,
        )

    def _check_directory(self) -> None:
        """A range that the directory places here, with neither birth nor tombstone, has been lost."""
        replicas, removed = self.node.replicas, self.node.log.tombstones()
        if self._machines.directory is None:
            return
        for birth in self._machines.directory.births_here():
            group = birth.group
            if group not in replicas.running and group not in replicas.lost and group not in removed:
                replicas.declare_lost(group, Corruption("the log store has lost this replica", group))
        self.node.directory_index = self.machine.version

    def _births_ordered(self, births: list[Birth]) -> None:
        self.node.replicas.create(births)

    def _directory_changed(self) -> None:
        self.node.directory_index = self.machine.version
        self.router.directory_changed()

    def _known_store(self, node: int) -> bytes | None:
        record = self.machine.directory.nodes.get(node)
        return None if record is None else record.store_uuid

    def _addresses(self) -> dict[int, str]:
        return {node: record.address for node, record in self.machine.directory.nodes.items()}
