"""State machines that take their time: they apply outside the turn, and show what is half done."""

import asyncio
import random
from collections.abc import Sequence

from multiraft.engine.node import Node
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.protocol import StateMachine, volatile


def make_leisurely(node: Node, source: random.Random, longest: float) -> None:
    """Have a node's key-value machines in memory take up to so many seconds for what they are given."""
    make = node.replicas.stores.machines

    def make_one(birth, metadata) -> StateMachine:
        machine = make(birth, metadata)
        if isinstance(machine, KVMachine) and volatile(machine) is not None:
            machine.async_apply = _leisurely(machine, source, longest)
        return machine

    node.replicas.stores.machines = make_one


def _leisurely(machine: KVMachine, source: random.Random, longest: float):
    async def async_apply(commands: Sequence[bytes]) -> list[object]:
        half = len(commands) // 2
        await asyncio.sleep(source.uniform(0, longest / 2))  # sleep: simulated time, which is the subject
        results = [*machine.apply(commands[:half])] if half else []
        await asyncio.sleep(source.uniform(0, longest / 2))  # sleep: simulated time, which is the subject
        return [*results, *machine.apply(commands[half:])]

    return async_apply
