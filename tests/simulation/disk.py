"""A node's disk without a device: what is on it, how long it takes, and how it fails.

The stores on it are the real ones over dictionaries. What a process has handed over becomes durable at a
moment of virtual time; a crash takes what has not, and decides about the transaction that is under way.
"""

import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from multiraft.engine import nodefile
from multiraft.engine.datadir import _identity_problem
from multiraft.engine.errors import Closed, ClusterMismatch, Fatal
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.nodefile import NodeFile
from multiraft.engine.statemachine.memory_store import MemoryMedium
from multiraft.engine.statemachine.overlay import OverlayStore

from .checkers.base import Checker
from .loop import World

NODE_FILE = Path("node")
STALL_S = 0.05
"""Seconds after which a disk that hangs is looked at again."""


@dataclass
class Contents:
    """What is on a disk."""

    node: bytes | None = None
    log: dict[bytes, bytes] = field(default_factory=dict)
    state: dict[bytes, bytes] = field(default_factory=dict)

    def copy(self) -> "Contents":
        """Another disk with the same on it."""
        return Contents(self.node, dict(self.log), dict(self.state))


class Disk:
    """The disk of one machine; it outlives the processes that use it."""

    def __init__(self, world: World, contents: Contents | None = None) -> None:
        self.world = world
        self.random = random.Random(world.random.getrandbits(64))
        self.contents = contents or Contents()
        self.commit_s = (0.0005, 0.005)
        """How long a transaction takes; drawn evenly between these."""
        self.stalled_until = 0.0
        """Until then no transaction ends."""
        self.error: type[Fatal] | None = None
        """What every write fails with now: EIO, or no space."""
        self.failed = False
        """Whether it has refused anything since the machine started."""
        self.trap: int | None = None
        """After so many more transactions the machine crashes in the middle of one."""
        self.slack = 8 << 20
        """Garbage that the log may hold before it is collected."""
        self.commits = 0

    def duration(self) -> float:
        """How long the next transaction takes."""
        return self.random.uniform(*self.commit_s)

    def stalls(self, call: Callable[[], None]) -> bool:
        """Whether the disk hangs; if so it calls again a little later."""
        stalled = self.stalled_until > self.world.now
        if stalled:
            self.world.after(STALL_S, call)
        return stalled

    def refuse(self) -> None:
        """Fail, if the disk fails now."""
        if self.error is not None:
            self.failed = True
            raise self.error("the disk refuses")

    def springs(self) -> bool:
        """Whether the machine is to crash in this transaction."""
        if self.trap is None:
            return False
        self.trap -= 1
        if self.trap > 0:
            return False
        self.trap = None
        return True

    def flip(self) -> str | None:
        """Turn over one bit of a stored value; says of which store, or None if the disk is empty."""
        stores = [("log", self.contents.log), ("state", self.contents.state)]
        name, store = self.random.choice([one for one in stores if one[1]] or [("", {})])
        if not store:
            return None
        key = self.random.choice(list(store))
        value = bytearray(store[key])
        value[self.random.randrange(len(value))] ^= 1 << self.random.randrange(8)
        store[key] = bytes(value)
        return name


class Mount:
    """The disk in the hands of one process. When that is killed, nothing it does gets here any more."""

    def __init__(self, disk: Disk, node_id: int, watch: Checker) -> None:
        self.disk = disk
        self.node_id = node_id
        self.watch = watch
        self.alive = True
        self.log: WatchedLog | None = None
        self.writer: LogWriter | None = None
        self.flusher: StateWriter | None = None

    def refuse(self) -> None:
        """What every write asks first."""
        if not self.alive:
            raise Closed("the process is gone")
        self.disk.refuse()

    def open_log(self) -> "WatchedLog":
        """The log store that the disk holds."""
        environment = MemoryEnvironment(self.disk.contents.log)
        self.disk.contents.log = environment.values
        environment.before_write = self.refuse
        self.log = WatchedLog(environment, self)
        return self.log

    def open_state(self) -> OverlayStore:
        """The state store that the disk holds."""
        medium = MemoryMedium(self.disk.contents.state)
        medium.fault = self.refuse
        return OverlayStore(medium)

    def crash(self) -> bool:
        """The process is killed; says whether that tore a transaction to pieces."""
        torn = False
        if self.alive and self.disk.error is None:
            if self.writer is not None and self.writer.queue and self.disk.random.random() < 0.5:
                torn = self._leave(self.writer.queue[0])
            if self.flusher is not None and self.flusher.queue and self.disk.random.random() < 0.5:
                self.flusher.carry_out()
        self.alive = False
        return torn

    tear_share = 0.0
    """How many of the transactions under way in a crash leave only some of their values."""

    def _leave(self, batch: StagedBatch) -> bool:
        """The transaction under way reaches the disk, as a whole or, on a bad one, in parts."""
        assert self.log is not None
        if self.disk.random.random() >= self.tear_share:
            self.log.commit(batch)
            return False
        values = self.disk.contents.log
        dropped = [chunk_key(old.seq, part) for old in batch.retired for part in range(old.chunks)]
        added = self.log.encoded(batch)
        done = self.disk.random.randrange(len(added) + len(dropped))
        values.update(added[:done])
        for key in dropped[: max(0, done - len(added))]:
            del values[key]
        if done < len(added):
            key, value = added[done]
            values[key] = value[: self.disk.random.randrange(1, len(value))]
        return True


