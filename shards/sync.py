"""The blocking facade: the same store for programs without an event loop."""

import asyncio
import os
import threading
import warnings
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from ..engine.config import EngineConfig
from ..engine.errors import Closed, Forked
from .batch import Change, Changes
from .database import Consistency, CreateResult, DeleteResult, Progress
from .engine import Engine
from .explanation import Explanation
from .scanning import Pair

T = TypeVar("T")


def open(  # noqa: A001 # multiraft.open is the name that users know from every other store
    path: str | os.PathLike[str],
    *,
    config: EngineConfig | None = None,
    ranges: int | None = None,
    splits: Sequence[bytes] | None = None,
) -> "Store":
    """Open a store in this process: no server, no configuration, everything acknowledged is on disk.

    ``with multiraft.open("data") as db: db.put(b"key", b"value")``

    Args:
        path: the data directory, made if it is not there.
        config: what can be tuned.
        ranges: even ranges that cover the key space at the first start; by default one.
        splits: keys at which to cut it, instead of ``ranges``.

    Raises:
        AlreadyOpen, ClusterMismatch, Corruption, PermissionDenied, VersionMismatch: the directory.
    """
    return Store(path, config, ranges, splits)


class Store:
    """A blocking store on one node. Several threads may share it; its event loop has a thread of its own."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: EngineConfig | None = None,
        ranges: int | None = None,
        splits: Sequence[bytes] | None = None,
    ) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="multiraft", daemon=True)
        self._thread.start()
        self._engine: Engine | None = None
        try:
            self._engine = self._run(_open(path, config, ranges, splits))
        except BaseException:
            self._end_loop()
            raise

    def put(self, key: bytes, value: bytes, *, timeout: float | None = None) -> None:
        """Set a value; it is on disk when this returns."""
        self._run(self._open_engine().put(key, value, timeout=timeout))

    def get(
        self,
        key: bytes,
        default: bytes | None = None,
        *,
        consistency: Consistency = "linearizable",
        timeout: float | None = None,
    ) -> bytes | None:
        """The value of a key, or ``default``."""
        engine = self._open_engine()
        return self._run(engine.get(key, default, consistency=consistency, timeout=timeout))

    def delete(self, key: bytes, *, timeout: float | None = None) -> bool:
        """Remove a key. Returns whether it was there."""
        return self._run(self._open_engine().delete(key, timeout=timeout))

    def compare_and_swap(
        self, key: bytes, expected: bytes | None, new: bytes | None, *, timeout: float | None = None
    ) -> bool:
        """Set ``new`` if the value is ``expected``; ``None`` stands for "no such key" on both sides."""
        return self._run(self._open_engine().compare_and_swap(key, expected, new, timeout=timeout))

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        consistency: Consistency = "linearizable",
        timeout: float | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs in key order, fetched page by page; see :meth:`Database.scan`."""
        pages = self._open_engine().scan_pages(
            start,
            stop,
            prefix=prefix,
            reverse=reverse,
            limit=limit,
            consistency=consistency,
            timeout=timeout,
        )
        while True:
            self._open_engine()  # between two pages anything may have happened
            page = self._run(_next_page(pages))
            if page is None:
                return
            yield from page

    def batch(self, *, timeout: float | None = None) -> "StoreBatch":
        """Writes that happen together or not at all: ``with db.batch() as batch: batch.put(...)``."""
        return StoreBatch(self, timeout)

    def create_ranges(
        self,
        count: int | None = None,
        *,
        between: tuple[bytes, bytes | None] = (b"", None),
        splits: Sequence[bytes] | None = None,
        progress: Progress | None = None,
    ) -> CreateResult:
        """Cover an interval of keys with new ranges; see :meth:`Database.create_ranges`."""
        engine = self._open_engine()
        return self._run(engine.create_ranges(count, between=between, splits=splits, progress=progress))

    def delete_ranges(
        self, between: tuple[bytes, bytes | None], *, progress: Progress | None = None
    ) -> DeleteResult:
        """Delete the ranges that lie in an interval of keys; see :meth:`Database.delete_ranges`."""
        return self._run(self._open_engine().delete_ranges(between, progress=progress))

    def status(self) -> dict[str, object]:
        """The node and its ranges."""
        return self._run(self._open_engine().status())

    def explain(self, place: bytes | int) -> Explanation:
        """Why requests to a range are not finished; see :meth:`Database.explain`."""
        return self._run(self._open_engine().explain(place))

    def close(self) -> None:
        """Stop the node and release its files. Idempotent; in a forked child it does nothing."""
        if self._engine is not None and os.getpid() == self._pid:
            engine, self._engine = self._engine, None
            try:
                self._run(engine.close())
            finally:
                self._end_loop()

    def write_batch(self, changes: Sequence[Change], timeout: float | None) -> None:
        """Write collected changes atomically; called by :class:`StoreBatch`."""
        self._run(_write_batch(self._open_engine(), changes, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_engine", None) is not None and os.getpid() == self._pid:
            warnings.warn("a multiraft store was never closed", ResourceWarning, stacklevel=2, source=self)

    def _open_engine(self) -> Engine:
        if os.getpid() != self._pid:
            raise Forked(f"the store was opened by process {self._pid}: open it anew after fork()")
        if self._engine is None:
            raise Closed("the store is closed")
        return self._engine

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _run_loop(self) -> None:
        """The life of the thread: the loop, and the end of what the loop has started."""
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class StoreBatch(Changes):
    """Collects writes of one range; see :meth:`Store.batch`."""

    def __init__(self, store: Store, timeout: float | None) -> None:
        super().__init__()
        self._store = store
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        changes = self.end()
        if kind is None:
            self._store.write_batch(changes, self._timeout)


async def _open(
    path: str | os.PathLike[str],
    config: EngineConfig | None,
    ranges: int | None,
    splits: Sequence[bytes] | None,
) -> Engine:
    return await Engine.open(path, config=config, ranges=ranges, splits=splits)


async def _next_page(pages: AsyncGenerator[list[Pair], None]) -> list[Pair] | None:
    return await anext(pages, None)


async def _write_batch(
    engine: Engine,
    changes: Sequence[Change],
    timeout: float | None,  # noqa: ASYNC109 # see Database
) -> None:
    async with engine.batch(timeout=timeout) as batch:
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
