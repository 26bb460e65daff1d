"""A whole cluster in one process: for tests, for trying things out, and for measuring."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from ..engine.config import EngineConfig
from ..engine.errors import InvalidArgument
from ..engine.transport.memory import MemoryNetwork
from .bootstrap import MOST_NODES
from .database import Database
from .engine import Engine
from .requests import Scalar
from .scanning import Page


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
    ) -> "OpeningCluster":
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
        return OpeningCluster(nodes, path, config or EngineConfig(), ranges, splits)

    async def close(self) -> None:
        """Close every node."""
        await self._stack.aclose()

    async def status(self) -> dict[str, object]:
        """See :meth:`Database.status`."""
        return await self.nodes[0].status()

    async def _write(self, low: bytes, high: bytes, body: bytes, timeout: float | None) -> Scalar:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._write(low, high, body, timeout)  # noqa: SLF001 # the same interface

    async def _get(self, key: bytes, stale: bool, timeout: float | None) -> bytes | None:  # noqa: ASYNC109 # see Database
        return await self.nodes[0]._get(key, stale, timeout)  # noqa: SLF001 # the same interface

    async def _scan_page(
        self,
        start: bytes,
        stop: bytes | None,
        reverse: bool,
        limit: int,
        stale: bool,
        timeout: float | None,  # noqa: ASYNC109 # see Database
    ) -> Page:
        first = self.nodes[0]
        return await first._scan_page(start, stop, reverse, limit, stale, timeout)  # noqa: SLF001 # the same interface

    async def _create_chunk(
        self,
        ranges: Sequence[tuple[bytes, bytes | None]],
        replicas: int,
        timeout: float | None,  # noqa: ASYNC109 # see Database
    ) -> tuple[int, int]:
        return await self.nodes[0]._create_chunk(ranges, replicas, timeout)  # noqa: SLF001 # the same interface


class OpeningCluster:
    """A cluster being opened: await it, or enter it as a context manager that closes it in the end."""

    def __init__(
        self,
        nodes: int,
        path: str | os.PathLike[str] | None,
        config: EngineConfig,
        ranges: int,
        splits: Sequence[bytes] | None,
    ) -> None:
        self._nodes = nodes
        self._path = path
        self._config = config
        self._ranges = ranges
        self._splits = splits
        self._cluster: Cluster | None = None

    def __await__(self) -> Generator[Any, None, Cluster]:
        return self._open().__await__()

    async def __aenter__(self) -> Cluster:
        self._cluster = await self._open()
        return self._cluster

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._cluster is not None
        await self._cluster.close()

    async def _open(self) -> Cluster:
        network = MemoryNetwork()
        async with AsyncExitStack() as stack:
            root = Path(self._path) if self._path is not None else _temporary_directory(stack)
            peers = {node: f"127.0.0.1:{node}" for node in range(1, self._nodes + 1)}
            engines = [
                await stack.enter_async_context(
                    Engine.open(
                        root / f"node-{node}",
                        node_id=node,
                        peers=peers,
                        config=self._config,
                        ranges=0,
                        network=network,
                    )
                )
                for node in peers
            ]
            await asyncio.gather(*(engine.joined() for engine in engines))
            await engines[0].cover(self._ranges, self._splits)
            return Cluster(engines, network, stack.pop_all())


def _temporary_directory(stack: AsyncExitStack) -> Path:
    path = tempfile.mkdtemp(prefix="multiraft-")
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return Path(path)
