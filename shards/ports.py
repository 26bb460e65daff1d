"""What a node stands on: identity, disks, network, threads and chance.

Everything that a node takes from its machine comes through :class:`Ports`, so that the same node runs on
other ones: the simulator brings its own disks, network and time.
"""

import random
import secrets
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

from ..engine.config import BALLAST_BYTES
from ..engine.datadir import DataDir
from ..engine.host import BatchWriter
from ..engine.logstore.port import Batch, LogStore
from ..engine.logstore.store import LogStore as DiskLogStore
from ..engine.logstore.writer import LogWriter
from ..engine.statemachine.lmdb_store import LmdbStateStore
from ..engine.statemachine.store import StateStore
from ..engine.transport.hello import Hello
from ..engine.transport.port import Transport
from ..engine.transport.tcp import TcpTransport
from .place import Place

Durability = Literal["sync", "none"]


class Identity(Protocol):
    """Who a node is, kept with its stores; :class:`~multiraft.engine.datadir.DataDir` says more."""

    @property
    def store_uuid(self) -> bytes:
        """16 random bytes, made with the stores."""
        ...

    @property
    def bootstrap_digest(self) -> bytes:
        """The digest of cluster name and first nodes with which the stores were made."""
        ...

    @property
    def cluster_uuid(self) -> bytes | None:
        """16 bytes once it is known which cluster this is."""
        ...

    @property
    def incarnation(self) -> int:
        """1 at the first start, one more at every further one."""
        ...

    def set_cluster_uuid(self, cluster_uuid: bytes) -> None:
        """Note, durably, which cluster this is. Raises ClusterMismatch, DiskFull, StorageFailed."""

    def release_ballast(self) -> bool:
        """Give space back to a full disk; ``False``: there is none to give. Raises StorageFailed."""
        ...

    def restore_ballast(self) -> bool:
        """Set it aside again; ``False``: the disk is still too full. Raises StorageFailed."""
        ...

    def check_fork(self) -> None:
        """Raises Forked in a process other than the one that opened it."""

    def close(self) -> None:
        """Let others open it."""


class Ports(Protocol):
    """Opens, once each, what one run of a node needs; whoever calls closes it."""

    random: random.Random
    """Spreads elections and retries; nodes must not share it."""

    def token(self, size: int) -> bytes:
        """Random bytes that no other node and no other run of this one draws."""
        ...

    def open_identity(self, digest: bytes) -> Identity:
        """Open or make the identity and count this start; raises as ``DataDir.open``. Not on the loop."""
        ...

    def open_log(self, durability: Durability) -> LogStore[Any]:
        """Open the log store; the identity is open. Not on the loop."""
        ...

    def open_state(self, durability: Durability) -> StateStore:
        """Open the state store, likewise."""
        ...

    def make_transport(self, hello: Callable[[], Hello]) -> Transport:
        """The way to the other nodes. Raises if it can be seen already that it will not start."""
        ...

    def make_log_writer(
        self, log: LogStore[Any], notify: Callable[[Batch, Exception | None], None]
    ) -> BatchWriter:
        """Who commits batches and says so, in order."""
        ...

    def make_flusher(self) -> Executor:
        """Who writes the state store: one thread, in order."""
        ...

    def make_reader(self) -> Executor:
        """Who reads the state store for snapshots, beside the loop: one thread, in order."""
        ...


class MachinePorts:
    """The real ones: a data directory with LMDB in it, threads, TCP."""

    def __init__(self, place: Place, ballast_bytes: int = BALLAST_BYTES) -> None:
        self.random = random.Random()  # elections of different processes must not fall together
        self._place = place
        self._ballast_bytes = ballast_bytes

    def token(self, size: int) -> bytes:
        """See :class:`Ports`, here and below."""
        return secrets.token_bytes(size)

    def open_identity(self, digest: bytes) -> DataDir:
        """Open the data directory."""
        place = self._place
        return DataDir.open(
            place.path, place.node_id, place.cluster, digest, ballast_bytes=self._ballast_bytes
        )

    def open_log(self, durability: Durability) -> DiskLogStore:
        """``DIR/log``, and ``DIR/index``."""
        return DiskLogStore.open(self._folder("log"), durability, checkpoint=self._folder("index"))

    def open_state(self, durability: Durability) -> LmdbStateStore:
        """``DIR/state``. Nodes with peers begin it anew if it is damaged, for those have what was in it."""
        has_peers = len(self._place.members) > 1
        make = LmdbStateStore.open_or_begin_anew if has_peers else LmdbStateStore.open
        return make(self._folder("state"), durability)

    def make_transport(self, hello: Callable[[], Hello]) -> Transport:
        """TCP, or the hub that joins the nodes of one process."""
        place = self._place
        if place.network is not None:
            return place.network.join(place.node_id, hello)
        tcp = TcpTransport(
            place.node_id, place.listen, place.peers, hello, random=self.random, insecure=place.insecure
        )
        tcp.check_listen()
        return tcp

    def make_log_writer(
        self, log: LogStore[Any], notify: Callable[[Batch, Exception | None], None]
    ) -> LogWriter[Any]:
        """A thread."""
        return LogWriter(log, notify)

    def make_flusher(self) -> ThreadPoolExecutor:
        """Another one."""
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="multiraft-state")

    def make_reader(self) -> ThreadPoolExecutor:
        """And one more; it begins with the first snapshot."""
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="multiraft-snapshot")

    def _folder(self, store: str) -> Path:
        return self._place.path.absolute() / store
