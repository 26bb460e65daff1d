"""Puts a node together: data directory, stores, node, transport, host, router, service; closed in reverse."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from ..engine.config import EngineConfig
from ..engine.errors import Corruption, Error
from ..engine.host import Host
from ..engine.logstore.port import Birth, LogStore
from ..engine.node import Node
from ..engine.removals import Removal
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.kv import KVMachine
from ..engine.statemachine.protocol import StateMachine
from ..engine.statemachine.store import StateStore
from ..engine.transport.hello import Hello, HelloKind
from ..engine.transport.port import Transport
from .bootstrap import bootstrap_digest, ensure_system_group
from .directory_machine import DirectoryMachine
from .logged import logged_store
from .place import Place
from .ports import Identity, Ports
from .routing import Router
from .service import Operations, Service


class Machines:
    """Makes the state machines of a node and keeps hold of the directory's."""

    def __init__(
        self,
        place: Place,
        state: StateStore,
        config: EngineConfig,
        on_births: Callable[[list[Birth]], None],
        on_removals: Callable[[list[Removal]], None],
        on_reload: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self.directory: DirectoryMachine | None = None
        self._node_id = place.node_id
        self._members = place.members
        self._state = state
        self._in_memory = config.state_machine == "memory"
        self._on_births = on_births
        self._on_removals = on_removals
        self._on_reload = on_reload
        self._on_change = on_change

    def make(self, birth: Birth, metadata: bytes | None) -> StateMachine:
        """The machine of a replica; ``metadata`` is there after a restart."""
        if birth.machine == "directory":
            self.directory = DirectoryMachine(
                self._state.group(birth.group),
                self._node_id,
                members=self._members,
                on_births=self._on_births,
                on_removals=self._on_removals,
                on_reload=self._on_reload,
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
    """The running parts of one node.

    Args:
        place: which node, among which others.
        config: its settings.
        ports: what it stands on; used for this run only.
        on_stopped: told why, once, if the node stops by itself.
    """

    def __init__(
        self, place: Place, config: EngineConfig, ports: Ports, on_stopped: Callable[[Error], None]
    ) -> None:
        self.place = place
        self.config = config
        self.ports = ports
        self.identity: Identity
        self.node: Node
        self.host: Host
        self.router: Router
        self.service: Service
        self.transport: Transport
        self._machines: Machines
        self._on_stopped = on_stopped
        self._stack = AsyncExitStack()
        self._nonce = int.from_bytes(ports.token(8), "little")

    @property
    def machine(self) -> DirectoryMachine:
        """The directory's machine."""
        directory = self._machines.directory
        if directory is None:
            raise self.node.replicas.refusal(SYSTEM_GROUP)
        return directory

    async def open(self, operations: Operations) -> None:
        """Open everything and take part in the cluster; whatever was opened is closed again on an error."""
        self.transport = self.ports.make_transport(self._hello)  # before there is an identity: it may fail
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

    def _open_stores(self) -> tuple[LogStore[Any], StateStore]:
        place, durability = self.place, self.config.durability
        self.identity = self.ports.open_identity(bootstrap_digest(place.cluster, place.members))
        self._stack.callback(self.identity.close)
        log = self.ports.open_log(durability)
        self._stack.callback(log.close)
        state = self.ports.open_state(durability)
        self._stack.callback(state.close)
        founded = self.identity.cluster_uuid is not None
        self.newborn = ensure_system_group(log, place.node_id, place.members, founded=founded)
        return log, state

    def _build(self, log: LogStore[Any], state: StateStore, operations: Operations) -> None:
        place, ports, loop = self.place, self.ports, asyncio.get_running_loop()
        self._machines = Machines(
            place,
            state,
            self.config,
            self._births_ordered,
            self._removals_ordered,
            self._remove_deleted,
            self._directory_changed,
        )
        self.node = Node(
            place.node_id,
            self.config,
            log,
            state,
            self._machines.make,
            ports.random,
            loop.time(),
            stopwatch=time.perf_counter,  # not the loop's clock: that of uvloop ticks in milliseconds
        )
        self.service = Service(self._known_store, self._addresses, self._joined, self._on_stopped)
        writer = ports.make_log_writer(log, lambda batch, error: self.host.batch_written(batch, error))  # noqa: PLW0108 # it does not exist yet
        flusher, reader = ports.make_flusher(), ports.make_reader()
        self.host = Host(self.node, writer, flusher, reader, self.transport, self.service, self.identity)
        session = place.node_id << 32 | self.identity.incarnation
        self.router = Router(
            place.node_id, session, self.host, lambda: self.machine, self.service.channels, ports.random
        )
        self.service.serve(self.host, operations)
        self._stack.push_async_callback(self.host.close)
        self._stack.push_async_callback(self.service.close)
        self.node.start(newborn_system=self.newborn)
        self._check_directory()

    def _hello(self) -> Hello:
        identity = self.identity
        return Hello(
            kind=HelloKind.PEER,
            cluster_uuid=identity.cluster_uuid,
            bootstrap_digest=identity.bootstrap_digest,
            node_id=self.place.node_id,
            store_uuid=identity.store_uuid,
            incarnation=identity.incarnation,
            nonce=self._nonce,
        )

    def _check_directory(self) -> None:
        """A range that the directory places here, with neither birth nor tombstone, has been lost.

        One that is here, and that the directory has had and does not have, was deleted while it was.
        """
        replicas, removed = self.node.replicas, self.node.log.tombstones()
        if self._machines.directory is None:
            return
        for birth in self._machines.directory.births_here():
            group = birth.group
            if group not in replicas.running and group not in replicas.lost and group not in removed:
                replicas.declare_lost(birth, Corruption("the log store has lost this replica", group))
        self._remove_deleted()
        self.node.directory_index = self.machine.version

    def _remove_deleted(self) -> None:
        """Take away what was born for this directory or an earlier one, and is not in it any more.

        A birth of a later one waits for its entry: after a crash the directory's log is replayed.
        """
        directory, births = self.machine.directory, self.node.log.births()
        for group in births:
            if group == SYSTEM_GROUP or directory.by_group(group) is not None:
                continue
            birth = births[group]
            if birth.directory_index <= directory.version:
                self.node.replicas.removals.order([Removal(group, birth.replica_id)])

    def _births_ordered(self, births: list[Birth]) -> None:
        self.node.replicas.create(births)

    def _removals_ordered(self, removals: list[Removal]) -> None:
        self.node.replicas.removals.order(removals)

    def _directory_changed(self) -> None:
        self.node.directory_index = self.machine.version
        self.router.directory_changed()

    def _joined(self) -> bool:
        return self.identity.cluster_uuid is not None

    def _known_store(self, node: int) -> bytes | None:
        record = self.machine.directory.nodes.get(node)
        if record is not None:
            return record.store_uuid
        replica = self.node.replicas.running.get(SYSTEM_GROUP)
        return None if replica is None else logged_store(replica, node)

    def _addresses(self) -> dict[int, str]:
        return {node: record.address for node, record in self.machine.directory.nodes.items()}