class WatchedLog(LogStore):
    """A log store that tells what it is given, and what of it is durable."""

    def __init__(self, environment: MemoryEnvironment, mount: Mount) -> None:
        self.mount = mount
        super().__init__(environment, collection=CollectionPolicy(factor=1.5, slack=mount.disk.slack))

    def stage(self, writes):
        batch = super().stage(writes)
        self.mount.disk.world.check(self.mount.watch.staged, self.mount.node_id, batch.seq, writes)
        return batch

    def commit(self, batch: StagedBatch) -> None:
        super().commit(batch)
        self.mount.disk.commits += 1
        self.mount.disk.world.check(self.mount.watch.committed, self.mount.node_id, batch.seq)


class LogWriter:
    """Commits batches one after the other, each after the time that the disk takes."""

    def __init__(
        self,
        mount: Mount,
        log: LogStore,
        notify: Callable[[Any, Exception | None], None],
        on_trap: Callable[[], None],
    ) -> None:
        self.queue: deque[StagedBatch] = deque()
        self._mount = mount
        self._log = log
        self._notify = notify
        self._on_trap = on_trap
        self._error: Exception | None = None
        self._closed = False
        mount.writer = self

    def submit(self, batch: StagedBatch) -> None:
        if self._error is not None or self._closed:
            raise Closed("the log writer has stopped") from self._error
        self.queue.append(batch)
        if len(self.queue) == 1:
            self._begin()

    def close(self) -> None:
        self._closed = True
        while self.queue and self._mount.alive:
            self._commit()

    def _begin(self) -> None:
        self._mount.disk.world.after(self._mount.disk.duration(), self._end)

    def _end(self) -> None:
        if not self._mount.alive or not self.queue or self._mount.disk.stalls(self._end):
            return
        if self._mount.disk.springs():
            self._on_trap()
            return
        self._commit()
        if self.queue:
            self._begin()

    def _commit(self) -> None:
        if self._error is None:
            try:
                self._log.commit(self.queue[0])
            except Exception as error:  # noqa: BLE001 - whatever it is, the batch is not durable
                self._error = error
        self._notify(self.queue.popleft(), self._error)


class StateWriter(Executor):
    """Writes flushes one after the other, each after the time that the disk takes."""

    def __init__(self, mount: Mount, on_trap: Callable[[], None]) -> None:
        self.queue: deque[tuple[Future, Callable[..., None], tuple[Any, ...]]] = deque()
        self._mount = mount
        self._on_trap = on_trap
        mount.flusher = self

    def submit(self, fn, /, *args, **kwargs) -> Future:
        done: Future = Future()
        self.queue.append((done, fn, args))
        if len(self.queue) == 1:
            self._begin()
        return done

    def shutdown(self, wait=True, *, cancel_futures=False) -> None:
        while self.queue and self._mount.alive:
            self.carry_out()

    def _begin(self) -> None:
        self._mount.disk.world.after(self._mount.disk.duration(), self._end)

    def _end(self) -> None:
        if not self._mount.alive or not self.queue or self._mount.disk.stalls(self._end):
            return
        if self._mount.disk.springs():
            self._on_trap()
            return
        self.carry_out()
        if self.queue:
            self._begin()

    def carry_out(self) -> None:
        """Write the oldest flush."""
        done, work, arguments = self.queue.popleft()
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the flush is not durable
            done.set_exception(error)
        else:
            done.set_result(None)


class Identity:
    """The node file, as :class:`~multiraft.engine.datadir.DataDir` keeps it."""

    def __init__(self, mount: Mount, cluster: str, digest: bytes) -> None:
        self._mount = mount
        content, node_id = mount.disk.contents.node, mount.node_id
        if content is None:
            uuid = mount.disk.random.randbytes(16)
            self._node = NodeFile(node_id, uuid, cluster, digest, None, incarnation=1)
        else:
            known = nodefile.decode(content, NODE_FILE)
            problem = _identity_problem(known, node_id, cluster, digest)
            if problem:
                raise ClusterMismatch(f"the disk belongs to {problem}")
            self._node = replace(known, incarnation=known.incarnation + 1)
        self._write()

    def _write(self) -> None:
        self._mount.refuse()
        self._mount.disk.contents.node = nodefile.encode(self._node)

    @property
    def store_uuid(self) -> bytes:
        return self._node.store_uuid

    @property
    def bootstrap_digest(self) -> bytes:
        return self._node.bootstrap_digest

    @property
    def cluster_uuid(self) -> bytes | None:
        return self._node.cluster_uuid

    @property
    def incarnation(self) -> int:
        return self._node.incarnation

    def set_cluster_uuid(self, cluster_uuid: bytes) -> None:
        if self._node.cluster_uuid not in {None, cluster_uuid}:
            raise ClusterMismatch("the disk belongs to another cluster")
        self._node = replace(self._node, cluster_uuid=cluster_uuid)
        self._write()

    def check_fork(self) -> None:
        pass

    def close(self) -> None:
        pass
