"""Is there an order? Whether the operations on each key could have happened one at a time.

Linearizability is local, so each key is a register of its own: put, get, delete, compare-and-swap, and a
batch as a write of each of its keys (that a batch is atomic is somebody else's concern), the deletion of a
range as a removal of each of its keys: between that and the next range nobody is answered. An operation takes
effect at one moment between its invocation and its return; one of unknown outcome at any moment after its
invocation, or never.

A history of puts and gets alone is judged by comparing intervals (`zones`), any other by `search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from .base import Checker, Cluster, Kind, Operation, Outcome, Violation
from .search import Search, TooHard
from .zones import Call, contradiction, is_simple

MAX_CLIENTS: Final = 8
"""That wait for an answer at once, by key: the search is exponential in them. More is refused, not tried."""
MAX_OPERATIONS: Final = 1000
"""By key."""
NAME: Final = "linearizability"
CHECKED: Final = frozenset({Kind.PUT, Kind.GET, Kind.DELETE, Kind.CAS, Kind.BATCH, Kind.DELETE_RANGES})


def check(operations: Iterable[Operation]) -> Violation | None:
    """What of a history cannot be put in order, None if all of it can.

    Stale reads, scans and the creation of ranges are passed over, and so is what has no effect whatever
    happened: refused writes and failed reads. Raises TooHard.
    """
    by_key: dict[bytes, list[Call]] = {}
    for op in operations:
        for key, call in calls_of(op):
            by_key.setdefault(key, []).append(call)
    for key, calls in by_key.items():
        problem = check_register(key, calls)
        if problem is not None:
            return Violation(NAME, problem)
    return None


def calls_of(op: Operation) -> list[tuple[bytes, Call]]:
    """What an operation does to the register of each key that it names."""
    if op.kind not in CHECKED or op.outcome in {Outcome.REFUSED, Outcome.FAILED}:
        return []
    known = op.outcome is Outcome.OK
    if op.kind is Kind.GET and not known:
        return []
    returned = op.returned if known and op.returned is not None else inf
    if op.kind is Kind.DELETE_RANGES:
        return [(key, Call(Kind.PUT, (None,), op.invoked, returned, None, op)) for key in op.keys]
    if op.kind is Kind.BATCH:
        values = dict(zip(op.keys, op.arguments, strict=True))
        writes = [(key, (value,)) for key, value in values.items()]
        return [(key, Call(Kind.PUT, value, op.invoked, returned, None, op)) for key, value in writes]
    return [(op.keys[0], Call(op.kind, op.arguments, op.invoked, returned, op.result if known else None, op))]


def check_register(key: bytes, calls: Sequence[Call]) -> str | None:
    """The history of one key. Raises TooHard."""
    clients = _clients_at_once(calls)
    if clients > MAX_CLIENTS or len(calls) > MAX_OPERATIONS:
        raise TooHard(f"{key!r} has {len(calls)} operations, of {clients} clients at once")
    if not is_simple(calls):
        return Search(key, calls).run()
    at_odds = contradiction(calls)
    if at_odds is None:
        return None
    lines = "\n".join(f"  {op}" for op in sorted((call.op for call in at_odds), key=lambda op: op.invoked))
    return f"{key!r}: there is no order of\n{lines}"


def _clients_at_once(calls: Sequence[Call]) -> int:
    """How many calls that return are under way at one time, at most."""
    answered = [call for call in calls if call.returned < inf]
    moments = [(call.invoked, 0) for call in answered] + [(call.returned, 1) for call in answered]
    most = now = 0
    for _, returns in sorted(moments):
        now += -1 if returns else 1
        most = max(most, now)
    return most


class Linearizability(Checker):
    """Collects what clients do, and checks it when the run is over."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def invoked(self, op: Operation) -> None:
        self.operations.append(op)

    def finished(self, cluster: Cluster) -> None:
        problem = check(self.operations)
        if problem is not None:
            raise problem
