"""Questions to the state machine of one range, as they travel in requests between nodes."""

from collections.abc import Callable, Sequence
from typing import Final, cast

from ..engine.errors import Error, RangeMoved
from ..engine.node import Node
from ..engine.pending import Read, ask
from ..engine.statemachine.kv import KVMachine
from ..engine.statemachine.protocol import StateMachine
from .directory_machine import DirectoryMachine
from .requests import Malformed, Op, Scalar

PAGE_PAIRS: Final = 1000
PAGE_BYTES: Final = 256 * 1024
"""A page of a scan ends at either bound, but holds at least one pair."""

Query = Callable[[StateMachine], Sequence[Scalar]]
"""Answers with the fields of a reply; raises :class:`RangeMoved` and whatever the store raises."""


def get_query(epoch: int, key: bytes) -> Query:
    """The value of a key, or ``None``: one field."""

    def query(machine: StateMachine) -> Sequence[Scalar]:
        served = _served(machine, epoch, key)
        return [served.get(key)]

    return query


def scan_query(epoch: int, start: bytes, stop: bytes | None, *, reverse: bool, limit: int) -> Query:
    """One page of the pairs in ``[start, stop)``: whether there is more, then key, value and so on.

    ``limit`` may be any integer, as a client's is: below 0 nothing is returned.
    """
    most = min(max(limit, 0), PAGE_PAIRS + 1)  # the one beyond a page tells that there is more

    def query(machine: StateMachine) -> Sequence[Scalar]:
        served = _served(machine, epoch)
        fields: list[Scalar] = [False]
        size = 0
        for pairs, (key, value) in enumerate(served.scan(start, stop, reverse=reverse, limit=most)):
            if pairs >= PAGE_PAIRS or (pairs and size + len(key) + len(value) > PAGE_BYTES):
                fields[0] = True
                break
            fields += (key, value)
            size += len(key) + len(value)
        return fields

    return query


def version_query(machine: StateMachine) -> Sequence[Scalar]:
    """The version of the directory: one field."""
    return [cast("DirectoryMachine", machine).version]


def query_of(op: int, fields: list[Scalar]) -> tuple[int, Query]:
    """The group and the query of a request between nodes.

    Raises:
        Malformed: the fields are not those of the operation.
    """
    match op, fields:
        case ((Op.READ_GET | Op.STALE_GET), [int(group), int(epoch), bytes(key)]):
            return group, get_query(epoch, key)
        case (
            (Op.READ_SCAN | Op.STALE_SCAN),
            [int(group), int(epoch), bytes(start), (bytes() | None) as stop, bool(reverse), int(limit)],
        ):
            return group, scan_query(epoch, start, stop, reverse=reverse, limit=limit)
        case Op.READ_VERSION, [int(group)]:
            return group, version_query
        case _:
            raise Malformed(f"operation {op} does not take these fields")


def read_stale(node: Node, group: int, query: Query) -> Sequence[Scalar]:
    """Ask this node's replica as it is, whoever leads, or what is left of it.

    Raises:
        NotLeader: there is no state here, and others hold the group.
        Error: there is none at all, it is set aside, or the query's own error.
    """
    value = ask(Read(group, query, None), node.replicas.state_here(group))
    if isinstance(value, Error):
        raise value
    return cast("Sequence[Scalar]", value)


def _served(machine: StateMachine, epoch: int, *keys: bytes) -> KVMachine:
    """The machine, if it serves these keys at this epoch."""
    if not isinstance(machine, KVMachine):
        raise RangeMoved("the group serves no range")
    moved = machine.moved(epoch, *keys)
    if moved is not None:
        raise moved
    return machine
