"""Histories by hand, and by chance: what clients saw of a register that behaves, or does not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations
from math import inf

from tests.simulation.checkers.base import Kind, Operation, Outcome

KEY = b"k"


class Clients:
    """Writes a history down: each call is one operation, `at` its invocation and its return."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, kind: str, at: tuple[float, float | None], *arguments, result=None, client=None, key=KEY):
        """An operation that succeeded, or has no answer yet if it has no return."""
        number = len(self.operations)
        op = Operation(number, number % 8 if client is None else client, Kind(kind), (key,), arguments)
        op.invoked, op.returned = at
        if op.returned is not None:
            op.outcome, op.result = Outcome.OK, result
        self.operations.append(op)
        return op

    def put(self, value: bytes, *at, **more):
        return self.add("put", at, value, **more)

    def get(self, value: bytes | None, *at, **more):
        return self.add("get", at, result=value, **more)

    def unknown(self, value: bytes, *at, **more):
        op = self.add("put", at, value, **more)
        op.outcome = Outcome.UNKNOWN
        return op


def brute_force(operations: list[Operation]) -> bool:
    """Whether some order of all certain operations, and of any of the others, explains a single key."""
    certain = [op for op in operations if op.outcome is Outcome.OK]
    open_ended = [op for op in operations if op.outcome is Outcome.UNKNOWN and op.writes]
    for chosen in range(1 << len(open_ended)):
        taken = certain + [op for at, op in enumerate(open_ended) if chosen >> at & 1]
        if any(_explains(order) for order in permutations(taken)):
            return True
    return False


def _explains(order: tuple[Operation, ...]) -> bool:
    value = None
    latest = -inf
    for op in order:
        until = op.returned if op.outcome is Outcome.OK else inf
        if until < latest:
            return False
        latest = max(latest, op.invoked)
        value, result = run(op, value)
        if op.outcome is Outcome.OK and result != op.result:
            return False
    return True


def run(op: Operation, value: bytes | None) -> tuple[bytes | None, object]:
    """What an operation does to a register: the value after it, and its result."""
    if op.kind is Kind.PUT:
        return op.arguments[0], None
    if op.kind is Kind.DELETE:
        return None, value is not None
    if op.kind is Kind.CAS:
        return (op.arguments[1], True) if value == op.arguments[0] else (value, False)
    return value, value


def good_history(
    chance: random.Random, operations: int, clients: int, kinds: str = "put get", unknown: float = 0.0
) -> list[Operation]:
    """What clients, each with one operation at a time, see of a real register."""
    now, value = 0.0, None
    history: list[Operation] = []
    under_way: dict[int, Operation | None] = dict.fromkeys(range(clients))
    waiting: list[Operation] = []
    late: list[Operation] = []
    while len(history) < operations or waiting or any(under_way.values()):
        now += 1
        client = chance.randrange(clients)
        op = under_way[client]
        if op is None and len(history) < operations:
            op = _ask(chance, len(history), client, now, kinds, value)
            history.append(op)
            under_way[client] = op
            waiting.append(op)
        elif op is not None and op in waiting:
            waiting.remove(op)
            if op.writes and chance.random() < unknown:
                op.outcome, op.returned, under_way[client] = Outcome.UNKNOWN, now, None
                late.append(op)
            else:
                value, op.result = run(op, value)
        elif op is not None:
            op.outcome, op.returned, under_way[client] = Outcome.OK, now, None
        if late and chance.random() < 0.1:
            op = late.pop()
            if chance.random() < 0.5:
                value, _ = run(op, value)
    return history


def _ask(chance: random.Random, number: int, client: int, now: float, kinds: str, value) -> Operation:
    kind = Kind(chance.choice(kinds.split()))
    fresh = b"v%d" % number
    arguments: tuple = ()
    if kind is Kind.PUT:
        arguments = (fresh,)
    elif kind is Kind.CAS:
        arguments = (chance.choice([None, value, b"v%d" % chance.randrange(number + 1)]), fresh)
    return Operation(number, client, kind, (KEY,), arguments, now)


def spoilt(chance: random.Random, history: list[Operation]) -> Iterator[Operation]:
    """The history with a few results that may or may not have been possible."""
    reads = [op for op in history if op.outcome is Outcome.OK and op.kind is not Kind.PUT]
    for op in chance.sample(reads, min(2, len(reads))):
        if op.kind is Kind.GET:
            op.result = chance.choice([None, *(b"v%d" % other.id for other in history)])
        else:
            op.result = not op.result
        yield op
