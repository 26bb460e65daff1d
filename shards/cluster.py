"""A whole cluster in one process: for tests, for trying things out, and for measuring."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from ..engine.config import EngineConfig
from ..engine.errors import InvalidArgument
from ..engine.transport.memory import MemoryNetwork
from .bootstrap import MOST_NODES
from .database import Database
from .engine import Engine
from .explanation import Explanation
from .opening import Opening
from .planning import Deleted
from .requests import Scalar
from .scanning import Page, PageRequest


class Cluster(Database):
    """Several nodes on one event loop, joined in memory; operations go through the first node.

    ``cluster.nodes[i]`` is an :class:`Engine` like any other.
    """

    def __init__(self, engines: Sequence[Engine], network: MemoryNetwork, stack: AsyncExitStack) -> None:
        self.nodes = list(engines)
        self.network = network
        self._stack = stack

    @classmethod
    def local(
        cls,
        nodes: int = 3,
        *,
        path: str | os.PathLike[str] | None = None,
        config: EngineConfig | None = None,
        ranges: int = 1,
        splits: Sequence[bytes] | None = None,
    ) -> Opening["Cluster"]:
        """Open ``nodes`` nodes: ``async with Cluster.local(nodes=3) as cluster:``.

        Args:
            nodes: how many, at most five.
            path: the directory that keeps them (one folder a node); without it they live in a temporary
                directory that goes with the cluster.
            config: settings of every node.
            ranges: even ranges that cover the key space at the first start; 0 leaves it uncovered.
            splits: keys at which to cut the ranges of the first start, instead of ``ranges``.
        """
        if not 1 <= nodes <= MOST_NODES:
            raise InvalidArgument(f"a cluster has 1 to {MOST_NODES} nodes for now, not {nodes}")
        return Opening(lambda: cls._open(nodes, path, config or EngineConfig(), ranges, splits))

    @classmethod
    async def _open(
        cls,
        nodes: int,
        path: str | os.PathLike[str] | None,
        config: EngineConfig,
        ranges: int,
        splits: Sequence[bytes] | None,
    ) -> "Cluster":
        network = MemoryNetwork()
        async with AsyncExitStack() as stack:
            root = Path(path) if path is not None else _temporary_directory(stack)
            peers = {node: f"127.0.0.1:{node}" for node in range(1, nodes + 1)}
            engines = [
                await stack.enter_async_context(
                    Engine.open(
                        root / f"node-{node}",
                        node_id=node,
                        peers=peers,
                        config=config,
                        ranges=0,
                        network=network,
                    )
                )
                for node in peers
            ]
            await asyncio.gather(*(engine.joined() for engine in engines))
            await engines[0].cover(ranges, splits)
            return cls(engines, network, stack.pop_all())

    async def close(self) -> None:
        """Close every node."""
        await self._stack.aclose()

    async def status(self) -> dict[str, object]:
        """See :meth:`Database.status`."""
        return await self.nodes[0].status()

    async def explain(self, place: bytes | int) -> Explanation:
        """See :meth:`Database.explain`."""
        return await self.nodes[0].explain(place)

    async def _write(self, low: bytes, high: bytes, body: bytes, timeout: float | None) -> Scalar:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._write(low, high, body, timeout)  # noqa: SLF001 # the same interface

    async def _get(self, key: bytes, stale: bool, timeout: float | None) -> bytes | None:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._get(key, stale, timeout)  # noqa: SLF001 # the same interface

    async def _scan_page(self, request: PageRequest, timeout: float | None) -> Page:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._scan_page(request, timeout)  # noqa: SLF001 # the same interface

    async def _create_chunk(
        self,
        ranges: Sequence[tuple[bytes, bytes | None]],
        replicas: int,
        timeout: float | None,  # noqa: ASYNC109 # see Database
    ) -> tuple[int, int]:
        return await self.nodes[0]._create_chunk(ranges, replicas, timeout)  # noqa: SLF001 # the same interface

    async def _delete_chunk(self, start: bytes, end: bytes | None, timeout: float | None) -> Deleted:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._delete_chunk(start, end, timeout)  # noqa: SLF001 # the same interface


def _temporary_directory(stack: AsyncExitStack) -> Path:
    path = tempfile.mkdtemp(prefix="multiraft-")
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return Path(path)
