"""The engine: one node, embedded in the process that opens it."""

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ..engine.config import EngineConfig
from ..engine.errors import (
    Closed,
    Corruption,
    DiskFull,
    Error,
    InvalidArgument,
    Quarantined,
    Retryable,
    StorageFailed,
    Unknown,
)
from ..engine.replica import SYSTEM_GROUP
from ..engine.transport.memory import MemoryNetwork
from ..engine.tuning import tune_process
from .assembly import Assembly
from .database import Database
from .deletion import delete_chunk
from .directory import FIRST_USER_GROUP, Directory
from .directory_commands import create_body, register_body
from .explain import explain
from .explanation import Explanation, encode_explanation
from .opening import Opening
from .place import make_place
from .planning import Deleted, within
from .ports import MachinePorts
from .requests import Malformed, Op, Scalar
from .scanning import Page, PageRequest, scan_page
from .status import dead_line, line_of

logger = logging.getLogger("multiraft.engine")

DEFAULT_REPLICAS: Final = 3
STATUS_TIMEOUT: Final = 2.0
RANGES_PAGE: Final = 1000
"""Ranges of one reply: with the longest bounds it stays below a frame."""
REGISTER_AGAIN_S: Final = 1.0
"""Seconds until a node asks again whose registration was refused for now, or by a node in trouble."""
OF_OTHERS: Final = (Closed, DiskFull, Quarantined, StorageFailed)
"""What the answer to a registration says of the node that answers."""


