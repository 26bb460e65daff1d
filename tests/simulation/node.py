"""One node of a simulated cluster: the engine as users open it, on a disk, a network and a time of ours."""

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Error
from multiraft.engine.logstore.port import Birth
from multiraft.engine.node import Node
from multiraft.engine.outbox import OutFrame
from multiraft.engine.replica import Replica
from multiraft.engine.transport.hello import Hello
from multiraft.engine.transport.tcp import TcpOptions, TcpTransport
from multiraft.engine.turn import Effects, Inputs
from multiraft.engine.wire import COMMIT_NOTICE, OF_REST, STATE_REQUEST, UNKNOWN_GROUP
from multiraft.shards.assembly import Assembly
from multiraft.shards.engine import Engine
from multiraft.shards.place import Place

from .checkers.base import Checker
from .disk import Disk, LogWriter, Mount, StateReader, StateWriter
from .fragile import make_fragile
from .hush import Forgetful
from .identity import Identity
from .leisure import make_leisurely
from .loop import NodeLoop, World
from .network import Network
from .strays import Strays
from .tally import Tally
from .trace import Trace, rows_of

UNWATCHED = {COMMIT_NOTICE, UNKNOWN_GROUP, STATE_REQUEST, *OF_REST}


class Ports:
    """What one run of a node stands on; see :class:`multiraft.shards.ports.Ports`."""

    def __init__(self, process: "Process", place: Place, mount: Mount, options: TcpOptions) -> None:
        self.random = random.Random(mount.disk.random.getrandbits(64))
        self._process = process
        self._place = place
        self._mount = mount
        self._options = options

    def token(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def open_identity(self, digest: bytes) -> Identity:
        return Identity(self._mount, self._place.cluster, digest)

    def open_log(self, durability: str):
        return self._mount.open_log()

    def open_state(self, durability: str):
        return self._mount.open_state()

    def make_transport(self, hello: Callable[[], Hello]) -> TcpTransport:
        place = self._place
        return TcpTransport(
            place.node_id, place.listen, place.peers, hello, random=self.random, options=self._options
        )

    def make_log_writer(self, log, notify) -> LogWriter:
        return LogWriter(self._mount, log, notify, self._process.trapped)

    def make_flusher(self) -> StateWriter:
        return StateWriter(self._mount, self._process.trapped)

    def make_reader(self) -> StateReader:
        return StateReader(self._mount)


class Recorder(dict):
    """The active replicas of a node, and which groups were ever put in since somebody asked."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: dict[int, None] = {}

    def __setitem__(self, group: int, replica: Any) -> None:
        self.touched[group] = None
        super().__setitem__(group, replica)

    def update(self, replicas: Mapping[int, Any]) -> None:  # type: ignore[override] # no more of it is used
        """Put in many."""
        self.touched.update(dict.fromkeys(replicas))
        super().update(replicas)

    def take(self) -> Collection[int]:
        """The groups touched since the last call; what still waits will be touched by the next turn."""
        touched, self.touched = self.touched, dict.fromkeys(self)
        return touched


def record_activity(node: Node) -> Recorder:
    """Put a recorder in the place of the node's active replicas, in every part that shares them.

    A part that were left out would go on with replicas that the others have given up.
    """
    shared, recorder = node._active, Recorder()
    recorder.update(shared)
    for part in [node, *vars(node).values()]:
        if getattr(part, "_active", None) is shared:
            part._active = recorder
    return recorder


class WatchedAssembly(Assembly):
    """An assembly that shows its node to those who watch as soon as the node has started."""

    process: "Process"

    def _check_directory(self) -> None:
        super()._check_directory()
        self.process.watch_node(self.node)


class Process:
    """One life of a node: from its start to its crash or its end."""

    def __init__(
        self,
        world: World,
        network: Network,
        place: Place,
        config: EngineConfig,
        disk: Disk,
        watch: Checker,
        trace: Trace,
        tally: Tally,
        *,
        options: TcpOptions,
        rate: float,
        port: int,
        on_trap: Callable[["Process"], None],
        on_stopped: Callable[["Process", BaseException], None],
    ) -> None:
        self.world = world
        self.node_id = place.node_id
        self.disk = disk
        self.watch = watch
        self.trace = trace
        self.tally = tally
        self.engine: Engine | None = None
        """Set once it is open, until it ends."""
        self.node: Node | None = None
        self._active = Recorder()
        self.leisure = 0.0
        """Seconds that its machines in memory may take to apply; 0: they apply within the turn."""
        self.hushed = False
        """Whether its words that a group does not rest are lost, all of them."""
        self.on_frame: Callable[[int, OutFrame], None] | None = None
        """Told of every frame, for as long as somebody listens."""
        self.error: BaseException | None = None
        """Why it did not open, or stopped by itself."""
        self.mount = Mount(disk, place.node_id, watch)
        self.sick: set[int] = set()
        """Groups whose machines raise."""
        self.strays = Strays(random.Random(disk.random.getrandbits(64)))
        self.loop = NodeLoop(world, f"node {place.node_id}", rate=rate, clock=disk.random.uniform(1, 1e6))
        network.place(self.loop, port)
        self._network = network
        self._on_trap = on_trap
        self._on_stopped = on_stopped
        self._config = config
        self._place = place
        self._options = options
        self.loop.call_soon(lambda: self.loop.create_task(self._run()))

    async def _run(self) -> None:
        ports = Ports(self, self._place, self.mount, self._options)
        engine: Engine
        assembly = WatchedAssembly(self._place, self._config, ports, lambda error: engine.node_stopped(error))  # noqa: PLW0108 # it does not exist yet
        assembly.process = self
        self.assembly: Assembly = assembly
        engine = Engine(assembly)
        try:
            await engine.start(0, None)
        except Error as error:
            self._ended(error)
            return
        self.engine = engine
        self._ended(await engine.stopped())

    def _ended(self, error: BaseException) -> None:
        self.error = error
        self._on_stopped(self, error)

    def trapped(self) -> None:
        """The disk says that the machine crashes in the middle of a transaction."""
        self._on_trap(self)

    def crash(self, *, silently: bool) -> bool:
        """The process is gone, as by SIGKILL or by power; says whether a transaction was torn."""
        torn = self.mount.crash()
        self.loop.kill()
        self._network.process_ended(self.loop, silently=silently)
        self.engine = self.node = None
        return torn

    def crash_once(self) -> None:
        """Kill it if it lives."""
        if self.mount.alive:
            self.crash(silently=False)

    async def close(self) -> None:
        """Stop in an orderly way."""
        if self.engine is not None:
            if self.node is not None:  # what was taken up between two turns may be flushed now
                self.world.check(self._look_after_turn, self.node, self._active.take())
            await self.engine.close()

    # -- watching --------------------------------------------------------------------------------

    def watch_node(self, node: Node) -> None:
        """Have everything told that the node does."""
        self.node = node
        make_fragile(node, self.sick)
        if self.leisure:
            make_leisurely(node, random.Random(self.disk.random.getrandbits(64)), self.leisure)
        active = self._active = record_activity(node)
        turn, world, watch, go_on = node.turn, self.world, self.watch, node.replicas._go_on

        unseen = dict.fromkeys(node.replicas.running.waiting, True)

        def watched_go_on(birth: Birth, *how: Any) -> Replica | None:
            active.touched[birth.group] = None
            replica = go_on(birth, *how)
            unstarted = unseen.pop(birth.group, False)  # it has rested since
            # What opens its first term is applied as it is taken up, and told of as any entry is.
            if replica is not None and node.state.durable_applied(birth.group) < replica.applied.index:
                unstarted = False
            if replica is not None and unstarted:
                world.check(watch.begun, self.node_id, replica)
            return replica

        node.replicas._go_on = watched_go_on  # type: ignore[method-assign] # it is watched
        start = node.replicas.running._start

        def watched_start(group: int) -> Replica | None:
            active.touched[group] = None
            replica = start(group)
            if replica is not None and unseen.pop(group, False):
                world.check(watch.begun, self.node_id, replica)
            return replica

        node.replicas.running._start = watched_start  # it is watched
        if self.hushed:
            node._rest._to_wake = Forgetful()

        def watched_turn(now: float, inputs: Inputs) -> Effects:
            try:
                watch.passed(world.now)
            except Exception as objection:  # noqa: BLE001 - as `World.check`, without a call for each turn
                world.fail(objection)
            try:
                effects = turn(now, inputs)
            except Exception as error:
                world.fail(error)
                raise
            try:
                if effects.frames or self.strays.echo:
                    self._look_at_frames(node, effects.frames)
                self._look_after_turn(node, active.take())
            except Exception as objection:  # noqa: BLE001 - likewise
                world.fail(objection)
            return effects

        node.turn = watched_turn  # type: ignore[method-assign] # it is watched
        world.check(self.watch.started, self.node_id, node)

    def _look_at_frames(self, node: Node, frames: list[OutFrame]) -> None:
        """What a turn puts out is told of, and goes on its way with the strays beside it."""
        now, trace, node_id = self.world.now, self.trace, self.node_id
        for frame in frames:
            trace.frame(now, node_id, frame)
        for frame in frames:
            if frame.groups:  # what nodes say of themselves is of no group
                self._tell_sent(frame)
            if self.on_frame is not None:
                self.on_frame(node_id, frame)
        for frame in self.strays.beside(node, frames):
            trace.note(now, node_id, "strays", "")
            trace.frame(now, node_id, frame)
            frames.append(frame)

    def _tell_sent(self, frame: OutFrame) -> None:
        sent, node_id = self.watch.sent, self.node_id
        for row in rows_of(frame):
            if row.kind not in UNWATCHED:
                sent(node_id, frame.node, row.group, row.message)

    def _look_after_turn(self, node: Node, groups: Collection[int]) -> None:
        host, watch, node_id = self.assembly.host, self.watch, self.node_id
        get = node.replicas.running.get
        touched = {group: get(group) for group in groups}
        self.tally.turned(node, touched)
        watch.turned(node_id, node, touched)
        watch.queued(node_id, host.queued_bytes, host.waiting, node.config.request_bytes)
