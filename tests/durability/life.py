"""A life of a cluster of three in one process, told as it goes.

`python -m tests.durability.life DIR SEED KNOWN [--eager] [--memory]`; KNOWN: what was told before.

Ranges with a copy on each node and ranges with one copy only; writers that read, then write one value after
the other; a node that is cut off until only a snapshot brings it back, one that is closed and opened again;
ranges that are made meanwhile. In the end the process is gone from one moment to the other.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from multiraft.engine.errors import Error
from multiraft.engine.transport.memory import MemoryNetwork
from multiraft.shards.engine import Engine

from .facts import TOLD, Facts, Teller, key_of, number_of, value_of
from .nodes import CONFIG, IN_MEMORY, NODES, make_small, place_of, start_engine, wait_for

AT_FIRST = {"a": 3, "b": 3, "c": 1, "d": 1}
"""Copies of the range of all keys with this prefix."""
LATER = {"e": 3, "f": 1}
KEYS = 15
"""Of each range."""
BEHIND, LEVEL = "a node is behind", "it has caught up"
"""Told before and after the time in which a snapshot is installed."""
SIZES = (10, 10, 60, 300, 300, 3_000, 9_000, 40_000)


class Life:
    """The nodes, and the clients that write."""

    def __init__(self, path: Path, seed: int, facts: Facts, *, eager: bool, memory: bool) -> None:
        self.path = path
        self.eager = eager
        self.config = IN_MEMORY if memory else CONFIG
        self.draw = random.Random(seed)
        self.network = MemoryNetwork()
        self.engines: dict[int, Engine] = {}
        self.facts = facts
        self.teller = Teller(self.tell, facts)
        self._told = os.open(path / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._given_up: set[bytes] = set()

    def tell(self, *line: object) -> None:
        os.write(self._told, json.dumps(line).encode() + b"\n")

    async def start(self, node: int) -> None:
        place = place_of(self.path, node, self.network)
        self.engines[node] = await start_engine(place, self.teller, eager=self.eager, config=self.config)

    async def make_ranges(self, copies: dict[str, int]) -> None:
        for prefix, replicas in copies.items():
            bounds = prefix.encode(), bytes([prefix.encode()[0] + 1])
            await self.engines[1].create_ranges(1, between=bounds, replicas=replicas)

    async def read_all(self) -> None:
        """What is read now cannot be gone later."""
        for key in sorted(self.facts.sent):
            found = number_of(await self.engines[1].get(key))
            low, high = self.facts.bounds(key)
            assert low <= found <= high, f"{key!r} has value {found}, not {low}..{high}"
            self.facts.acknowledged[key] = found
            self.tell("acknowledged", key.decode(), found)

    async def write(self, node: int, prefixes: str, count: int) -> None:
        """Write so many values to keys of these ranges, each through this node, one after the other."""
        for _ in range(count):
            key = key_of(self.draw.randrange(KEYS), self.draw.choice(prefixes))
            if key not in self._given_up:
                self._given_up.add(key)  # one writer a key: its values are in the order of their numbers
                if await self._write(node, key):
                    self._given_up.discard(key)

    async def _write(self, node: int, key: bytes) -> bool:
        number = self.facts.sent.get(key, 0) + 1
        self.facts.sent[key] = number
        self.tell("sent", key.decode(), number)
        try:
            await self.engines[node].put(key, value_of(number, self.draw.choice(SIZES)), timeout=5.0)
        except Error:
            return False
        self.facts.acknowledged[key] = number
        self.tell("acknowledged", key.decode(), number)
        return True

    async def write_much(self, count: int, prefixes: str, nodes: tuple[int, ...] = NODES) -> None:
        """Many writers at once."""
        writers = [self.write(self.draw.choice(nodes), prefixes, count) for _ in range(8)]
        await asyncio.gather(*writers)

    async def without(self, node: int, prefixes: str) -> None:
        """Go on without a node until its peers' logs do not reach back to it; then bring it back."""
        others = tuple(one for one in NODES if one != node)
        for other in others:
            self.network.cut(node, other)
        await self.write_much(5, prefixes, others)
        while not self._is_behind(node, others):
            await self.write_much(1, prefixes, others)
        self.tell("seen", BEHIND)
        for other in others:
            self.network.heal(node, other)
        await wait_for(lambda: self._is_level(node))
        self.tell("seen", LEVEL)

    def _is_behind(self, node: int, others: tuple[int, ...]) -> bool:
        """Whether there is a group of which nobody else's log reaches back to the node's."""
        logs = {one: self.engines[one].assembly.node.log for one in NODES}
        return any(
            all(
                logs[other].group(group).first_index() > logs[node].group(group).last_index() + 1
                for other in others
            )
            for group, birth in logs[node].births().items()
            if len(birth.peers) == len(NODES)
        )

    def _is_level(self, node: int) -> bool:
        """Whether the node has applied what anybody else has, and its log stands on every snapshot."""
        mine = self.engines[node].assembly.node.replicas.running
        return not self.engines[node].assembly.node.backlog()["installs"] and all(
            replica.applied.index >= other.applied.index
            for engine in self.engines.values()
            for group, other in engine.assembly.node.replicas.running.items()
            if (replica := mine.get(group)) is not None
        )

    async def live(self) -> None:
        await asyncio.gather(*[self.start(node) for node in NODES])
        await asyncio.gather(*[engine.joined() for engine in self.engines.values()])
        await self.make_ranges(AT_FIRST)
        await self.read_all()
        await self.write_much(4, "abcd")
        node = self.draw.choice(NODES)
        await self.without(node, "ab")
        await self.make_ranges(LATER)
        await self.write_much(2, "abcdef")
        again = self.draw.choice(NODES)
        await self.engines.pop(again).close()
        await self.start(again)
        await wait_for(lambda: self._is_level(again))
        await self.write_much(3, "abcdef")


def main(path: Path, seed: int, known: Path, *flags: str) -> None:
    make_small()
    facts = Facts()
    for line in known.read_text().splitlines():
        facts.take(line)
    life = Life(path, seed, facts, eager="--eager" in flags, memory="--memory" in flags)

    async def live() -> None:
        await life.live()
        os._exit(0)  # as a killed process leaves it

    asyncio.run(live())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