class Engine(Database):
    """A node of a cluster, or — without peers — the whole of it. Open it with :meth:`open`."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._loop = asyncio.get_running_loop()
        self._registration: asyncio.Task[None] | None = None
        self._stopped: asyncio.Future[Error] = self._loop.create_future()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        node_id: int = 1,
        listen: str | None = None,
        peers: Mapping[int, str] | None = None,
        cluster: str = "multiraft",
        config: EngineConfig | None = None,
        ranges: int | None = None,
        splits: Sequence[bytes] | None = None,
        insecure: bool = False,
        network: MemoryNetwork | None = None,
    ) -> Opening["Engine"]:
        """Open a node: ``async with Engine.open(path) as db:`` (or ``db = await Engine.open(path)``).

        Without ``peers`` this is a complete store in one process: nothing listens (unless ``listen`` says
        so), and at the first start one range covers the whole key space (``ranges=N`` cuts it evenly,
        ``splits=`` at the keys given, ``ranges=0`` leaves it uncovered). With ``peers``, which maps node ids
        to "host:port", the node takes its part in that cluster; it opens without waiting for the others, and
        the key space of a new cluster stays uncovered until :meth:`create_ranges`.

        Args:
            path: the data directory, made if it is not there; one process at a time may have it open.
            node_id: this node, 1..2^32-1.
            listen: "host:port" for peers and clients; by default this node's entry in ``peers``.
            peers: every node of the cluster, with or without this one.
            cluster: a name that all nodes of the cluster share.
            config: everything else that can be tuned.
            ranges: even ranges to create at the first start.
            splits: keys at which to cut the ranges of the first start.
            insecure: allow plaintext on addresses other than loopback.
            network: connects nodes of one process instead of TCP.

        Raises:
            AlreadyOpen, ClusterMismatch, Corruption, PermissionDenied, VersionMismatch: the directory.
            AddressInUse, InvalidArgument: the addresses.
        """
        place = make_place(path, node_id, cluster, listen, peers, insecure=insecure, network=network)
        alone = set(place.peers) <= {node_id}
        first_ranges = _first_ranges(ranges, splits, alone=alone)

        async def open_engine() -> Engine:
            engine: Engine
            settings = config or EngineConfig()
            engine = cls(
                Assembly(
                    place,
                    settings,
                    MachinePorts(place, settings.ballast_bytes),
                    lambda error: engine.node_stopped(error),  # noqa: PLW0108 # it does not exist yet
                )
            )
            await engine.start(first_ranges, splits)
            return engine

        return Opening(open_engine)

    @property
    def node_id(self) -> int:
        """The id of this node."""
        return self._assembly.place.node_id

    @property
    def address(self) -> str | None:
        """Where this node listens, with the port that the system chose for port 0."""
        return getattr(self._assembly.transport, "address", None)

    @property
    def directory(self) -> Directory:
        """The ranges as this node knows them."""
        return self._assembly.machine.directory

    @property
    def assembly(self) -> Assembly:
        """The parts underneath, for tools and benchmarks."""
        return self._assembly

    async def start(self, ranges: int, splits: Sequence[bytes] | None) -> None:
        """Join the cluster; called by :meth:`open`."""
        if self._assembly.config.tune_process:
            tune_process()
        await self._assembly.open(self)
        if len(self._assembly.place.members) == 1:
            try:
                await self._found(ranges, splits)
            except BaseException:
                await self.close()
                raise
        else:
            self._registration = self._loop.create_task(self._keep_registering())

    async def _found(self, ranges: int, splits: Sequence[bytes] | None) -> None:
        """Be the whole cluster; with a damaged directory, as far as that can be read."""
        try:
            await self._keep_cluster(await self._register())
            await self.cover(ranges, splits)
        except Corruption as error:
            if error.group != SYSTEM_GROUP or SYSTEM_GROUP not in self._assembly.node.replicas.remains:
                raise
            logger.error("the directory takes nothing any more: %s", error)  # noqa: TRY400 # told to whoever asks

    async def cover(self, ranges: int, splits: Sequence[bytes] | None) -> None:
        """Create the ranges of the first start, if there have never been any."""
        if self.directory.next_group == FIRST_USER_GROUP and (ranges or splits):
            if splits:
                await self.create_ranges(splits=splits)
            else:
                await self.create_ranges(ranges)

    async def joined(self) -> None:
        """Return once the cluster knows this node. Raises what keeps it from joining."""
        if self._registration is not None:
            waiting: set[asyncio.Future[Any]] = {self._registration, self._stopped}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._stopped.done():
            raise self._stopped.result()

    async def stopped(self) -> Error:
        """Return once the node has stopped by itself, with the reason."""
        return await asyncio.shield(self._stopped)

    async def close(self) -> None:
        """Stop the node and release its files; what was acknowledged is durable. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._registration is not None:
            self._registration.cancel()
            await asyncio.gather(self._registration, return_exceptions=True)
        await self._assembly.close()

    def node_stopped(self, error: Error) -> None:
        """The node cannot go on; called once by its parts."""
        if not self._stopped.done():
            logger.error("node %d stops: %s", self.node_id, error)
            self._stopped.set_result(error)
            self._assembly.host.stop(error)

    # -- operations ------------------------------------------------------------------------------

    async def status(self) -> dict[str, object]:
        """See :meth:`Database.status`; a node that does not answer within two seconds is not alive.

        Nor is one whose answer makes no sense; its line says why as ``error``.
        """
        self._check()
        service = self._assembly.service
        nodes = {node: dead_line(node, address) for node, address in self._known_addresses().items()}
        asked = [
            (node, channel.ask(Op.NODE_STATUS, 1000, [])) for node, channel in list(service.channels.items())
        ]
        nodes[self.node_id] = json.loads(service.own_status())
        if asked:
            await asyncio.wait([future for _, future in asked], timeout=STATUS_TIMEOUT)
        for node, future in asked:
            if future.done() and future.result().error is None:
                nodes[node] = line_of(node, future.result().fields, nodes.get(node) or dead_line(node, ""))
        return {"nodes": [nodes[node] for node in sorted(nodes)], "ranges": self.directory.ranges}

    async def explain(self, place: bytes | int) -> Explanation:
        """See :meth:`Database.explain`; a node that has stopped by itself explains that."""
        self._assembly.identity.check_fork()
        if self._closed:
            raise Closed("the engine is closed")
        return await explain(self._assembly, place)

    def write_here(self, low: bytes, high: bytes, body: bytes) -> "asyncio.Future[object] | None":
        """Propose a command if this node leads its range; see :class:`~.service.Operations`."""
        return None if self._closed else self._assembly.router.write_here(low, high, body)

    async def client_request(self, op: int, fields: list[Scalar], timeout: float) -> Sequence[Scalar]:  # noqa: ASYNC109 # the client's own
        """Carry out what a client asks; see :class:`~.service.Operations`."""
        match op, fields:
            case Op.WRITE, [bytes(low), bytes(high), bytes(body)]:
                return [await self._write(low, high, body, timeout)]
            case Op.GET, [bytes(key), bool(stale)]:
                return [await self._get(key, stale, timeout)]
            case Op.SCAN, [bytes(start), (bytes() | None) as stop, bool(reverse), int(limit), bool(stale)]:
                page = await self._scan_page(PageRequest(start, stop, reverse, limit, stale), timeout)
                return [page.resume, *(part for pair in page.pairs for part in pair)]
            case ((Op.CREATE_RANGES | Op.DELETE_RANGES), _):
                return await self._change_ranges(op, fields, timeout)
            case Op.RANGES, [bytes(start)]:
                return await self._range_page(start, timeout)
            case ((Op.STATUS | Op.EXPLAIN), _):
                return [await self._tell(op, fields)]
            case _:
                raise _not_an_operation(op)

    async def _change_ranges(self, op: int, fields: list[Scalar], timeout: float) -> Sequence[Scalar]:  # noqa: ASYNC109 # the client's own
        match op, fields:
            case Op.CREATE_RANGES, [int(replicas), *bounds] if len(bounds) % 2 == 0:
                ranges = list(zip(bounds[::2], bounds[1::2], strict=True))
                return await self._create_chunk(cast("Any", ranges), replicas, timeout)
            case Op.DELETE_RANGES, [bytes(start), (bytes() | None) as end]:
                return await self._delete_chunk(start, end, timeout)
            case _:
                raise _not_an_operation(op)

    async def _tell(self, op: int, fields: list[Scalar]) -> str:
        """Answer a question about the cluster, as JSON."""
        match op, fields:
            case Op.STATUS, []:
                return json.dumps(await self.status())
            case Op.EXPLAIN, [(bytes() | int()) as place]:
                return encode_explanation(await self.explain(place))
            case _:
                raise _not_an_operation(op)

    async def _range_page(self, start: bytes, timeout: float) -> Sequence[Scalar]:  # noqa: ASYNC109 # the client's own
        """The bounds of the ranges that begin at ``start`` or later, as far as one reply holds them."""
        self._check()
        await self._assembly.router.refresh(self._deadline(timeout))
        found = self.directory.overlapping(start, None, limit=RANGES_PAGE)
        resume = found[-1].end if len(found) == RANGES_PAGE else None
        return [resume, *(bound for one in found if one.start >= start for bound in one.bounds)]

    async def _write(self, low: bytes, high: bytes, body: bytes, timeout: float | None) -> Scalar:  # noqa: ASYNC109 # see Database
        self._check()
        return await self._assembly.router.write(low, high, body, self._deadline(timeout))

    async def _get(self, key: bytes, stale: bool, timeout: float | None) -> bytes | None:  # noqa: ASYNC109 # see Database
        self._check()
        op = Op.STALE_GET if stale else Op.READ_GET
        fields = await self._assembly.router.read(key, op, [key], self._deadline(timeout))
        return cast("bytes | None", fields[0])

    async def _scan_page(self, request: PageRequest, timeout: float | None) -> Page:  # noqa: ASYNC109 # see Database
        self._check()
        return await scan_page(self._assembly.router, request, self._deadline(timeout))

    async def _create_chunk(
        self,
        ranges: Sequence[tuple[bytes, bytes | None]],
        replicas: int,
        timeout: float | None,  # noqa: ASYNC109 # see Database
    ) -> tuple[int, int]:
        self._check()
        members = self._assembly.place.members
        deadline = self._deadline(timeout)
        copies = replicas or min(DEFAULT_REPLICAS, len(members))
        body = create_body(ranges, copies, members)
        result = await self._assembly.router.propose_to_system(body, deadline)
        await self._assembly.router.refresh(deadline)
        return cast("tuple[int, int]", result)

    async def _delete_chunk(self, start: bytes, end: bytes | None, timeout: float | None) -> Deleted:  # noqa: ASYNC109 # see Database
        self._check()
        return await delete_chunk(self._assembly.router, *within(start, end), self._deadline(timeout))

    # -- joining ---------------------------------------------------------------------------------

    async def _keep_registering(self) -> None:
        """Try until the cluster knows this node: the others may not be there yet."""
        while True:
            try:
                cluster_uuid = await self._register()
            except (Retryable, Unknown, *OF_OTHERS) as error:
                # Not at once: some refusals, like Overloaded, take no time at all.
                logger.warning("node %d waits for its cluster: %s", self.node_id, error)
                await asyncio.sleep(REGISTER_AGAIN_S)
            except Error as error:
                self.node_stopped(error)
                return
            else:
                break
        while True:
            try:
                await self._keep_cluster(cluster_uuid)
            except DiskFull as error:
                logger.warning("node %d cannot note its cluster yet: %s", self.node_id, error)
                await asyncio.sleep(REGISTER_AGAIN_S)
            except Error as error:
                self.node_stopped(error)
                return
            else:
                return

    async def _keep_cluster(self, uuid: bytes) -> None:
        await asyncio.to_thread(self._assembly.identity.set_cluster_uuid, uuid)

    async def _register(self) -> bytes:
        """Put this node's store and address on record. Returns the cluster's uuid."""
        assembly = self._assembly
        identity, router = assembly.identity, assembly.router
        address = self.address or assembly.place.listen or "in-process"
        body = register_body(self.node_id, identity.store_uuid, address, assembly.ports.token(16))
        return cast("bytes", await router.propose_to_system(body, self._deadline(None)))

    def _known_addresses(self) -> dict[int, str]:
        place = self._assembly.place
        known = {node: record.address for node, record in self.directory.nodes.items()}
        configured = {node: place.peers.get(node, "") for node in self._assembly.place.members}
        return configured | {node: address for node, address in known.items() if address}

    def _deadline(self, timeout: float | None) -> float:
        if timeout is not None and not (isinstance(timeout, int | float) and 0 <= timeout < float("inf")):
            raise InvalidArgument(f"a timeout is a number of seconds, not {timeout!r}")
        if timeout is None:
            timeout = self._assembly.config.operation_timeout_ms / 1000
        return self._loop.time() + timeout

    def _check(self) -> None:
        """Refuse work after close, after a fatal error, and in a forked child."""
        self._assembly.identity.check_fork()
        if self._stopped.done():
            error = self._stopped.result()
            raise Closed(f"the node has stopped: {error}") from error
        if self._closed:
            raise Closed("the engine is closed")


def _not_an_operation(op: int) -> Malformed:
    return Malformed(f"operation {op} does not exist or does not take these fields")


def _first_ranges(ranges: int | None, splits: Sequence[bytes] | None, *, alone: bool) -> int:
    """How many even ranges the first start creates."""
    if ranges is not None and splits is not None:
        raise InvalidArgument("open takes ranges or splits, not both")
    if ranges is not None and ranges < 0:
        raise InvalidArgument(f"ranges must not be negative: {ranges}")
    return int(alone) if ranges is None else ranges
