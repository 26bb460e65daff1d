"""The demo's writers: few connections, many puts under way; what has no known outcome is written again."""

import asyncio
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ...engine.errors import Closed, Retryable, Unknown
from ..client import Client
from .output import CommandFailed
from .running import together

WRITERS: Final = 768
"""Puts under way, over all connections."""
ATTEMPT: Final = 10.0
"""Seconds until a put that has no answer is made again."""
PATIENCE: Final = 90.0
"""Seconds after which a row that nobody acknowledges ends the demo."""
PAUSE: Final = 0.02
PASSES: Final = 3
"""Passes of the event loop after which a put has left for its node."""

Row = tuple[bytes, bytes]


class Connections:
    """One client per node that can be reached; requests go round."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._turn = 0

    async def connect(self, node: int, address: str) -> None:
        """Connect to a node (again)."""
        self._clients[node] = await Client.connect(address, timeout=30.0)

    def __getitem__(self, node: int) -> Client:
        return self._clients[node]

    def pick(self) -> tuple[int, Client]:
        """The next node's client in turn. Raises CommandFailed: no node can be reached."""
        if not self._clients:
            raise CommandFailed("no node can be reached any more")
        self._turn += 1
        nodes = list(self._clients)
        node = nodes[self._turn % len(nodes)]
        return node, self._clients[node]

    def drop(self, node: int, client: Client) -> None:
        """A connection is broken: ask the others."""
        if self._clients.get(node) is client:
            del self._clients[node]

    async def close(self) -> None:
        """Close every connection."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()


class Load:
    """The rows on their way into the cluster.

    One row of every range is kept back until :meth:`release` (the others go in random order), so that no
    range is complete before the demo says so.
    """

    def __init__(
        self,
        rows: Mapping[bytes, bytes],
        cuts: Sequence[bytes],
        connections: Connections,
        order: random.Random,
        progress: Callable[[int], None],
    ) -> None:
        self.acknowledged: set[bytes] = set()
        self.writes = 0
        """Puts acknowledged, repetitions of a row included."""
        self.repeated = 0
        """Puts made again because nobody knew what became of them, or nobody led the range."""
        self._cuts = list(cuts)
        self._unfinished = [0] * (len(cuts) + 1)
        self._connections = connections
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        keys = sorted(rows)
        places = [self.range_of(key) for key in keys]
        kept = {place: key for key, place in zip(reversed(keys), reversed(places), strict=True)}
        self.first_rows: list[Row] = [(kept[place], rows[kept[place]]) for place in sorted(kept)]
        """The first row of each range: the one that is kept back."""
        held = set(kept.values())
        self._queue: deque[Row] = deque((key, rows[key]) for key in keys if key not in held)
        order.shuffle(self._queue)
        self.free_rows = len(self._queue)
        """How many rows are not kept back."""
        self._released = asyncio.Event()
        self._marks: list[tuple[int, asyncio.Event]] = []

    def range_of(self, key: bytes) -> int:
        """The number of the range that holds a key."""
        return bisect_right(self._cuts, key)

    def unfinished(self, ranges: Sequence[int]) -> int:
        """Puts into these ranges that have no answer yet."""
        return sum(self._unfinished[place] for place in ranges)

    async def reached(self, rows: int) -> None:
        """Return once so many rows are acknowledged."""
        mark = asyncio.Event()
        self._marks.append((rows, mark))
        self._check_marks()
        await mark.wait()

    async def release(self, ranges: Sequence[int]) -> None:
        """Let the rows go that were kept back; return when puts into these ranges are under way."""
        self._queue.extendleft(self.first_rows)
        self._released.set()
        while not self.unfinished(ranges):  # noqa: ASYNC110 # the writers begin in the next pass of the loop
            await asyncio.sleep(0)
        for _ in range(PASSES):
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Write every row. Raises CommandFailed: a row finds nobody who acknowledges it."""
        await together(*(self._write_rows() for _ in range(WRITERS)))

    async def _write_rows(self) -> None:
        while True:
            if self._queue:
                key, value = self._queue.popleft()
                await self.write(key, value)
                self.acknowledged.add(key)
                self._progress(len(self.acknowledged))
                self._check_marks()
            elif self._released.is_set():
                return
            else:
                await self._released.wait()

    async def write(self, key: bytes, value: bytes) -> None:
        """Put one row, again and again until somebody acknowledges it."""
        place = self.range_of(key)
        give_up = self._loop.time() + PATIENCE
        self._unfinished[place] += 1
        try:
            while not await self._attempt(key, value, give_up):
                self.repeated += 1
                await asyncio.sleep(PAUSE)
        finally:
            self._unfinished[place] -= 1
        self.writes += 1

    async def _attempt(self, key: bytes, value: bytes, give_up: float) -> bool:
        node, client = self._connections.pick()
        try:
            await client.put(key, value, timeout=ATTEMPT)
        except (Retryable, Unknown, Closed) as error:
            if isinstance(error, Closed):
                self._connections.drop(node, client)
            if self._loop.time() > give_up:
                raise CommandFailed(f"nobody acknowledged a row for {PATIENCE:g} s: {error}") from error
            return False
        return True

    def _check_marks(self) -> None:
        while self._marks and len(self.acknowledged) >= self._marks[0][0]:
            self._marks.pop(0)[1].set()
