"""A node's disk without a device: what is on it, how long it takes, and how it fails.

The stores on it are the real ones over dictionaries. What a process has handed over becomes durable at a
moment of virtual time; a crash takes what has not, and decides about the transaction that is under way.
"""

import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from multiraft.engine.errors import Closed, DiskFull, Fatal, StorageFailed
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.logstore.valuesize import Patience, ValueSizes
from multiraft.engine.statemachine.overlay import OverlayStore
from tests.engine.logstore.columns import writes_of

from .cached import CachedEnvironment, CachedMedium
from .checkers.base import Checker
from .loop import World

STALL_S = 0.05
"""Seconds after which a disk that hangs is looked at again."""

SPELL_S = 3.0
PATIENCE = Patience(base_s=0.5, slow=2, hold=4)
"""When values are small: `WatchedLog` says how long a commit takes."""


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
        self.refusals: int | None = None
        """After so many more refusals it writes again."""
        self.ballast = True
        """Whether space is set aside."""
        self.allowance = 0
        """What is left of that space when the disk is full, in transactions."""
        self.ballast_writes = 4
        """How many of them fit into the ballast."""
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
        error = self.error
        if error is DiskFull and self.allowance > 0:
            self.allowance -= 1
        elif error is not None:
            self.failed = True
            if self.refusals is not None:
                self.refusals -= 1
                if self.refusals == 0:
                    self.works()
            raise error("the disk refuses")

    def works(self) -> None:
        """Whatever was wrong with it is over."""
        self.error = self.refusals = None
        self.allowance = 0

    def release_ballast(self) -> bool:
        """Make room for a few more transactions."""
        released, self.ballast = self.ballast, False
        if released:
            self.allowance = self.ballast_writes
        return released

    def restore_ballast(self) -> bool:
        """Set the room aside again."""
        self.ballast = self.error is not DiskFull
        return self.ballast

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
        self.flip_in(store, self.random.choice(list(store)))
        return name

    def flip_in(self, store: dict[bytes, bytes], key: bytes) -> None:
        """Turn over one bit of this value."""
        value = bytearray(store[key])
        value[self.random.randrange(len(value))] ^= 1 << self.random.randrange(8)
        store[key] = bytes(value)


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
        self._environment: CachedEnvironment | None = None
        self._medium: CachedMedium | None = None

    def refuse(self) -> None:
        """What every write asks first."""
        if not self.alive:
            raise Closed("the process is gone")
        self.disk.refuse()

    def open_log(self) -> "WatchedLog":
        """The log store that the disk holds."""
        environment = CachedEnvironment(self.disk.contents.log)
        self.disk.contents.log = environment.values
        environment.before_write = self._refuse_log
        self._environment = environment
        self.log = WatchedLog(environment, self)
        return self.log

    def _refuse_log(self) -> None:
        try:
            self.refuse()
        except StorageFailed:
            assert self._environment is not None
            self._environment.doubt()
            raise

    def open_state(self) -> OverlayStore:
        """The state store that the disk holds."""
        self._medium = CachedMedium(self.disk.contents.state)
        self._medium.fault = self._refuse_state
        return OverlayStore(self._medium)

    def _refuse_state(self) -> None:
        try:
            self.refuse()
        except StorageFailed:
            assert self._medium is not None
            self._medium.doubt()
            raise

    def crash(self) -> bool:
        """The process is killed; says whether that tore a transaction to pieces."""
        torn = False
        if self.alive and self.disk.error is None:
            if self.writer is not None and self.writer.commits and self.disk.random.random() < 0.5:
                torn = self._leave(self.writer.queue[0])
            if self.flusher is not None and self.flusher.queue and self.disk.random.random() < 0.5:
                self.flusher.carry_out()
        if self.alive and self._environment is not None:
            self._environment.lose_cache()
        if self.alive and self._medium is not None:
            self._medium.lose_cache()
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
        dropped = batch.collected.keys()
        added = [(key, bytes(value)) for key, value in self.log.encoded(batch)]
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

    _moments = 0

    def __init__(self, environment: CachedEnvironment, mount: Mount) -> None:
        self.mount = mount
        policy = CollectionPolicy(factor=1.5, slack=mount.disk.slack)
        super().__init__(environment, collection=policy, sizes=ValueSizes(self._worked, PATIENCE))

    def _worked(self) -> float:
        """Commits take the processor long in every other stretch of time."""
        self._moments += self.mount.disk.world.now % (2 * SPELL_S) < SPELL_S
        return self._moments

    def _stage(self, writes, columns, *, collects):
        batch = super()._stage(writes, columns, collects=collects)
        writes = [*writes, *[write for one in columns for write in writes_of(one)]]
        self.mount.disk.world.check(self.mount.watch.staged, self.mount.node_id, batch.seq, writes)
        return batch

    def commit(self, batch: StagedBatch) -> None:
        super().commit(batch)
        self.mount.disk.commits += 1
        self.mount.disk.world.check(self.mount.watch.committed, self.mount.node_id, batch.seq)

    def roll_back(self, batches) -> None:
        super().roll_back(batches)
        for batch in batches:
            self.mount.disk.world.check(self.mount.watch.rolled_back, self.mount.node_id, batch.seq)


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
        if self._closed:
            raise Closed("the log writer is closed")
        self.queue.append(batch)
        if len(self.queue) == 1:
            self._begin()

    @property
    def commits(self) -> bool:
        """Whether a transaction is under way."""
        return bool(self.queue) and self._error is None

    def resume(self) -> None:
        self._error = None

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


class StateReader(Executor):
    """Reads for snapshots one after the other, each within the time that the disk takes."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._free = 0.0
        """When the last of them is done."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        done: Future = Future()
        world = self._mount.disk.world
        self._free = max(self._free, world.now) + 0.2 * self._mount.disk.duration()
        world.at(self._free, self._end, done, fn, args)
        return done

    def _end(self, done: Future, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if not self._mount.alive:
            return
        try:
            done.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was read
            done.set_exception(error)


class StateWriter(Executor):
    """Writes flushes one after the other, each after the time that the disk takes."""

    def __init__(self, mount: Mount, on_trap: Callable[[], None]) -> None:
        self.queue: deque[tuple[Future, Callable[..., object], tuple[Any, ...]]] = deque()
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
        self._take(self.queue[0][0])
        self._mount.disk.world.after(self._mount.disk.duration(), self._end)

    @staticmethod
    def _take(done: Future) -> bool:
        """Whoever waits may take it back until the thread has begun; says whether it has."""
        return done.running() or (not done.cancelled() and done.set_running_or_notify_cancel())

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
        """Write the oldest flush, or whatever else is next."""
        done, work, arguments = self.queue.popleft()
        if not self._take(done):
            return
        try:
            result = work(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the flush is not durable
            done.set_exception(error)
        else:
            done.set_result(result)
