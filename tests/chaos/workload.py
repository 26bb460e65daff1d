"""The clients: each asks one thing after another of random nodes, and notes what it is told."""

import asyncio
import random as random_module
from collections.abc import Callable, Mapping
from typing import Final

from multiraft.engine.errors import Closed, Error
from multiraft.shards.client import Client
from tests.simulation.checkers.base import Kind, Operation, Outcome

from .history import History, fail, succeed
from .keys import HOT, TEAM, Keys, range_start
from .values import full, mark, mark_of

KINDS: Final = {Kind.PUT: 34, Kind.GET: 38, Kind.CAS: 14, Kind.DELETE: 5, Kind.BATCH: 9}
"""How often each is asked for, of a hundred."""
TIMEOUTS_S: Final = (0.3, 1.0, 3.0, 8.0)
CONNECT_S: Final = 2.0
THINK_S: Final = 0.04
"""At most so long between an answer and the next operation."""
LARGE: Final = 0.3
LARGE_BYTES: Final = 60_000
"""So many values of this size in one range outgrow the log that is kept for a node that is down."""
NEW_RANGE_S: Final = (2.0, 7.0)
RANGES_MOST: Final = 200
READ_LEFT: Final = 0.1
"""The part of the reads that look at keys that have given way."""
CANCELLED: Final = 0.01
"""The part of the operations whose caller goes away."""


class Workload:
    """All clients of one run."""

    def __init__(
        self, addresses: Mapping[int, str], history: History, ranges: int, clients: int, seed: object
    ) -> None:
        self.ranges = list(range(ranges))
        """Numbers of the ranges that were acknowledged."""
        self.asked = ranges
        """How many ranges were asked for."""
        self._addresses = addresses
        self._history = history
        self._seed = seed
        self._keys = [
            Keys(team, self.ranges, random_module.Random(f"{seed}/team {team}"))
            for team in range(-(-clients // TEAM))
        ]
        self._workers = [
            Worker(number, self._keys[number // TEAM], addresses, history, seed) for number in range(clients)
        ]

    @property
    def readers(self) -> dict[bytes, int]:
        """Every key that was used, and one of its clients."""
        return {key: team * TEAM for team, keys in enumerate(self._keys) for key in keys.all}

    async def run(self, until: asyncio.Event) -> None:
        """Ask until the event, then let everything under way be answered."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._create_ranges(until))
            for worker in self._workers:
                tasks.create_task(worker.run(until))

    async def _create_ranges(self, until: asyncio.Event) -> None:
        """Create a range now and then; one that was not acknowledged is asked for again."""
        random = random_module.Random(f"{self._seed}/ranges")
        while not until.is_set() and self.asked < RANGES_MOST:
            await pause(random.uniform(*NEW_RANGE_S), until)
            number = len(self.ranges)
            self.asked = number + 1
            address = random.choice(list(self._addresses.values()))
            try:
                async with Client.connect(address, timeout=CONNECT_S) as client:
                    between = (range_start(number), range_start(number + 1))
                    await client.create_ranges(1, between=between, timeout=random.choice(TIMEOUTS_S))
            except Error:
                continue
            self.ranges.append(number)


class Worker:
    """One client: one operation at a time."""

    def __init__(
        self, number: int, keys: Keys, addresses: Mapping[int, str], history: History, seed: object
    ) -> None:
        self._number = number
        self._keys = keys
        self._addresses = list(addresses.values())
        self._history = history
        self._random = random_module.Random(f"{seed}/client {number}")
        self._written = 0

    async def run(self, until: asyncio.Event) -> None:
        """Ask, now of this node and now of that one."""
        while not until.is_set():
            address = self._random.choice(self._addresses)
            try:
                async with Client.connect(address, timeout=CONNECT_S) as client:
                    for _ in range(self._random.randrange(1, 300)):
                        if until.is_set():
                            break
                        if not await self._ask(client):
                            break
                        await pause(self._random.uniform(0, THINK_S), until)
            except Error:  # nothing was asked: nobody is there, or the goodbye came too late
                await pause(self._random.uniform(0, 0.2), until)

    async def _ask(self, client: Client) -> bool:
        """One operation; returns whether this node is worth asking again."""
        operation, work = self._choose()
        self._keys.used(operation.keys)
        patience = self._random.choice(TIMEOUTS_S)
        leaves = self._random.random() < CANCELLED
        try:
            async with asyncio.timeout(self._random.uniform(0, 0.03) if leaves else None):
                result = await work(client, patience)
        except (Error, TimeoutError) as error:
            fail(operation, error)
            if operation.outcome is Outcome.UNKNOWN:
                self._keys.unknown(operation.keys)
            return not isinstance(error, Closed) and self._random.random() < 0.5
        succeed(operation, mark_of(result) if operation.kind is Kind.GET else result)
        self._learn(operation)
        return True

    def _choose(self) -> tuple[Operation, Callable]:
        (kind,) = self._random.choices(list(KINDS), list(KINDS.values()))
        if kind is Kind.BATCH:
            keys = self._keys.several()
            marks = tuple(self._mark(key) if self._random.random() < 0.85 else None for key in keys)
            return self._begin(kind, keys, *marks), lambda db, wait: write_batch(db, keys, marks, wait)
        key = self._keys.one()
        match kind:
            case Kind.PUT:
                new = self._mark(key)
                return self._begin(kind, (key,), new), lambda db, wait: db.put(key, full(new), timeout=wait)
            case Kind.CAS:
                old, new = self._keys.expected(key), self._mark(key)
                operation = self._begin(kind, (key,), old, new)
                return operation, lambda db, wait: db.compare_and_swap(
                    key, full(old), full(new), timeout=wait
                )
            case Kind.DELETE:
                return self._begin(kind, (key,)), lambda db, wait: db.delete(key, timeout=wait)
        if self._random.random() < READ_LEFT:
            key = self._keys.one_left() or key
        return self._begin(Kind.GET, (key,)), lambda db, wait: db.get(key, timeout=wait)

    def _begin(self, kind: Kind, keys: tuple[bytes, ...], *arguments: bytes | None) -> Operation:
        return self._history.begin(self._number, kind, keys, arguments)

    def _mark(self, key: bytes) -> bytes:
        """The mark of a value that nobody else writes."""
        self._written += 1
        large = key.startswith(range_start(HOT)) and self._random.random() < LARGE
        size = LARGE_BYTES if large else self._random.randrange(100)
        return mark(self._number, self._written, size)

    def _learn(self, operation: Operation) -> None:
        """Remember what the keys hold now, for compare-and-swap."""
        (key, *_), arguments = operation.keys, operation.arguments
        match operation.kind:
            case Kind.PUT:
                self._keys.saw(key, arguments[0])
            case Kind.GET:
                self._keys.saw(key, operation.result)
            case Kind.CAS if operation.result:
                self._keys.saw(key, arguments[1])
            case Kind.DELETE:
                self._keys.saw(key, None)
            case Kind.BATCH:
                for one, value in zip(operation.keys, arguments, strict=True):
                    self._keys.saw(one, value)


async def write_batch(
    db: Client, keys: tuple[bytes, ...], marks: tuple[bytes | None, ...], patience: float
) -> None:
    """Write or delete several keys at once."""
    batch = db.batch(timeout=patience)
    for key, new in zip(keys, marks, strict=True):
        if new is None:
            batch.delete(key)
        else:
            batch.put(key, full(new))
    await batch.write()


async def pause(seconds: float, until: asyncio.Event) -> None:
    """Return after a while, or at once when the event comes."""
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        pass
