"""Whether everything was as promised, once the faults are over."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

from multiraft.engine.errors import Error
from multiraft.shards.client import Client
from tests.simulation.checkers.base import Kind, Operation
from tests.simulation.checkers.linearizability import check

from .history import History, by_key, fail, lost_writes, succeed, with_seen_batches
from .values import mark_of

PATIENCE_S: Final = 60.0
"""Until everything must answer, and all replicas be equal, after the faults."""
RETRY_S: Final = 0.1
READS_AT_ONCE: Final = 32

T = TypeVar("T")
Replicas = Mapping[str, Sequence[Sequence[int]]]
"""Applied index, commands and digest of every replica, by the first key of the range (hexadecimal)."""


@dataclass
class Verdict:
    """What was found."""

    lost: int = 0
    linearizable: bool = True
    problems: list[str] = field(default_factory=list)
    """Everything that is not as it should be, in words."""


async def read_all(
    addresses: Collection[str], readers: Mapping[bytes, int], history: History
) -> dict[bytes, bytes | None]:
    """Read every key once, through the nodes in turn, as the last operation of one of its clients.

    Raises:
        Error: a key was not answered within the patience.
    """
    found: dict[bytes, bytes | None] = {}
    left = iter(readers)
    deadline = time.monotonic() + PATIENCE_S

    async def read(client: Client) -> None:
        for key in left:
            found[key] = await insist(lambda key=key: _read(client, readers[key], key, history), deadline)

    clients = [await insist(lambda one=one: _connect(one), deadline) for one in addresses]
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(READS_AT_ONCE):
                tasks.create_task(read(clients[number % len(clients)]))
    finally:
        for client in clients:
            await client.close()
    return found


async def _connect(address: str) -> Client:
    return await Client.connect(address)


async def _read(client: Client, number: int, key: bytes, history: History) -> bytes | None:
    operation = history.begin(number, Kind.GET, (key,))
    try:
        value = mark_of(await client.get(key, timeout=PATIENCE_S))
    except Error as error:
        fail(operation, error)
        raise
    succeed(operation, value)
    return value


async def insist(work: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Try until it works. Raises the last Error when the time is over."""
    while True:
        try:
            return await work()
        except Error:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(RETRY_S)  # sleep: ask again, but not all the time


async def compare_replicas(addresses: Collection[str], ranges: Collection[bytes], copies: int) -> list[str]:
    """Wait until all replicas of every range are equal; what is wrong when that has not come.

    ``ranges`` are the first keys of those that were acknowledged; each has ``copies`` replicas.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = await insist(lambda: replicas(addresses), deadline)
        wrong = [text for start, ones in found.items() if (text := difference(start, ones, copies))]
        missing = {start.hex() for start in ranges} - set(found)
        wrong += [f"the range from {bytes.fromhex(start)!r} is gone" for start in sorted(missing)]
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(RETRY_S)  # sleep: ask again, but not all the time


async def replicas(addresses: Collection[str]) -> Replicas:
    """What the nodes say of their replicas."""
    found: defaultdict[str, list[Sequence[int]]] = defaultdict(list)
    for address in addresses:
        async with Client.connect(address) as client:
            for start, replica in (await client.digests()).items():
                found[start].append(replica)
    return found


def difference(start: str, found: Sequence[Sequence[int]], copies: int) -> str | None:
    name = f"the range from {bytes.fromhex(start)!r}"
    if len(found) != copies:
        return f"{name} has {len(found)} replicas, not {copies}"
    indexes = sorted({one[0] for one in found})
    if len(indexes) > 1:
        return f"{name} is applied up to {indexes}"
    if len({one[2] for one in found}) > 1:
        return f"{name}: its replicas differ at index {indexes[0]}"
    return None


async def lost_replicas(addresses: Collection[str]) -> list[str]:
    """Nodes that have set replicas aside."""
    found = []
    for address in addresses:
        async with Client.connect(address) as client:
            status = await client.node_status()
            if cast("int", status["lost"]):
                found.append(f"node {status['node']} has set {status['lost']} replicas aside")
    return found


def judge(operations: Sequence[Operation], final: Mapping[bytes, bytes | None]) -> Verdict:
    """Look at the whole history, key by key."""
    verdict = Verdict()
    histories = by_key(operations)
    for key, value in final.items():
        for gone in lost_writes(key, histories[key], value):
            verdict.lost += 1
            verdict.problems.append(f"lost: {gone}; the key holds {value!r} in the end")
    violation = check(with_seen_batches(operations))
    if violation is not None:
        verdict.linearizable = False
        verdict.problems.append(str(violation))
    return verdict
