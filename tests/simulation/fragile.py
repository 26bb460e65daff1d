"""State machines that raise when they are made to, half-way through what they were given."""

from typing import Final

from multiraft.engine.node import Node
from multiraft.engine.statemachine.protocol import StateMachine

MARK: Final = b"\xffpoison"
"""What a command holds that no machine can apply."""


class Poisoned(RuntimeError):
    """What a poisoned machine raises."""


def make_fragile(node: Node, sick: set[int]) -> None:
    """Have the machines of a node raise at commands with the mark, and those of ``sick`` groups at any."""
    make = node.replicas.stores.machines

    def make_one(birth, metadata) -> StateMachine:
        return _fragile(make(birth, metadata), birth.group, sick)

    node.replicas.stores.machines = make_one
    for replica in node.replicas.running.loaded.values():
        _fragile(replica.machine, replica.group, sick)


def _fragile(machine: StateMachine, group: int, sick: set[int]) -> StateMachine:
    """What comes before the fatal command is applied: it may leave traces, and nobody may see them."""
    apply = machine.apply

    def apply_or_raise(commands):
        at = len(commands) // 2 if group in sick else None
        for number, command in enumerate(commands[:at]):
            if MARK in command:
                at = number
                break
        if at is None:
            return apply(commands)
        apply(commands[:at])
        raise Poisoned(f"group {group}")

    machine.apply = apply_or_raise  # type: ignore[method-assign] # it is made to raise
    return machine
