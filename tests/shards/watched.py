"""A directory machine that is watched: what the tests of its behaviour and of its state share."""

from collections.abc import Sequence

import msgpack

from multiraft.engine.logstore.port import Birth
from multiraft.engine.removals import Removal
from multiraft.engine.statemachine.commands import envelope
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.engine.statemachine.store import OrderedStore
from multiraft.shards.directory_commands import create_body, register_body
from multiraft.shards.directory_machine import DirectoryMachine
from multiraft.shards.keyrange import Interval

CLUSTER = b"c" * 16
NODES = (1, 2, 3)


class Watched:
    """A machine, and what it told in the order of telling."""

    def __init__(self, node: int = 1, store: OrderedStore | None = None) -> None:
        self.store = MemoryGroup() if store is None else store
        self.told: list[list[int] | list[Removal] | str] = []
        self.births: dict[int, Birth] = {}
        self.machine = DirectoryMachine(
            self.store,
            node,
            NODES,
            on_births=self.take_births,
            on_removals=self.told.append,
            on_reload=lambda: self.told.append("reload"),
            on_change=lambda: self.told.append("change"),
        )

    def take_births(self, births: list[Birth]) -> None:
        self.told.append([birth.group for birth in births])
        self.births.update((birth.group, birth) for birth in births)

    def do(self, *bodies: bytes) -> list[object]:
        """Apply the bodies as one batch."""
        return self.machine.apply([envelope(7, 8, 0, body) for body in bodies])

    def create(self, *ranges: Interval, replicas: int = 3, nodes: Sequence[int] = NODES) -> object:
        return self.do(create_body(ranges, replicas, nodes))[0]


def pack(*fields: object) -> bytes:
    """A body that no encoder would make."""
    packed: bytes = msgpack.packb(fields)
    return packed


def some_state(end: bytes = b"m") -> Watched:
    """A node, two ranges."""
    one = Watched()
    one.do(register_body(1, b"a" * 16, "h:1", CLUSTER), create_body([(b"", end), (end, None)], 3, NODES))
    return one
